"""Write the files of a result so that either all of them are there, or none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class OutputFolder:
    """A folder into which finished files are moved from a temporary one inside it."""

    def __init__(self, path: Path, draft: Path) -> None:
        self.path, self._draft = path, draft

    def publish(self, files: Mapping[str, Callable[[Path], object]], within: str = "") -> list[Path]:
        """Let each function write its file, then move them all to their names; return these.

        Raises:
            OSError: If a file cannot be written; then none is moved.
        """
        for name, write in files.items():
            write(self._draft / name)
        place = self.path / within
        place.mkdir(exist_ok=True)
        for name in files:
            os.replace(self._draft / name, place / name)
        return [place / name for name in files]


@contextmanager
def output_folder(path: Path) -> Iterator[OutputFolder]:
    """Make the folder, before any work is done for it; remove it again if nothing came into it.

    Raises:
        ValueError: If the folder cannot be made or written to.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=path))
    except OSError as error:
        _remove_empty(made)
        raise ValueError(f"--out: cannot write to {path} ({error.strerror})") from error
    try:
        yield OutputFolder(path, draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        _remove_empty(made)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, deepest first, as far as they are empty."""
    for folder in folders:
        with suppress(OSError):  # not there, or not empty: it stays
            folder.rmdir()


def save_json(content: dict[str, Any], path: Path) -> None:
    """Write numbers and texts."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
