"""What tells a file from another one."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

BY_CONTENT = "content:"
"""How digests of folders of photographs begin; before, they were made of times, and began with nothing."""
_READERS = 4


def alike(name: str) -> str:
    """Return the same for names that differ only in case or in how accents are made, as to some systems."""
    return unicodedata.normalize("NFC", name).casefold()


def size_and_time(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does: bytes, time (ns). None if it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def stamps(path: Path) -> list[tuple[str, tuple[int, int] | None]]:
    """Return what changes when a file does, or any in a folder: full paths, each with `size_and_time`."""
    files = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    return [(str(file.absolute()), size_and_time(file)) for file in files]


def digests(path: Path) -> Mapping[str, str]:
    """Return a digest of a file's content, or of all files' in a folder, by names that hold anywhere."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        str(file.relative_to(path)) if path.is_dir() else file.name: _digest(file, size_and_time(file))
        for file in files
        if file.is_file()
    }


def contents(paths: Iterable[Path]) -> Mapping[Path, str]:
    """Return a digest of each file's content, of a folder's names, or nothing for what cannot be read.

    ImageNet's 50,000 photographs take about 10 s of computing, and explaining them takes days: so they need
    not be told by their times, which a copy does not keep.
    """
    each = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(_READERS) as pool:
        return dict(zip(each, pool.map(_content, each, chunksize=64), strict=True))


def _content(path: Path) -> str:
    try:
        if path.is_dir():
            return hashlib.sha256(
                "\0".join(sorted(each.name for each in path.iterdir())).encode()
            ).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@lru_cache(maxsize=256)  # weights of gigabytes are read once by a process
def _digest(file: Path, state: tuple[int, int] | None) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
