"""Photographs and scenes with the holes that the benchmarks cut into them; same seed, same holes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from attribution import Lime
from models.scenes import draw
from studio.data.image import read_picture
from studio.realism.placing import placed
from studio.realism.regions import LENDERS

ASSETS = Path(os.environ.get("INFILL_ASSETS", Path(__file__).parents[2] / "shared" / "assets"))
MOBILENET = ASSETS / "classifiers" / "mobilenet_v2.safetensors"
SIDE = 224
WORLD = 2
"""A world of scenes that is neither the default one nor the one that the networks were trained in."""


@dataclass(frozen=True)
class Case:
    """One image and one hole.

    Attributes:
        image: "3 224 224" in [0, 1].
        hole: "1 224 224", 1 where pixels are removed.
        truth: What is behind the hole: the image itself, or a scene's background without the object.
    """

    image: Tensor
    hole: Tensor
    truth: Tensor


def photographs(count: int | None = None) -> list[Tensor]:
    """ImageNet validation photographs, which no network here was trained on: short side 224, middle."""
    paths = sorted((ASSETS / "imagenet_val" / "images").iterdir())[:count]
    return [squared(read_picture(path).image) for path in paths]


def squared(image: Tensor, mode: str = "bilinear") -> Tensor:
    """The short side reduced to 224 pixels, and of the long one the middle."""
    height, width = image.shape[1:]
    scale = SIDE / min(height, width)
    size = (max(SIDE, round(height * scale)), max(SIDE, round(width * scale)))
    antialias = mode == "bilinear"
    reduced = interpolate(image[None], size=size, mode=mode, antialias=antialias)[0]
    top, left = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    return reduced[:, top : top + SIDE, left : left + SIDE].clamp(0, 1)


def squares(images: list[Tensor], side: int) -> Iterator[Case]:
    """One square at a random place of each image."""
    rng = torch.Generator().manual_seed(side)
    for image in images:
        y, x = torch.randint(0, SIDE - side + 1, (2,), generator=rng).tolist()
        hole = torch.zeros(1, SIDE, SIDE)
        hole[:, y : y + side, x : x + side] = 1
        yield Case(image, hole, image)


def superpixels(images: list[Tensor], segments: int = 50) -> Iterator[Case]:
    """A random half of the SLIC superpixels of each image."""
    rng = torch.Generator().manual_seed(segments)
    for image in images:
        labels = Lime(segments=segments).segment(image)
        found = labels.unique()
        off = found[torch.randperm(len(found), generator=rng)[: len(found) // 2]]
        yield Case(image, torch.isin(labels, off)[None].float(), image)


def silhouettes(count: int | None = None, grow: int = 3) -> Iterator[Case]:
    """ECSSD photographs, the salient object's silhouette grown by some pixels so that no rim remains."""
    for path in sorted((ASSETS / "ecssd" / "images").iterdir())[:count]:
        image = squared(read_picture(path).image)
        drawn = read_picture(ASSETS / "ecssd" / "masks" / f"{path.stem}.png").image[:1]
        hole = squared((drawn > 0.5).float(), "nearest")
        yield Case(image, max_pool2d(hole, 2 * grow + 1, 1, grow), image)


def backgrounds(cases: list[Case], percent: float | None = None) -> Iterator[Case]:
    """Images of `silhouettes` with the hole of another one, put where no object is.

    Left out are images with no room for a hole of ``percent`` of them (of any size, if it is ``None``).
    """
    for number, case in enumerate(cases):
        rng = torch.Generator().manual_seed(number)
        others = [other for other in torch.randperm(len(cases), generator=rng).tolist() if other != number]
        shapes = [cases[other].hole for other in others[:LENDERS]]
        try:
            hole = placed(shapes, max_pool2d(case.hole, 3, 1, 1), rng, percent)
        except ValueError:
            continue
        if percent is None or hole.mean() > 0.009 * percent:
            yield Case(case.image, hole, case.image)


def scene_objects(count: int, grow: int = 2) -> Iterator[Case]:
    """Scenes with their one object under the hole; the truth is the background."""
    for index in range(count):
        scene = draw(index, WORLD, objects=1)
        hole = max_pool2d(scene.silhouettes.any(0)[None].float(), 2 * grow + 1, 1, grow)
        yield Case(scene.image, hole, scene.background)


def empty_scenes(count: int) -> list[Tensor]:
    """Backgrounds of scenes."""
    return [draw(index, WORLD, objects=0).image for index in range(count)]
