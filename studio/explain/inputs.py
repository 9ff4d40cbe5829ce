"""What is explained: image files, or a scene with its truth."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.data.image import read_picture
from studio.data.pixels import pixels_of
from studio.files import alike

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from models.scenes import Scene


_DEVICE = re.compile(r"(?i)con|prn|aux|nul|com\d|lpt\d")
"""What names a device on Windows, whatever stands behind a dot."""


@dataclass(frozen=True, eq=False)
class InputImage:
    """One image to explain.

    Attributes:
        folder: Name of its own folder, different from all others' names.
        title: What figures and messages call it.
        pixels: RGB in [0, 1], of the file's or the scene's own size.
        origin: Where it is from, for ``explain.json``.
        notes: What was done to it when it was read.
        scene: The scene with its truth, if it is one.
    """

    folder: str
    title: str
    pixels: Float[Tensor, "3 h w"]
    origin: dict[str, Any]
    notes: Sequence[str] = ()
    scene: Scene | None = None


class InputImages:
    """The images of a job, read one at a time; without any, the scene of this number.

    Attributes:
        paths: The files.
        names: What messages call the images.
        folders: The name of each one's own folder, different from all others'.

    Raises:
        ValueError: If the scene's number is negative; or, if ``strict``, if one of several files cannot be
            read as an image, so that the last one's fault is found before the first is explained.
    """

    def __init__(self, paths: Sequence[Path], scene: int, strict: bool = False) -> None:
        if scene < 0:
            raise ValueError(f"--scene: expected 0 or more, got {scene}")
        self.paths, self._scene = tuple(paths), scene
        self.names = [_named(path) for path in paths] or [f"scene {scene}"]
        self.folders = folders([printable(path.stem) for path in paths]) or [f"scene-{scene}"]
        for path in paths if strict and len(paths) > 1 else ():
            read_picture(path)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[InputImage]:
        return map(self.read, range(len(self)))

    def read(self, index: int) -> InputImage:
        """Read one image.

        Raises:
            ValueError: If its file cannot be read as one.
        """
        return _file(self.paths[index], self.folders[index]) if self.paths else scene_image(self._scene)


def memory_image(image: Any, folder: str) -> InputImage:
    """Return an image that is in memory, see `studio.data.pixels.pixels_of`.

    Raises:
        ValueError: As for `pixels_of`.
    """
    pixels, notes, kind = pixels_of(image, folder)
    height, width = pixels.shape[1:]
    digest = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
    origin = {"memory": kind, "sha256": digest, "height": height, "width": width, "notes": list(notes)}
    return InputImage(folder, ", ".join([f"{folder}, {width} x {height}", *notes]), pixels, origin, notes)


def read_pixels(path: Path) -> Float[Tensor, "3 h w"]:
    """Return the pixels of an image file, RGB in [0, 1].

    Raises:
        ValueError: If it cannot be read as one.
    """
    return read_picture(path).image


def _file(path: Path, folder: str) -> InputImage:
    picture = read_picture(path)
    height, width = picture.image.shape[1:]
    origin = {"file": printable(str(path)), "height": height, "width": width, "notes": list(picture.notes)}
    title = ", ".join([f"{_named(path)}, {width} x {height}", *picture.notes])
    return InputImage(folder, title, picture.image, origin, picture.notes)


def printable(name: str) -> str:
    """Return a file's name as text: one that is no UTF-8, as archives from elsewhere have it, is none."""
    return os.fsencode(name).decode("utf-8", "replace")


def _named(path: Path) -> str:
    return " ".join(printable(path.name).split())  # a name may have line breaks


def scene_image(index: int) -> InputImage:
    """Return the drawn scene of this number, with its truth."""
    from models import scenes

    scene = scenes.draw(index)
    names = [scenes.CLASSES[label] for label in scene.labels]
    height, width = scene.image.shape[1:]
    origin = {
        "scene": index,
        "height": height,
        "width": width,
        "objects": [
            {"label": name, "box": box} for name, box in zip(names, scene.boxes.tolist(), strict=True)
        ],
    }
    title = f"scene {index}: {' and '.join(names)}"
    return InputImage(f"scene-{index}", title, scene.image, origin, (), scene)


def folders(stems: Iterable[str]) -> list[str]:
    """Return the stems as names of folders, numbered where one comes again.

    What means another folder, or is no name on some systems, is changed.
    """
    return numbered([_fit(stem) for stem in stems])


def numbered(stems: Sequence[str]) -> list[str]:
    """Return names, numbered where one comes again, or one that is `alike`."""
    taken: set[str] = set()
    names = []
    for stem in stems:
        name, number = stem, 1
        while alike(name) in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(alike(name))
        names.append(name)
    return names


def _fit(stem: str) -> str:
    """Return a stem that is a folder's name everywhere: Windows drops dots and blanks at the end."""
    name = stem.rstrip(". ") or "image"
    first, dot, rest = name.partition(".")
    return f"{first}_{dot}{rest}" if _DEVICE.fullmatch(first) else name
