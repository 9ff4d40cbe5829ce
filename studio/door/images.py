"""Anything that shows something: files, scenes, pictures, arrays and tensors."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from studio.door.things import listed
from studio.explain.inputs import InputImage, InputImages, folders, memory_image, scene_image

if TYPE_CHECKING:
    from numpy import ndarray
    from PIL.Image import Image
    from torch import Tensor

    AnyImage: TypeAlias = "str | Path | Image | ndarray | Tensor"

_SCENE = re.compile(r"scene:(-?\d+)")
_UNNAMED = "picture"


@dataclass(frozen=True, eq=False)
class Given:
    """An image as it was given.

    Attributes:
        path: Its file, if it is one.
        scene: Its number, if it is a scene.
    """

    image: InputImage
    path: Path | None = None
    scene: int | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """The fields of the request that ask for it."""
        if self.scene is not None:
            return {"scene": self.scene}
        return {"images": (self.path or Path(f"{self.image.folder}.png"),)}


def images_of(image: Any) -> list[Given]:
    """Return all images that are asked for, read.

    Raises:
        ValueError: If one of them cannot be read, or is no image.
    """
    found = listed(image, "image")
    stems = [key or _stem(thing) for key, thing in found]
    names = folders(stems)
    several = len(found) > 1
    return [_given(thing, name, several) for name, (_, thing) in zip(names, found, strict=True)]


def _stem(thing: Any) -> str:
    if isinstance(thing, str) and (scene := _SCENE.fullmatch(thing)):
        return f"scene-{scene[1]}"
    return Path(thing).stem if isinstance(thing, str | Path) else _UNNAMED


def _given(thing: Any, name: str, several: bool) -> Given:
    if isinstance(thing, str) and (scene := _SCENE.fullmatch(thing)):
        number = int(scene[1])
        InputImages((), number)  # which refuses numbers below 0
        return Given(replace(scene_image(number), folder=name), scene=number)
    if isinstance(thing, str | Path):
        if thing == "":
            raise ValueError("image: expected a file, a scene or an array, got ''")
        path = Path(thing)
        return Given(replace(InputImages((path,), 1).read(0), folder=name), path)
    return Given(memory_image(thing, name))
