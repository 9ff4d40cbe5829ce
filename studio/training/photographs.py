"""Photographs to train on: read and reduced once, into one file of which only what is used is read again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL
from PIL import Image

from studio import version
from studio.data.folders import images_in
from studio.data.image import read_picture
from studio.files import size_and_time
from studio.progress import Progress
from studio.runs.write import made_once, write_whole

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray

SIDE = 288
"""Short sides are reduced to at most so many pixels."""


class Photographs:
    """Pictures of many sizes, in a file that is mapped: memory does not grow with their number.

    Attributes:
        path: All pixels, one picture after another.
        sizes: Heights and widths.
        wrong: What is wrong with the photographs that could not be read, by their names.
    """

    def __init__(self, path: Path) -> None:
        known = json.loads(_index(path).read_text("utf-8"))
        self.path, self.sizes, self.wrong = path, known["sizes"], known["wrong"]
        self._starts = np.cumsum([0, *(3 * height * width for height, width in self.sizes)])
        self._pixels = np.memmap(path, np.uint8, "r")

    def __reduce__(self) -> tuple[type[Photographs], tuple[Path]]:
        """Let other processes map the file themselves."""
        return Photographs, (self.path,)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> UInt8[ndarray, "h w 3"]:
        """Return a picture."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        pixels = np.asarray(self._pixels[self._starts[index] : self._starts[index + 1]])
        return pixels.reshape(*self.sizes[index], 3)


def photographs(folder: Path, kept: Path) -> Photographs:
    """Read every picture of a folder as all of infill does, its short side reduced to at most `SIDE` pixels.

    Args:
        folder: The pictures.
        kept: The folder in which they are kept as they are trained on, for the next training, too.

    Raises:
        ValueError: If the folder holds no picture, or none that can be read.
    """
    names = images_in(folder)
    if not names:
        raise ValueError(f"`photos` must be a folder with pictures, found none in {folder}")
    states = [(name, size_and_time(folder / name)) for name in names]
    read = (str(folder.absolute()), SIDE, states, version(), PIL.__version__)
    path = kept / f"photographs-{hashlib.sha256(repr(read).encode()).hexdigest()[:16]}.bin"
    # What was wrong may be right now, as after a disk was mounted.
    if not _whole(path) or any(_readable(folder / name) for name in Photographs(path).wrong):
        _index(path).unlink(missing_ok=True)
    made_once(_index(path), partial(_keep, folder, names, path))
    return Photographs(path)


def identity(folder: Path) -> str:
    """Return what tells a folder's pictures from others, wherever they are: their number, names and sizes."""
    states = [(str(name), (size_and_time(folder / name) or (None,))[0]) for name in images_in(folder)]
    return f"{len(states)} ({hashlib.sha256(repr(states).encode()).hexdigest()[:16]})"


def _whole(path: Path) -> bool:
    """Whether index and pixels are there, and fit each other."""
    try:
        sizes = json.loads(_index(path).read_text("utf-8"))["sizes"]
        return path.stat().st_size == sum(3 * height * width for height, width in sizes)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _index(path: Path) -> Path:
    return path.with_suffix(".json")


def _keep(folder: Path, names: Sequence[str], path: Path) -> None:
    """Write all pixels, then what tells them apart: where that is, they are whole."""
    for left in path.parent.glob(f"{path.name}.*"):  # by a training that was killed
        left.unlink(missing_ok=True)
    sizes: list[tuple[int, ...]] = []
    wrong: dict[str, str] = {}

    def write(draft: Path) -> None:
        with draft.open("wb") as file, Progress(brief=True) as progress:
            progress.plan(len(names), "photographs")
            with progress.run(f"photographs of {folder}"):
                for number, name in enumerate(names, 1):
                    try:
                        pixels = _reduced(folder / name)
                    except ValueError as error:
                        wrong[name] = str(error)
                    else:
                        sizes.append(pixels.shape[:2])
                        file.write(pixels.tobytes())
                    progress(number, len(names))
        if not sizes:
            raise ValueError(
                f"`photos` must be a folder with pictures that can be read; {next(iter(wrong.values()))}"
            )

    write_whole(path, write)
    known = {"folder": str(folder), "sizes": sizes, "wrong": wrong}
    write_whole(_index(path), lambda draft: draft.write_text(json.dumps(known), "utf-8"))
    _forget_former(path, folder)


def _forget_former(path: Path, folder: Path) -> None:
    """Remove what was kept of the same folder before a photograph, or a library, was another one."""
    for index in path.parent.glob("photographs-*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):  # of another make, or in use on Windows
            if index != _index(path) and json.loads(index.read_text("utf-8"))["folder"] == str(folder):
                index.unlink()
                index.with_suffix(".bin").unlink()


def _readable(path: Path) -> bool:
    try:
        read_picture(path)
    except ValueError:
        return False
    return True


def _reduced(path: Path) -> UInt8[ndarray, "h w 3"]:
    pixels: ndarray = read_picture(path).image.mul(255).round().byte().permute(1, 2, 0).numpy()
    scale = SIDE / min(pixels.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(pixels)
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
