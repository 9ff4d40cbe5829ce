"""Write the files of a result so that either all of them are there, or none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

_UNFINISHED = ".unfinished-"


class IncompleteError(Exception):
    """Part of a job could not be done; the rest is."""


class BusyError(ValueError):
    """Another command is writing to the folder."""


class OutputFolder:
    """A folder into which finished files are moved from a temporary one inside it."""

    def __init__(self, path: Path, draft: Path) -> None:
        self.path, self._draft = path, draft

    def publish(
        self,
        files: Mapping[str, Callable[[Path], object]],
        within: str = "",
        former: str = "",
        read: Mapping[str, Iterable[object]] = MappingProxyType({}),
    ) -> list[Path]:
        """Let each function write its file, then move them all to their names; return these.

        Args:
            files: By names, the last one being what tells of the others.
            within: In which folder of this one.
            former: A pattern of names; such files of a result that was here before, and that this one does
                not have, are removed.
            read: What the result is made from, see `require_apart`.

        Raises:
            ValueError: If a file would take the place of what is read, or of a folder.
            OSError: If a file cannot be written; then none is moved.
        """
        place = self.path / within
        require_apart(place, files, read)
        _check_free(place, files)
        told = (place / list(files)[-1]).exists()
        left = {path for path in place.glob(former) if path.name not in files} if former and told else ()
        for name, write in files.items():
            try:
                write(self._draft / name)
            except OSError as error:  # a full disk does not say which file
                raise OSError(error.errno, error.strerror or str(error), str(place / name)) from error
        place.mkdir(parents=True, exist_ok=True)
        # Whoever is killed in between must not leave the old report beside new files.
        (place / list(files)[-1]).unlink(missing_ok=True)
        for name in files:
            os.replace(self._draft / name, place / name)
        for path in left:
            path.unlink(missing_ok=True)
        return [place / name for name in files]


def require_apart(folder: Path, names: Iterable[str], read: Mapping[str, Iterable[object]]) -> None:
    """Check that no file that is written takes the place of one that is read.

    Args:
        folder: Where files are written.
        names: Theirs.
        read: What is read, by what it is; what is no path is no file.

    Raises:
        ValueError: If one does.
    """
    written = {(folder / name).resolve() for name in names}
    for what, files in read.items():
        for file in files:
            if isinstance(file, str | Path) and Path(file).resolve() in written:
                raise ValueError(
                    f"--out: {folder} has the {what} itself, which {Path(file).name} would overwrite"
                )


def require_folder(path: Path) -> None:
    """Check that a folder can be where one is written to.

    Raises:
        ValueError: If there is a file.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"--out: cannot write to {path}, which is a file; give a folder, or move it away")


def _check_free(place: Path, names: Iterable[str]) -> None:
    """Check, before any of them is moved, that files can be where they are to be."""
    require_folder(place)
    for name in names:
        if (place / name).is_dir():
            raise ValueError(
                f"--out: cannot write {place / name}, which is a folder; move it away, or give another folder"
            )


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make a folder, and those above it; remove them again if nothing came into them."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        _remove_empty(made)


@contextmanager
def output_folder(path: Path) -> Iterator[OutputFolder]:
    """Make the folder, before any work is done for it; remove it again if nothing came into it.

    Meanwhile it is this job's alone. What jobs that were killed have left unfinished is removed.

    Raises:
        ValueError: If the folder cannot be made or written to.
        BusyError: If another job is writing to it.
    """
    require_folder(path)
    with ExitStack() as stack:
        try:
            stack.enter_context(new_folder(path))
            stack.enter_context(_alone(path))
            for left in path.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
            draft = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=path))
        except OSError as error:
            raise ValueError(f"--out: cannot write to {path} ({error.strerror})") from error
        stack.callback(shutil.rmtree, draft, ignore_errors=True)
        yield OutputFolder(path, draft)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other jobs out of a folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(path / ".infill.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(
            f"--out: another command is writing to {path}; give another folder, or wait"
        ) from None
    try:
        yield
    finally:
        if os.name == "nt":  # an open file cannot be removed there, nor one that the next job has opened
            lock.release()
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, deepest first, as far as they are empty."""
    for folder in folders:
        with suppress(OSError):  # not there, or not empty: it stays
            folder.rmdir()


def save_json(content: dict[str, Any], path: Path) -> None:
    """Write numbers and texts."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def save_image(pixels: Any, path: Path) -> None:
    """Write colors "h w 3", or a hole "h w", in [0, 1], as PNG."""
    from PIL import Image

    Image.fromarray((pixels * 255).round().astype("uint8")).save(path, format="PNG")
