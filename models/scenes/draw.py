"""Labelled images in which the truth is known: the silhouette of every object and the background behind it.

A scene is drawn from (seed, index) alone and is the same on every machine: the random bits are PCG64's raw
output, the arithmetic is in double precision, and the picture is rounded to 8 bits.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from models.scenes.objects import OBJECT_CLASSES, ObjectClass
from models.scenes.rng import Rng
from models.scenes.textures import FAMILIES, Picture, Plane, color, grid
from models.scenes.textures import SIDE as SIDE

CLASSES: tuple[str, ...] = tuple(each.name for each in OBJECT_CLASSES)
BACKGROUNDS: tuple[str, ...] = tuple(family.__name__ for family in FAMILIES)


@dataclass(frozen=True, eq=False)
class Scene:
    """One image and everything that a photograph hides.

    Attributes:
        image: RGB in [0, 1], in steps of 1/255.
        background: The same image without objects and their shadows; equal to ``image`` elsewhere.
        silhouettes: The visible pixels of every object, in the order of ``labels``.
        boxes: The tightest box round every silhouette: xmin, ymin, xmax, ymax in pixels, maxima exclusive.
        labels: The objects' classes, indices into ``CLASSES``; different from each other.
        family: The name of the background's family.
    """

    image: Float[Tensor, "3 h w"]
    background: Float[Tensor, "3 h w"]
    silhouettes: Bool[Tensor, "o h w"]
    boxes: Int[Tensor, "o 4"]
    labels: tuple[int, ...]
    family: str


@dataclass(frozen=True)
class _Placed:
    """An object where it stands: opacity in [0, 1] and lit colours."""

    alpha: Float[ndarray, "h w"]
    picture: Float[ndarray, "h w 3"]


def draw(index: int, seed: int = 0, *, objects: int | None = None, bias: float = 0.0) -> Scene:
    """Draw scene number ``index`` of the world ``seed``.

    Args:
        index: Which scene, 0 or more.
        seed: Which world, 0 or more.
        objects: How many objects: 0, 1 or 2; by default one in two scenes out of three, else two.
        bias: The probability with which the first object's class decides the background's family;
            0 leaves the two independent, 1 makes the background as good a clue as the object.

    Raises:
        ValueError: If an argument is out of its range.
    """
    _check(index, seed, objects, bias)
    rng = Rng(seed, index, 0)
    count = (1 if rng.chance(2 / 3) else 2) if objects is None else objects
    labels = _labels(rng, count)
    family = rng.integer(len(FAMILIES))
    if rng.chance(bias) and labels:
        family = labels[0] % len(FAMILIES)
    background = np.clip(FAMILIES[family](Rng(seed, index, 1)), 0, 1)
    light = _Light(Rng(seed, index, 2))
    placed = _place(Rng(seed, index, 3), [OBJECT_CLASSES[label] for label in labels], light)
    scene = background
    for thing in placed:
        scene = scene * (1 - light.shadow(thing.alpha))[..., None]
        scene = scene + (thing.picture - scene) * thing.alpha[..., None]
    silhouettes = _visible([thing.alpha for thing in placed])
    return Scene(
        image=_develop(scene, light),
        background=_develop(background, light),
        silhouettes=torch.from_numpy(silhouettes),
        boxes=torch.from_numpy(_boxes(silhouettes)),
        labels=labels,
        family=BACKGROUNDS[family],
    )


def _check(index: int, seed: int, objects: int | None, bias: float) -> None:
    if index < 0 or seed < 0:
        raise ValueError(f"`index` and `seed` must be 0 or more, got index={index} and seed={seed}")
    if objects not in (None, 0, 1, 2):
        raise ValueError(f"`objects` must be 0, 1 or 2, got {objects}")
    if not 0 <= bias <= 1:
        raise ValueError(f"`bias` must be a probability in [0, 1], got {bias}")


def _labels(rng: Rng, count: int) -> tuple[int, ...]:
    first = rng.integer(len(OBJECT_CLASSES))
    second = (first + 1 + rng.integer(len(OBJECT_CLASSES) - 1)) % len(OBJECT_CLASSES)
    return (first, second)[:count]


class _Light:
    """One light for the whole scene: direction, colour, fall-off, shadows and the sensor's noise."""

    def __init__(self, rng: Rng) -> None:
        angle = rng.uniform(0, 2 * np.pi)
        self.direction = np.cos(angle), np.sin(angle)
        x, y = grid()
        fall = 1 + rng.uniform(0, 0.25) * (self.direction[0] * x + self.direction[1] * y)
        tint = 0.88 + 0.12 * color(rng, (0.02, 0.7), (0.0, 0.6), (1.0, 1.0))
        self.gain = fall[..., None] * tint * rng.uniform(0.75, 1.1)
        self.reach, self.softness = rng.uniform(4, 14), rng.uniform(2.5, 7)
        self.strength = rng.uniform(0.2, 0.6)
        # Sum of four uniforms: near enough to a normal, and exact on every machine.
        self.noise = (rng.array(4, SIDE, SIDE, 3).sum(0) - 2) * rng.uniform(0.004, 0.03)

    def shadow(self, alpha: Plane) -> Plane:
        """How much light an object takes from what lies behind it."""
        shift = [round(-self.direction[1] * self.reach), round(-self.direction[0] * self.reach)]
        padded = np.pad(alpha, 16)
        moved = np.roll(padded, shift, axis=(0, 1))[16:-16, 16:-16]
        return self.strength * gaussian_filter(moved, self.softness)

    def shade(self, depth: Plane) -> Plane:
        """Brightness of a rounded body from its depth inside the outline, in [0, 1]."""
        height = gaussian_filter(np.sqrt(np.clip(depth, 0, 1)), 1.5) * 14
        down, right = np.gradient(height)
        slope = -(self.direction[0] * right + self.direction[1] * down)
        return 0.95 + 0.35 * slope / np.sqrt(1 + down**2 + right**2)


