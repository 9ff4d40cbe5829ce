"""Write files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

_UNFINISHED = ".unfinished"


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write a file under another name, then move it; its folder is made.

    Raises:
        OSError: If that cannot be done; it names the file.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(draft)
        os.replace(draft, path)
    except OSError as error:  # a full disk does not say which file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        draft.unlink(missing_ok=True)


def made_once(path: Path, make: Callable[[], object]) -> None:
    """Have a file made unless it is there; of several processes one makes it, and the others wait."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            make()


def remove_unfinished(folder: Path) -> None:
    """Remove what jobs of this folder that were killed have left, where they write.

    Other jobs may be at work in folders within it.
    """
    for place in ("", "parts/*/", "heatmaps/*/"):
        for left in folder.glob(f"{place}*{_UNFINISHED}"):
            left.unlink(missing_ok=True)
