"""Fills that are kept on disk, so that another command need not make them again."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.files import size_and_time
from studio.libraries import versions
from studio.registry.identity import filler_identity
from studio.registry.request import GIGABYTES
from studio.registry.tables import ALL_FILLERS, SettingTexts
from studio.registry.variants import kind_of

if TYPE_CHECKING:
    from infill import Filler


class FillCacheWarning(UserWarning):
    """A folder of fills cannot be used; the work goes on without it."""


def opened_cache(folder: Path | None, gigabytes: float) -> FillCache | None:
    """Open a folder of fills, which several processes may share; ``None`` without one.

    Raises:
        ValueError: If the folder cannot be made or read, or holds something else.
    """
    if not 0 < gigabytes < math.inf:
        raise ValueError(f"--fill-cache-size: expected above 0 and finite (gigabytes), got {gigabytes:g}")
    if folder is None:
        if gigabytes != GIGABYTES:
            raise ValueError(f"--fill-cache-size: only with --fill-cache FOLDER, got {gigabytes:g}")
        return None
    import sqlite3

    import diskcache

    try:
        # Beyond the size, what was not asked for longest goes.
        cache = diskcache.Cache(
            str(folder),
            disk=_bytes_only(),
            size_limit=int(gigabytes * 2**30),
            eviction_policy="least-recently-used",
        )
    except (OSError, sqlite3.Error, ValueError) as error:
        raise ValueError(
            f"--fill-cache: cannot use {folder} ({error}); remove it, or give another folder"
        ) from error
    return FillCache(folder, cache)


@dataclass(eq=False)
class FillCache:
    """A folder of fills; as the store of `infill.fillers.remembered.Remembered` it never stops the work.

    Attributes:
        folder: Where it is.
        found: How many batches of holes were not filled again.
        missed: How many were.
    """

    folder: Path
    cache: Any
    found: int = 0
    missed: int = 0
    _failed: bool = field(default=False, repr=False)

    def keeping(self, name: str, settings: SettingTexts, precision: str, filler: Filler) -> Filler:
        """Return a filler that keeps its fills here, or the filler itself if that spares nothing."""
        from infill.fillers.remembered import Remembered

        if not filler.per_hole or filler.stochastic:
            return filler
        identity = filler_identity(name, settings)
        return Remembered(filler, self, repr((_machine(), _added(name), precision, identity)))

    def get(self, name: str) -> bytes | None:
        """Return what is kept under a name, if it can be read."""
        content = None
        with self._going_on():
            content = self.cache.get(name)
        self.found += content is not None
        self.missed += content is None
        return content if isinstance(content, bytes) else None

    def set(self, name: str, content: bytes) -> None:
        """Keep bytes under a name, if they can be written."""
        with self._going_on():
            self.cache.set(name, content)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Say once what is wrong with the folder, and go on without it."""
        import sqlite3

        import diskcache

        try:
            yield
        except (OSError, sqlite3.Error, diskcache.Timeout, TypeError, ValueError) as error:
            if not self._failed:
                text = f"--fill-cache: {self.folder} cannot be used ({error})"
                warnings.warn(text, FillCacheWarning, stacklevel=2)
            self._failed = True


def _machine() -> tuple[Any, ...]:
    """Return what a fill's last bits depend on, beside the filler."""
    import torch

    import infill
    import models
    from infill.network import fast_dtype

    folders = [Path(next(iter(package.__path__))) for package in (infill, models)]
    code = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    capability, dtype = torch.backends.cpu.get_cpu_capability(), fast_dtype(torch.device("cpu"))
    processor = torch.get_num_threads(), capability, dtype
    cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return versions(), processor, cards, [size_and_time(file) for file in code]


def _added(name: str) -> tuple[int, int] | None:
    """Return what changes when somebody works on a filler of their own, whose version stays."""
    entry = ALL_FILLERS[kind_of(name)]
    spec = importlib.util.find_spec(entry.target.partition(":")[0]) if entry.origin else None
    return size_and_time(Path(spec.origin)) if spec and spec.origin else None


def _bytes_only() -> Any:
    """Return how the library reads and writes: it unpickles nothing that others have put there."""
    import diskcache

    class BytesOnly(diskcache.Disk):  # type: ignore[misc]
        def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
            if mode == diskcache.core.MODE_PICKLE:
                raise ValueError("it holds something else")
            return super().fetch(mode, filename, value, read)

    return BytesOnly