def _place(rng: Rng, kinds: list[ObjectClass], light: _Light) -> list[_Placed]:
    spots = _spots(rng, len(kinds))
    return [_stand(rng, each, spot, light) for each, spot in zip(kinds, spots, strict=True)]


def _spots(rng: Rng, count: int) -> list[tuple[float, float, float]]:
    """Centre and radius in pixels; two objects lie apart, so that neither hides the other."""
    if count == 1:
        radius = rng.uniform(28, 64)
        room = SIDE - 1.5 * radius
        return [(SIDE / 2 + room * (rng.uniform() - 0.5), SIDE / 2 + room * (rng.uniform() - 0.5), radius)]
    angle = rng.uniform(0, 2 * np.pi)
    spots = []
    for i in range(count):
        radius = rng.uniform(26, 46)
        away = radius + rng.uniform(6, 16)
        turn = angle + np.pi * i + rng.uniform(-0.3, 0.3)
        x, y = SIDE / 2 + 1.25 * away * np.cos(turn), SIDE / 2 + 1.25 * away * np.sin(turn)
        spots.append((x, y, radius))
    return spots


def _stand(rng: Rng, object_class: ObjectClass, spot: tuple[float, float, float], light: _Light) -> _Placed:
    x, y, radius = spot
    turn, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.18)
    c, s = np.cos(turn), np.sin(turn)
    line = np.arange(SIDE) + 0.5
    dx, dy = np.meshgrid(line - x, line - y)
    u, v = (c * dx + s * dy) / (radius * stretch), (c * dy - s * dx) / (radius / stretch)
    f = object_class.shape(u, v)
    down, right = np.gradient(f)
    distance = f / np.maximum(np.hypot(down, right), 1e-6)  # to the outline, in pixels, near the outline
    alpha = np.clip(0.5 - distance, 0, 1)
    depth = np.clip(-distance / 9, 0, 1)
    picture = object_class.texture(rng, u, v) * light.shade(depth)[..., None]
    return _Placed(alpha=alpha, picture=np.clip(picture, 0, 1))


def _visible(alphas: list[Plane]) -> Bool[ndarray, "o h w"]:
    shown = np.zeros((len(alphas), SIDE, SIDE), dtype=bool)
    for i, alpha in enumerate(alphas):
        shown[:i] &= alpha < 0.5
        shown[i] = alpha >= 0.5
    return shown


def _boxes(silhouettes: Bool[ndarray, "o h w"]) -> Int[ndarray, "o 4"]:
    boxes = np.zeros((len(silhouettes), 4), dtype=np.int64)
    for i, silhouette in enumerate(silhouettes):
        rows, columns = np.flatnonzero(silhouette.any(1)), np.flatnonzero(silhouette.any(0))
        boxes[i] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def _develop(picture: Picture, light: _Light) -> Float[Tensor, "3 h w"]:
    exposed = np.clip(picture * light.gain + light.noise, 0, 1)
    return torch.from_numpy(np.rint(exposed * 255).astype(np.uint8)).permute(2, 0, 1).float() / 255
