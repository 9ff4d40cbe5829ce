"""Known weights on this machine: where they are, how they get there, and whether they are whole.

Nothing is ever unpickled here, and nothing here needs torch.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.weights import hub as hub_cache
from models.weights.catalog import CatalogEntry, known
from models.weights.download import DownloadProgress, download, forbidden

_UNKNOWN = "not verified: no published hash"


def home() -> Path:
    """Return infill's own folder of weights: ``INFILL_HOME``, or where this platform keeps caches."""
    if named := os.environ.get("INFILL_HOME"):
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "infill"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "infill"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "infill"


def torch_home() -> Path:
    """Return torch hub's folder of weights, by its own rules (``TORCH_HOME``) but without torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"


def location(name: str) -> Path:
    """Return where these weights are, or belong; for a model on the hub, its folder in the cache.

    Raises:
        ValueError: If the name is unknown.
    """
    return _location(known(name))


def here(name: str) -> bool:
    """Return whether these weights are on this machine; ``verify`` tells whether they are whole.

    Raises:
        ValueError: If the name is unknown.
    """
    return _here(known(name))


def path(name: str) -> Path:
    """Return the file of these weights, or the folder of a model on the hub.

    Raises:
        ValueError: If it is not here: where it comes from, where it belongs, how large it is, its license.
    """
    row = known(name)
    if _here(row):
        return _location(row)
    about = f"{measure(row)}, license {row.license}"
    ways = f"get it from {' or '.join(row.urls)} ({about}) with `infill weights fetch {name}`"
    by_hand = "" if row.kept == "hub" else f", or by hand to {_location(row)}"
    raise ValueError(f"weights: {row.file} is not here; {ways}{by_hand}")


def fetch(name: str, progress: DownloadProgress | None = None) -> Path:
    """Return the file of these weights, fetching it if it is not here; it is checked either way.

    It comes in as ``FILE.part`` and is renamed once its size and hash are right; where no hash is published,
    the hash of what came is kept in ``FILE.sha256``. A broken fetch goes on where it was, and of several at
    once only one fetches. With ``INFILL_OFFLINE=1`` nothing is fetched.

    Args:
        name: The weights.
        progress: Is told how many bytes of how many are there; models of the hub have bars of their own.

    Raises:
        ValueError: If it cannot be fetched or written, or what came is not what was published.
    """
    return obtain(known(name), progress)


def obtain(row: CatalogEntry, progress: DownloadProgress | None = None) -> Path:
    """Do what `fetch` does for weights that are not known by name.

    Raises:
        ValueError: Likewise.
    """
    if _here(row):
        _verified(row)
        return _location(row)
    if forbidden():
        place = f"{row.file} ({' or '.join(row.urls)})"
        raise ValueError(f"weights: {place} is not here, and INFILL_OFFLINE forbids to fetch it")
    if row.kept == "hub":
        return hub_cache.fetch(row.file, row.parts, bars=progress is not None)
    target = _location(row)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if not target.is_file():  # else another one has fetched it meanwhile
                _bring(row, target, progress)
    except OSError as error:
        reason = f"{error.strerror or error} ({error.filename or target.parent})"
        raise ValueError(f"weights: cannot write {target}: {reason}{_kept(row, target)}") from error
    return target


def verify(name: str) -> str:
    """Return what is known of the file that is here: whether its size and hash are the published ones.

    Where no hash is published, it is compared with that of the file as it was fetched.

    Raises:
        ValueError: If it is not here, or damaged.
    """
    path(name)
    return _verified(known(name))


def measure(row: CatalogEntry) -> str:
    """Return the size in words."""
    if row.size is None:
        return "size unknown" if row.roughly is None else f"about {row.roughly / 1e6:.0f} MB"
    return f"{row.size / 1e6:.1f} MB"


def _location(row: CatalogEntry) -> Path:
    if row.kept == "hub":
        return hub_cache.snapshot(row.file, row.parts) or hub_cache.location(row.file)
    return (torch_home() if row.kept == "torch" else home()) / row.file


def _here(row: CatalogEntry) -> bool:
    if row.kept == "hub":
        return hub_cache.snapshot(row.file, row.parts) is not None
    return _location(row).is_file()


def _verified(row: CatalogEntry) -> str:
    found = _location(row)
    if row.kept == "hub":
        return hub_cache.verify(found)
    try:
        return _judged(row, found, _recorded(found) if row.sha256 is None else row.sha256)
    except OSError as error:
        raise ValueError(f"weights: cannot read {found}: {error.strerror or error}") from error


def _bring(row: CatalogEntry, target: Path, progress: DownloadProgress | None) -> None:
    part = _beside(target, ".part")
    if row.sha256 is None:  # pieces of two days could be of two files, and nobody would see it
        part.unlink(missing_ok=True)
    try:
        download(row.urls, part, row.size, progress)
    except ValueError as error:
        raise ValueError(f"weights: cannot fetch {row.file} ({error}){_kept(row, target)}") from error
    digest = _sha256(part)
    if row.sha256 is not None and not digest.startswith(row.sha256):
        part.unlink()
        fault = f"its SHA-256 is {digest} instead of {row.sha256}"
        raise ValueError(f"weights: what came as {row.file} is not what was published: {fault}; deleted it")
    if row.sha256 is None:
        _beside(target, ".sha256").write_text(f"{digest}  {target.name}\n")
    os.replace(part, target)


def _judged(row: CatalogEntry, found: Path, expected: str | None) -> str:
    if row.size is not None and found.stat().st_size != row.size:
        fault = f"it has {found.stat().st_size} bytes instead of {row.size}"
    elif expected is None:
        return f"{_UNKNOWN}, and none from when it was fetched"
    elif (digest := _sha256(found)).startswith(expected):
        short = f" (its first {len(expected)} digits)" if len(expected) < 64 else ""
        return f"{_UNKNOWN}; unchanged since it was fetched" if row.sha256 is None else f"ok: SHA-256{short}"
    else:
        fault = f"its SHA-256 is {digest} instead of {expected}"
    raise ValueError(f"weights: {found} is damaged, or another file: {fault}; delete it and fetch it again")


def _recorded(found: Path) -> str | None:
    record = _beside(found, ".sha256")
    if not record.is_file():
        return None
    digest = re.match(r"[0-9a-f]{64}\b", record.read_text(errors="replace"))
    if not digest:
        raise ValueError(f"weights: {record} holds no SHA-256; delete it")
    return digest[0]


def _kept(row: CatalogEntry, target: Path) -> str:
    part = _beside(target, ".part")
    with suppress(OSError):
        if row.sha256 is not None and part.stat().st_size:
            return f"; what has come is kept in {part}, and fetching goes on from there"
    return ""


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Wait until no other process or thread is fetching this file, and keep them waiting."""
    lock = _beside(target, ".lock")
    with lock.open("ab") as file:
        _wait(file.fileno())
        yield
    # Whoever still waits on this one finds the file when it is his turn; before that it has to stay.
    with suppress(OSError):
        lock.unlink()


def _wait(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        while True:
            with suppress(OSError):  # it gives up after ten seconds
                return msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX)
