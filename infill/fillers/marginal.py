"""Samples of what a hole may hold, given its surroundings: the removal of prediction difference analysis."""

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from infill.exact import exact, rounded
from infill.filler import Chance, Fill, Hole, Images, check_rgb, spawn
from infill.fillers.kriging import UNKNOWNS, Conditional, block_covariance, conditional
from infill.network import unrounded
from infill.validate import Length, require_settings

Pixels: TypeAlias = Float[Tensor, "3 h w"]
Hidden: TypeAlias = Bool[Tensor, "h w"]

# The mean covariance of R, G and B within a photograph, on the photographs of `infill.fillers.kriging`.
COVARIANCE = ((0.0558, 0.0496, 0.0448), (0.0496, 0.0528, 0.0483), (0.0448, 0.0483, 0.0536))


@dataclass(frozen=True)
class Marginal:
    """Samples of the hidden pixels given those around them (Zintgraf et al. 2017, sec. 3).

    The paper fits one normal distribution to patches of one size. Here the image is a stationary Gaussian
    random field, so that holes may have any shape: a pixel's color has the mean ``m`` of the surroundings,
    and two pixels d apart have the covariance ``Sigma * rho(d)`` with the correlation ``rho`` of photographs
    of 224 pixels (`infill.fillers.kriging.MIXTURE`). Hidden pixels h given observed ones o are
    ``m + W (x_o - m) + L z``, clamped to [0, 1], with ``W = C_ho C_oo^-1``, ``L L^T = C_hh - W C_oh`` and z
    standard normal. ``Sigma`` (of the colors, 3 x 3) is estimated from the image around the hole, so that
    smooth places are continued smoothly and lively ones in a lively way: from the differences of observed
    pixels two apart and, counted like one such difference, the mean covariance within a photograph. Where
    nothing is observed, ``m`` is 0.5 and ``Sigma`` that covariance.

    A hole of more than 900 pixels is drawn on a coarser grid, of the means of f x f pixels, and enlarged
    bilinearly: its fill is smoother than a photograph. A mean is of the observed pixels under it, and hidden
    if these are less than half. Hidden pixels of other blocks take what the grid has there; where no hidden
    block is beside theirs, as in thin or scattered holes, each is drawn around that by itself, with the
    variance of pixels within a block.

    Args:
        context: How many pixels around a hidden pixel, straight or diagonal, it is drawn from; 1300 in all
            at most, the nearest. On a coarser grid it is rounded up, to two steps at least.

    Raises:
        ValueError: If ``context`` is below 1.
    """

    context: Length = 8
    per_hole: ClassVar[bool] = True
    sees_hidden: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_settings(self)

    @unrounded()
    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Draw one sample per hole. What is hidden by less than a half counts as observed.

        Raises:
            ValueError: If ``generator`` is ``None`` or not on the CPU, or the image is not RGB.
        """
        check_rgb(image, hole)
        fill = (
            image.detach().float().expand(len(hole), -1, -1, -1).clone(memory_format=torch.contiguous_format)
        )
        hidden = (hole.detach() >= 0.5)[:, 0].cpu()
        for pixels, gone, chance in zip(fill, hidden, spawn(generator, len(hole)), strict=True):
            if gone.any():
                self._fill(pixels, gone, chance)
        return fill.to(image.dtype)

    def _fill(self, pixels: Pixels, gone: Hidden, chance: Generator) -> None:
        """Fill one image in place, from the part of it around the hole."""
        block, reach, part = self._frame(gone)
        pixels, gone = pixels[:, *part], gone[part]
        observed = (~gone).to(pixels.device)
        # Zero, lest anything under the hole (NaN, too) gets through a product with zero.
        values = _block_means(torch.where(observed, pixels, 0.0), block)
        values /= _block_means(observed[None].to(values.dtype), block).clamp_min(1e-6)
        hidden = _hidden_blocks(gone, block)
        shape = (hidden.shape[0], hidden.shape[1])
        grid, known = values, ~hidden.to(pixels.device)
        if hidden.any():
            plan = conditional(shape, hidden.numpy().tobytes(), block, reach, pixels.device)
            values.view(3, -1)[:, plan.hidden] = _draw(values, ~known, plan, chance)
        if block > 1:
            values = F.interpolate(values[None], scale_factor=block, mode="bilinear")[0]
        values = values[:, : gone.shape[0], : gone.shape[1]]
        alone = gone & ~_beside(hidden, block)[: gone.shape[0], : gone.shape[1]]
        if alone.any():
            values[:, alone.to(pixels.device)] += _grain(grid, known, block, int(alone.sum()), chance)
        pixels.copy_(torch.where(observed, pixels, values.clamp(0, 1)))

    def _frame(self, gone: Hidden) -> tuple[int, int, tuple[slice, slice]]:
        """Return the side of a block, how many blocks are looked at around a hidden one, and where."""
        # Not `any` along an axis, which takes several times as long.
        spans = [gone.view(torch.uint8).amax(1 - axis).nonzero() for axis in (0, 1)]
        ends = [(int(span[0]), int(span[-1]) + 1) for span in spans]
        for block in itertools.count(1):
            reach = max(math.ceil(self.context / block), min(block, 2))
            rows, columns = (
                slice(max(start - reach * block, 0), stop + reach * block) for start, stop in ends
            )
            if _hidden_blocks(gone[rows, columns], block).sum() <= UNKNOWNS:
                break
        return block, reach, (rows, columns)


def _hidden_blocks(gone: Hidden, block: int) -> Bool[Tensor, "rows columns"]:
    return _block_means(gone[None].float(), block)[0] > 0.5


def _beside(hidden: Hidden, block: int) -> Bool[Tensor, "y x"]:
    """Which pixels lie in a hidden block, or in one of the eight around it."""
    near = F.max_pool2d(hidden[None].float(), 3, stride=1, padding=1)[0] > 0
    return near.repeat_interleave(block, 0).repeat_interleave(block, 1)


def _block_means(planes: Float[Tensor, "c h w"], block: int) -> Float[Tensor, "c rows columns"]:
    """Average over blocks; at the far edges over that part of a block which lies inside."""
    return planes if block == 1 else F.avg_pool2d(planes, block, ceil_mode=True)


def _draw(values: Pixels, hidden: Hidden, plan: Conditional, chance: Generator) -> Float[Tensor, "3 n"]:
    """Draw the hidden values of one grid."""
    observed = values.flatten(1)[:, plan.observed]
    mean = observed.mean(1, keepdim=True) if len(plan.observed) else values.new_full((3, 1), 0.5)
    noise = torch.randn(3, len(plan.hidden), generator=chance, device="cpu", dtype=torch.float32).to(values)
    root = rounded(torch.linalg.cholesky(_colors(values, ~hidden, plan.semivariance)), values)
    drawn: Tensor = mean + (observed - mean) @ plan.weights.mT + root @ noise @ plan.root.mT
    return drawn


def _grain(values: Pixels, known: Hidden, block: int, count: int, chance: Generator) -> Float[Tensor, "3 n"]:
    """Draw how far pixels are from the means of their blocks."""
    steps = block_covariance(1, 3, block)[0]
    root = rounded(torch.linalg.cholesky(_colors(values, known, float(steps[0] - steps[2]))), values)
    noise = torch.randn(3, count, generator=chance, device="cpu", dtype=torch.float32).to(values)
    drawn: Tensor = (1 - float(steps[0])) ** 0.5 * root @ noise
    return drawn


def _colors(values: Pixels, known: Hidden, semivariance: float) -> Float[Tensor, "3 3"]:
    """Estimate the covariance of the colors of a pixel from known values two steps apart."""
    down = (values[:, 2:] - values[:, :-2])[:, known[2:] & known[:-2]]
    across = (values[..., 2:] - values[..., :-2])[:, known[:, 2:] & known[:, :-2]]
    steps = exact(torch.cat([down, across], 1))
    prior = steps.new_tensor(COVARIANCE)
    return (prior + steps @ steps.mT / (2 * semivariance)) / (1 + steps.shape[1])
