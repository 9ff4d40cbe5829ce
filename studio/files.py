"""What is known of a file without reading it."""

from __future__ import annotations

from pathlib import Path


def size_and_time(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does: bytes, time (ns). None if it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
