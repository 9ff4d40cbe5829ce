"""The folder of a long job that is called from Python."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from studio.output import output_folder
from studio.registry.request import JobRequest

if TYPE_CHECKING:
    from studio.door.classifiers import Asked

Request = TypeVar("Request", bound=JobRequest)


def folder_of(given: object, name: str = "folder") -> Path:
    """Return the folder that a caller gives.

    Raises:
        ValueError: If it is no path, or an empty one, which would be the working folder.
    """
    if given == "" or not isinstance(given, str | PathLike):
        raise ValueError(f"{name}: expected a path, got {given!r:.80}")
    return Path(given)


@contextmanager
def run_folder(request: Request, asked: Asked, out: Path | str | None) -> Iterator[Request]:
    """Yield the request with its folder and its classifier.

    A temporary folder is there until Python ends, or until the job fails.

    Raises:
        ValueError: If ``out`` is no path, or an empty one, which would be the working folder.
    """
    place = None if out is None else folder_of(out, "out")
    scratch = Path(tempfile.mkdtemp(prefix="infill-")) if out is None else None
    folder = place or Path(str(scratch)) / "run"
    where = request.device if asked.own is None else str(asked.own.mean.device)
    if scratch is not None:
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    try:
        yield replace(request, out=folder, classifier=asked.name, device=where)
    except BaseException:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        raise


def kept(source: Path, names: Sequence[str], folder: Path) -> list[Path]:
    """Copy files into a folder; return their paths.

    Raises:
        ValueError: If they cannot be written.
    """
    with output_folder(folder) as output:
        return output.publish({name: partial(shutil.copyfile, source / name) for name in names})
