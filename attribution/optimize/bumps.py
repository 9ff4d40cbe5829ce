"""Smooth maps: the smooth maximum of bumps on a coarse grid (Fong et al. 2019, eq. 8 and 9)."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from attribution.holes import upsampled

COLDNESS = 20.0
"""Of the smooth maximum: large values come near to the maximum."""


@runtime_checkable
class Bumps(Protocol):
    """Makes smooth maps in [0, 1] of the heights of bumps on a grid."""

    def __call__(self, heights: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 p q"]:
        """Return the map of all that the area is a share of."""
        ...

    def inside(self, whole: Float[Tensor, "n 1 p q"]) -> Float[Tensor, "n 1 h w"]:
        """Return the part of such a map that lies over the image."""
        ...


@dataclass(frozen=True)
class ContinuedBumps:
    """Smooth maps that end where the image does; beyond its border the grid's outermost heights go on.

    The maximum is taken on the grid, and interpolated bilinearly in between.

    Attributes:
        size: Height and width of the image.
        step: Distance of the grid's cells, in pixels.
        sigma: Width of the bumps, in pixels.
    """

    size: tuple[int, int]
    step: int
    sigma: float

    def __call__(self, heights: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 h w"]:
        """Return the map over the image."""
        return smooth_maximum(heights, self.size, self.sigma / self.step)

    def inside(self, whole: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Return the map as it is."""
        return whole


@dataclass(frozen=True)
class MarginBumps:
    """Smooth maps with a margin round the image, over which bumps reach; beyond the grid there are none.

    The published code's: distances are those from each pixel to the grid's cells, the first of which lies in
    the image's first pixel. Arguments as for `ContinuedBumps`. The margin is sigma wide at the top and left;
    at the bottom and right it ends with a cell.
    """

    size: tuple[int, int]
    step: int
    sigma: float

    def __call__(self, heights: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 p q"]:
        """Return the map over the image and its margin."""
        rows, columns = (self._cells(side) for side in self.size)
        before, span = self._padding, 2 * self._radius
        below, right = rows + span - before - heights.shape[2], columns + span - before - heights.shape[3]
        padded = F.pad(heights, (before, right, before, below))
        values = F.unfold(padded, span + 1).view(len(heights), -1, rows, columns)
        values = values.repeat_interleave(self.step, 2).repeat_interleave(self.step, 3)
        height, width = self._weights.shape[1:]
        around = self._weights.to(heights) * values[:, :, :height, :width]
        return _smooth_maximum_of(around).clamp(0, 1)

    def inside(self, whole: Float[Tensor, "n 1 p q"]) -> Float[Tensor, "n 1 h w"]:
        """Return what lies over the image."""
        first, (height, width) = round(self.sigma), self.size
        return whole[:, :, first : first + height, first : first + width]

    @property
    def _radius(self) -> int:
        """How many cells away a bump may be, up and down."""
        return 1 + math.ceil(self.sigma / self.step)

    @property
    def _padding(self) -> int:
        """How many cells without a bump are around the grid."""
        return 1 + math.ceil(2 * self.sigma / self.step)

    def _cells(self, side: int) -> int:
        published = math.ceil(side / self.step) + 2 * (self._padding - self._radius)
        # With some steps and widths the published map ends within the image.
        return max(published, math.ceil((round(self.sigma) + side - 1) / self.step) + 1)

    @cached_property
    def _weights(self) -> Float[Tensor, "k p q"]:
        """How high a bump still is at each pixel, for all bumps near it in turn."""
        offset = torch.arange(2 * self._radius + 1)[:, None] - self._padding
        distances = []
        for side in self.size:
            pixel = torch.arange(self.step * (self._cells(side) - 1) + 1, dtype=torch.float32)
            cell = pixel.div(self.step, rounding_mode="floor") + offset
            distances.append(pixel - self.sigma - self.step * cell)
        down, across = distances
        distance = torch.hypot(down[:, None, :, None], across[None, :, None, :])
        return bump(distance / self.sigma).flatten(0, 1)


def smooth_maximum(
    heights: Float[Tensor, "n 1 y x"], size: tuple[int, int], sigma: float
) -> Float[Tensor, "n 1 h w"]:
    """Return the smooth maximum of bumps of these heights at each of them, interpolated to a size.

    ``sigma``, the width of the bumps, is given in cells.
    """
    radius = 1 + math.ceil(sigma)
    offset = torch.arange(-radius, radius + 1, device=heights.device, dtype=heights.dtype)
    weights = bump(torch.hypot(offset[:, None], offset) / sigma).flatten()
    # Beyond the border bumps go on as they are: were there none, corners would be easier than the middle.
    padded = F.pad(heights, (radius,) * 4, mode="replicate")
    values = F.unfold(padded, 2 * radius + 1).view(len(heights), -1, *heights.shape[2:])
    highest = _smooth_maximum_of(values * weights[:, None, None])
    return upsampled(highest, size, "bilinear").clamp(0, 1)


def bump(distance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return a bump's height at a distance from its middle in sigmas: flat up to a half, then a Gaussian."""
    return (-2 * (distance - 0.5).clamp_min(0).square()).exp()


def _smooth_maximum_of(values: Float[Tensor, "n k y x"]) -> Float[Tensor, "n 1 y x"]:
    """Return the mean of k values that weighs each by its exponential."""
    return (values * (COLDNESS * values).softmax(dim=1)).sum(dim=1, keepdim=True)
