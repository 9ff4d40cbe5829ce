"""What tells a file from another one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path


def size_and_time(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does: bytes, time (ns). None if it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def digests(path: Path) -> Mapping[str, str]:
    """Return a digest of a file's content, or of all files' in a folder, by names that hold anywhere."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        str(file.relative_to(path)) if path.is_dir() else file.name: _digest(file, size_and_time(file))
        for file in files
        if file.is_file()
    }


@lru_cache(maxsize=256)  # weights of gigabytes are read once by a process
def _digest(file: Path, state: tuple[int, int] | None) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
