"""Known weights on this machine: where they are, how they get here, and whether they are whole.

Nothing is ever unpickled here, and nothing here needs torch.
"""

from functools import lru_cache
from pathlib import Path

from models.weights.catalog import CatalogEntry, known
from models.weights.download import DownloadProgress
from models.weights.environment import offline
from models.weights.storage import STORAGES, Storage


def storage(name: str) -> Storage:
    """Return the place where these weights are kept.

    Raises:
        ValueError: If the name is unknown.
    """
    return STORAGES[known(name).kept]


def location(name: str) -> Path:
    """Return where these weights are, or belong; for a model on the hub, its folder in the cache.

    Raises:
        ValueError: If the name is unknown.
    """
    return storage(name).location(known(name))


def here(name: str) -> bool:
    """Return whether these weights are on this machine; ``verify`` tells whether they are whole.

    Raises:
        ValueError: If the name is unknown.
    """
    return storage(name).here(known(name))


def path(name: str) -> Path:
    """Return the file of these weights, or the folder of a model on the hub.

    A file that has a published size or hash has it, whoever has put it there: some are programs.

    Raises:
        ValueError: If it is not here: where it comes from, where it belongs, how large it is, its license; or
            if it is damaged, or another file.
    """
    entry, place = known(name), storage(name)
    if place.here(entry):
        found = place.location(entry)
        if found.is_file():
            status = found.stat()
            _whole(name, str(found), status.st_size, status.st_mtime_ns)
        return found
    about = f"{measure(entry)}, license {entry.license}"
    ways = f"get it from {' or '.join(entry.urls)} ({about}) with `infill weights fetch {name}`"
    raise ValueError(f"weights: {entry.file} is not here; {ways}{place.by_hand(entry)}")


@lru_cache(maxsize=32)
def _whole(name: str, *_: object) -> None:
    """Check a file once, until it changes."""
    storage(name).verify(known(name))


def fetch(name: str, progress: DownloadProgress | None = None) -> Path:
    """Return the file of these weights, fetching it if it is not here; it is checked either way.

    With ``INFILL_OFFLINE=1`` nothing is fetched. How files come in: `models.weights.files.FileStorage`.

    Args:
        name: The weights.
        progress: Is told how many bytes of how many are there; models of the hub have bars of their own.

    Raises:
        ValueError: If it cannot be fetched or written, or what came is not what was published.
    """
    return obtain(known(name), progress)


def obtain(entry: CatalogEntry, progress: DownloadProgress | None = None) -> Path:
    """Do what `fetch` does for weights that are not known by name.

    Raises:
        ValueError: Likewise.
    """
    place = STORAGES[entry.kept]
    if place.here(entry):
        place.verify(entry)
        return place.location(entry)
    if offline():
        source = f"{entry.file} ({' or '.join(entry.urls)})"
        raise ValueError(f"weights: {source} is not here, and INFILL_OFFLINE forbids to fetch it")
    return place.fetch(entry, progress)


def verify(name: str) -> str:
    """Return what is known of the file that is here: whether its size and hash are the published ones.

    Where no hash is published, it is compared with that of the file as it was fetched.

    Raises:
        ValueError: If it is not here, or damaged.
    """
    path(name)
    return storage(name).verify(known(name))


def measure(entry: CatalogEntry) -> str:
    """Return the size in words."""
    if entry.size is None:
        return "size unknown" if entry.roughly is None else f"about {entry.roughly / 1e6:.0f} MB"
    return f"{entry.size / 1e6:.1f} MB"
