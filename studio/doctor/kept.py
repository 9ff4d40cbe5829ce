"""What is kept on this machine: weights, and the folders that they are in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from models.weights import environment, store
from models.weights.catalog import CATALOG, CatalogEntry
from models.weights.storage import STORAGES
from studio.doctor.line import Line

_CHECKPOINTS = Path(__file__).resolve().parents[2] / "models" / "checkpoints"


def weights() -> Iterator[Line]:
    """Yield a line for the weights that ship, and one for each that are known."""
    from studio.registry.tables import SHIPPED_WEIGHTS

    shipped = ("scene_classifier.safetensors", *SHIPPED_WEIGHTS.values())
    lost = [name for name in shipped if not (_CHECKPOINTS / name).is_file()]
    if lost:
        yield Line(
            "weights that ship",
            f"lack {', '.join(lost)} in {_CHECKPOINTS}",
            "install infill anew",
            broken=True,
        )
    else:
        yield Line("weights that ship", f"all {len(shipped)} are here")
    for name, entry in CATALOG.items():
        try:
            yield _weights(name, entry)
        except OSError as error:
            yield Line(
                f"weights {name}", _unreadable(error), "make it readable, or set INFILL_HOME elsewhere"
            )
        except ValueError as error:
            yield Line(f"weights {name}", str(error))


def _weights(name: str, entry: CatalogEntry) -> Line:
    if store.here(name):
        return Line(f"weights {name}", f"here: {store.location(name)}")
    return Line(f"weights {name}", f"missing ({store.measure(entry)})", f"infill weights fetch {name}")


def network() -> Line:
    """Return whether weights may be fetched."""
    if environment.offline():
        return Line(
            "network", "INFILL_OFFLINE is set: nothing is fetched", "unset INFILL_OFFLINE to fetch weights"
        )
    return Line("network", "weights may be fetched (INFILL_OFFLINE=1 forbids it)")


def caches() -> Iterator[Line]:
    """Yield a line for each folder of weights: where, how full, whether it can be written."""
    for place in STORAGES.values():
        remedy = place.about.rpartition("; ")[2]
        try:
            yield _cache(place.folder(), place.about, remedy)
        except ValueError as error:
            yield Line("cache", str(error), remedy)
        except OSError as error:
            yield Line("cache", _unreadable(error), f"make it readable; {remedy}")


def _cache(folder: Path, about: str, remedy: str) -> Line:
    count, size = _measured(folder)
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(existing).free
    state = f"{folder}: {count} files, {_megabytes(size)}, {free / 1e9:.0f} GB free ({about})"
    writable = os.access(existing, os.W_OK | os.X_OK) and existing.is_dir()
    return Line("cache", state, "" if writable else f"it cannot be written: {remedy}")


def _unreadable(error: OSError) -> str:
    return f"{error.filename or 'it'} cannot be read ({error.strerror})"


def _measured(folder: Path) -> tuple[int, int]:
    """Return how many files a folder holds, and their bytes; a link is counted where it leads."""
    count = size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            file = Path(path) / name
            with suppress(FileNotFoundError):  # others clean up meanwhile
                if not file.is_symlink():
                    count, size = count + 1, size + file.stat().st_size
    return count, size


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
