"""Takes the screen off what a network paints into the middle of a large hole.

A decoder that unfolds channels to pixels (Shi et al. 2016, sub-pixel convolution) gives each pixel of a cell
weights of its own. Far from the rim of a hole all cells look alike to it, so all get the same pattern, and a
regular screen is seen. What repeats from cell to cell is found as the mean over the cells nearby.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

PERIOD = 8
"""Rows and columns after which a network with strides of 8 begins anew, in pixels."""
NEAR = 5
"""Cells whose mean is taken, twice over, in rows and columns."""
LEAST = 0.04
"""So much is added to the share of what was seen nearby: a mean of few cells tells little."""


def screen(detail: Float[Tensor, "n c h w"], hole: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n c h w"]:
    """Return what repeats every `PERIOD` pixels; its mean is 0.

    Args:
        detail: What is added to a smooth surface; sides must be multiples of `PERIOD`.
        hole: 1 where pixels are removed, else 0.
    """
    return F.pixel_shuffle(_repeated(detail, hole), PERIOD)


def _repeated(detail: Float[Tensor, "n c h w"], hole: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n p y x"]:
    """What the cells round each cell have in common, pixel by pixel of a cell; its mean is 0."""
    coarse = F.interpolate(F.avg_pool2d(detail, PERIOD), scale_factor=PERIOD, mode="bilinear")
    cells = F.pixel_unshuffle((detail - coarse) * hole, PERIOD)
    down, right = (_tent(length, detail) for length in cells.shape[2:])
    cells, seen = (down @ one @ right for one in (cells, F.pixel_unshuffle(hole, PERIOD)))
    common = cells.unflatten(1, (-1, PERIOD**2)) / (seen + LEAST)[:, None]
    return (common - common.mean(2, keepdim=True)).flatten(1, 2)


def _tent(length: int, like: Tensor) -> Float[Tensor, "l l"]:
    """A matrix by which a vector becomes its means near each entry, twice over; beyond its ends are zeros."""
    away = torch.arange(length, device=like.device)
    near = ((away[:, None] - away).abs() <= NEAR // 2).to(like.dtype) / NEAR
    return near @ near
