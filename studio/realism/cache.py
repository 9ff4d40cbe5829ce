"""The results of a long job so far, piece by piece, so that it can be broken off and go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.runs.arrays import read_arrays, write_arrays
from studio.runs.part import DamagedError
from studio.runs.write import write_whole

if TYPE_CHECKING:
    from numpy import ndarray

FOLDER = "parts"


class Cache:
    """Arrays by kind and number, in ``parts/`` of the output folder.

    A kind's folder is named after everything that its arrays depend on, so that a job with other settings
    neither finds nor disturbs them.

    Attributes:
        damaged: Files that were found damaged, and count as not there.
    """

    def __init__(self, out: Path, common: Mapping[str, Any]) -> None:
        self._folder, self._common = out / FOLDER, dict(common)
        self._places: dict[str, Path] = {}
        self.damaged: list[Path] = []

    def add_kind(self, name: str, settings: Any = None) -> None:
        """Introduce a kind of arrays and what they depend on beside what is common."""
        text = json.dumps([self._common, settings], sort_keys=True, default=str)
        self._places[name] = self._folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def load(self, kind: str, number: int) -> dict[str, ndarray] | None:
        """Return what was kept; ``None`` if nothing was, or the file is damaged."""
        path = self._file(kind, number)
        try:
            return read_arrays(path)
        except FileNotFoundError:
            return None
        except DamagedError:
            if path not in self.damaged:
                self.damaged.append(path)
            return None

    def save(self, kind: str, number: int, arrays: Mapping[str, ndarray]) -> None:
        """Keep arrays, under a temporary name first."""
        write_whole(self._file(kind, number), partial(write_arrays, arrays))

    def _file(self, kind: str, number: int) -> Path:
        return self._places[kind] / f"{number:06d}.parquet"
