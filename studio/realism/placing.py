"""Where in an image a shape from elsewhere can be put without touching what is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Generator, Tensor

SCALES = (1.0, 0.84, 0.71, 0.59, 0.5, 0.42, 0.35, 0.25)
"""How much smaller a shape's sides may become if it fits nowhere; two steps halve its area, or nearly."""


def placed(
    shapes: Sequence[Float[Tensor, "1 h w"]],
    taken: Float[Tensor, "1 h w"],
    rng: Generator,
    percent: float | None = None,
    scales: Sequence[float] = SCALES,
) -> Float[Tensor, "1 h w"]:
    """Put one of the shapes at a random place where nothing is taken.

    The first shape that fits as it is; if none does, the first that fits a little smaller. All places where a
    shape fits are equally likely.

    Args:
        shapes: What may be put there, each in a view of its own.
        taken: 1 where it may not.
        rng: Draws the place.
        percent: Of the view, what the shape's area is to be; ``None``: what it is.
        scales: How much smaller its sides may become, tried in this order.

    Raises:
        ValueError: If there is no shape, or no room for any.
    """
    if not shapes:
        raise ValueError("no other image has an object whose shape could be put into the background")
    for scale in scales:
        for shape in shapes:
            cut = _scaled(_trimmed(shape), scale, percent, shape[0].numel())
            places = _places(taken, cut)
            if len(places):
                top, left = places[int(torch.randint(len(places), (), generator=rng))].tolist()
                hole = torch.zeros_like(taken)
                hole[0, top : top + cut.shape[0], left : left + cut.shape[1]] = cut
                return hole
    size = "" if percent is None else f" of {percent:g} % of the view"
    raise ValueError(f"the object leaves no room for a hole{size} in the background")


def _trimmed(shape: Float[Tensor, "1 h w"]) -> Float[Tensor, "y x"]:
    """The shape without the empty rows and columns around it."""
    rows, columns = (shape[0].any(axis).nonzero().flatten() for axis in (1, 0))
    return shape[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled(
    cut: Float[Tensor, "y x"], scale: float, percent: float | None, view: int
) -> Float[Tensor, "v u"]:
    """The shape with its sides, or those of the size asked for, multiplied with ``scale``."""
    if percent is not None:
        scale *= (percent / 100 * view / float(cut.sum())) ** 0.5
    if scale == 1:
        return cut
    size = [max(1, round(side * scale)) for side in cut.shape]
    due = max(1, round(float(cut.sum()) * scale**2))
    if percent is not None and size[0] * size[1] < due:  # both sides of a full rectangle were rounded down
        size = [math.ceil(side * scale) for side in cut.shape]
    resized = F.interpolate(cut[None, None], size=size, mode="bilinear", antialias=True)[0, 0]
    # Whatever is left of thin parts: exactly as many pixels as are due, those that are covered most.
    most = resized.flatten().argsort(descending=True, stable=True)[: min(due, resized.numel())]
    return torch.zeros_like(resized).flatten().scatter(0, most, 1).view_as(resized)


def _places(taken: Float[Tensor, "1 h w"], cut: Float[Tensor, "y x"]) -> Int[Tensor, "k 2"]:
    """The upper left corners (row, column) at which the shape lies inside and on nothing taken."""
    (height, width), (tall, wide) = taken.shape[1:], cut.shape
    if tall > height or wide > width:
        return torch.empty(0, 2, dtype=torch.long)
    # How many taken pixels each place has: the correlation of both, on the CPU, where it is always the same.
    size = (height + tall, width + wide)
    transformed = [torch.fft.rfft2(plane.double().cpu(), s=size) for plane in (taken[0], cut)]
    overlap: Tensor = torch.fft.irfft2(transformed[0] * transformed[1].conj(), s=size)
    return (overlap[: height - tall + 1, : width - wide + 1] < 0.5).nonzero()
