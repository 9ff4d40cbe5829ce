"""Photographs to train on: read and reduced once, into one file of which only what is used is read again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from filelock import FileLock
from PIL import Image

from studio.data.folders import images_in
from studio.data.image import read_picture
from studio.files import size_and_time
from studio.progress import Progress
from studio.runs.write import write_whole

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray

SIDE = 288
"""Short sides are reduced to at most so many pixels."""


class Photographs(Sequence["UInt8[ndarray, 'h w 3']"]):
    """Pictures of many sizes, in a file that is mapped: memory does not grow with their number.

    Attributes:
        path: All pixels, one picture after another.
        sizes: Heights and widths.
        wrong: What is wrong with the photographs that could not be read.
    """

    def __init__(self, path: Path) -> None:
        known = json.loads(_index(path).read_text("utf-8"))
        self.path, self.sizes, self.wrong = path, known["sizes"], known["wrong"]
        self._starts = np.cumsum([0, *(3 * height * width for height, width in self.sizes)])
        self._pixels = np.memmap(path, np.uint8, "r")

    def __reduce__(self) -> tuple[Any, ...]:
        """Let other processes map the file themselves."""
        return Photographs, (self.path,)

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, index: int) -> UInt8[ndarray, "h w 3"]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[UInt8[ndarray, "h w 3"]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return a picture, or some."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        index = range(len(self))[index]
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
    digest = hashlib.sha256(repr((str(folder.absolute()), SIDE, states)).encode()).hexdigest()[:16]
    path = kept / f"photographs-{digest}.bin"
    if not _index(path).exists():
        kept.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # another training may be reading them
            if not _index(path).exists():
                for left in kept.glob(f"{path.name}.*"):  # by a training that was killed
                    left.unlink(missing_ok=True)
                _keep(folder, names, path)
    return Photographs(path)


def _index(path: Path) -> Path:
    return path.with_suffix(".json")


def _keep(folder: Path, names: Sequence[str], path: Path) -> None:
    """Write all pixels, then what tells them apart: where that is, they are whole."""
    sizes: list[tuple[int, ...]] = []
    wrong: list[str] = []

    def write(draft: Path) -> None:
        with draft.open("wb") as file, Progress(passing=True) as progress:
            progress.plan(len(names), "photographs")
            with progress.run(f"photographs of {folder}"):
                for number, name in enumerate(names, 1):
                    try:
                        pixels = _reduced(folder / name)
                    except ValueError as error:
                        wrong.append(str(error))
                    else:
                        sizes.append(pixels.shape[:2])
                        file.write(pixels.tobytes())
                    progress(number, len(names))
        if not sizes:
            raise ValueError(f"`photos` must be a folder with pictures that can be read; {wrong[0]}")

    write_whole(path, write)
    known = {"folder": str(folder), "sizes": sizes, "wrong": wrong}
    write_whole(_index(path), lambda draft: draft.write_text(json.dumps(known), "utf-8"))


def _reduced(path: Path) -> UInt8[ndarray, "h w 3"]:
    pixels: ndarray = read_picture(path).image.mul(255).round().byte().permute(1, 2, 0).numpy()
    scale = SIDE / min(pixels.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(pixels)
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
