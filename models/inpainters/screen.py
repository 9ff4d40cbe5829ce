"""Takes the screen off what a network paints into the middle of a large hole.

A decoder that unfolds channels to pixels (Shi et al. 2016, sub-pixel convolution) gives each pixel of a cell
weights of its own. Far from the rim of a hole all cells look alike to it, so all get the same pattern, and a
regular screen is seen. What repeats from cell to cell is found as the mean over the cells nearby. It is laid
back with its phase shifted from place to place: the texture is as strong as before, but repeats no more.
"""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

PERIOD = 8
"""Rows and columns after which a network with strides of 8 begins anew, in pixels."""
DEPTH, RAMP = 6, 3
"""The screen is taken off wholly beyond `DEPTH + RAMP` pixels from the rim, and not within `DEPTH - RAMP`."""
NEAR = 5
"""Cells whose mean is taken, twice over, in rows and columns."""
LEAST = 0.04
"""So much is added to the share of what was seen nearby: a mean of few cells tells little."""
WAVE, AWAY = 8, 4.0
"""Phases drift over some `WAVE` pixels, by a standard deviation of `AWAY` pixels."""


def drift(tile: int) -> Int[Tensor, "2 t t"]:
    """How far phases are shifted down and right, in pixels, in a square that is repeated; always the same."""
    drawn = torch.randn(1, 2, tile // WAVE, tile // WAVE, generator=torch.Generator().manual_seed(1))
    # the border is repeated from the other side, so that squares fit together
    smooth = F.interpolate(F.pad(drawn, [2] * 4, mode="circular"), scale_factor=WAVE, mode="bicubic")
    rim = 2 * WAVE
    return (AWAY * smooth[0, :, rim:-rim, rim:-rim]).round().long()


def tiled(square: Shaped[Tensor, "*c t t"], height: int, width: int) -> Shaped[Tensor, "*c h w"]:
    """Return the square repeated over so many rows and columns."""
    times = [-(-length // square.shape[-1]) for length in (height, width)]
    return square.repeat(*[1] * (square.ndim - 2), *times)[..., :height, :width]


def unscreened(
    detail: Float[Tensor, "n c h w"], hole: Float[Tensor, "n 1 h w"], shift: Int[Tensor, "2 t t"]
) -> Float[Tensor, "n c h w"]:
    """Return the detail without what repeats every `PERIOD` pixels deep in the hole.

    Args:
        detail: What is added to a smooth surface; sides must be multiples of `PERIOD`.
        hole: 1 where pixels are removed, else 0. Where it is thin, the detail stays as it is.
        shift: What `drift` returned.
    """
    deep = _deep(hole)
    if not bool(deep.any()):
        return detail
    repeated = _repeated(detail, hole)
    return detail - deep * (F.pixel_shuffle(repeated, PERIOD) - _shifted(repeated, shift))


def _deep(hole: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """How deep in the hole a pixel is, from 0 to 1; beyond the image the hole goes on as at its border."""
    away, ramp = DEPTH // 2, RAMP // 2  # at half the size, where pixels of which any is observed are
    observed = F.max_pool2d(1 - hole, 2)
    observed = F.pad(observed, [away + ramp] * 4, mode="replicate")
    for side in ((2 * away + 1, 1), (1, 2 * away + 1)):
        observed = F.max_pool2d(observed, side, 1)
    return F.interpolate(1 - F.avg_pool2d(observed, 2 * ramp + 1, 1), scale_factor=2, mode="bilinear")


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


def _shifted(repeated: Float[Tensor, "n p y x"], shift: Int[Tensor, "2 t t"]) -> Float[Tensor, "n c h w"]:
    """The same pattern at full size, each pixel from elsewhere in its cell."""
    count, _, rows, columns = repeated.shape
    height, width = PERIOD * rows, PERIOD * columns
    down, right = tiled(shift, height, width)
    y = torch.arange(height, device=shift.device)[:, None]
    x = torch.arange(width, device=shift.device)
    phase = (y + down) % PERIOD * PERIOD + (x + right) % PERIOD
    index = (phase * rows + y // PERIOD) * columns + x // PERIOD
    every = repeated.reshape(count, -1, PERIOD**2 * rows * columns)
    return every[..., index.flatten()].unflatten(2, (height, width))
