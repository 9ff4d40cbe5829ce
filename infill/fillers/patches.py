"""Small square patches of an image: which are most alike, and what they agree on where they overlap."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from infill.validate import require

ROWS_AT_ONCE = 1024
"""Patches compared with all others at a time: bounds the memory of a search."""


@dataclass(frozen=True, eq=False)
class Patches:
    """All patches of a map of features, one for every place where a patch lies within the map.

    Place ``y, x`` has number ``y * grid[1] + x``, and its patch covers rows ``y`` to ``y + side - 1``.

    Args:
        features: The map: colors, and whatever else patches are compared by, in the last axis.
        side: Rows, and columns, of a patch.

    Raises:
        ValueError: If the side is less than 1, or a patch does not fit in the map.
    """

    features: Float[Tensor, "h w c"]
    side: int

    def __post_init__(self) -> None:
        require(self.side >= 1, "side", "1 or more", self.side)
        short = min(self.features.shape[:2])
        require(self.side <= short, "side", f"at most the map's {short} pixels", self.side)
        object.__setattr__(self, "features", self.features.contiguous())

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of places."""
        height, width, _ = self.features.shape
        return height - self.side + 1, width - self.side + 1

    def at(self, places: Int[Tensor, " t"]) -> Float[Tensor, "t d"]:
        """Return the patches at these places, each as one vector, pixel by pixel."""
        height, width, channels = self.features.shape
        # Lines of patches lie in memory as they are wanted, one starting at each pixel.
        lines = self.features.as_strided(
            (height * width - self.side + 1, self.side * channels), (channels, 1)
        )
        first = places // self.grid[1] * width + places % self.grid[1]
        below = torch.arange(self.side, device=places.device) * width
        return lines.index_select(0, (first[:, None] + below).flatten()).view(
            len(places), self.side**2 * channels
        )

    def distances(self, places: Int[Tensor, " t"], targets: Float[Tensor, "t d"]) -> Float[Tensor, " t"]:
        """Return the squared distance of each target to the patch at its place."""
        away: Tensor = torch.linalg.vector_norm(self.at(places) - targets, dim=1)
        return away.square()

    def nearest(
        self,
        targets: Float[Tensor, "t d"],
        sources: Int[Tensor, " s"],
        weight: Float[Tensor, "t p"] | None = None,
    ) -> tuple[Int[Tensor, " t"], Float[Tensor, " t"]]:
        """Return the place of the source that is nearest to each target, and its squared distance.

        Every source is looked at, by products of matrices: ``w.b^2 - 2 (w a).b + w.a^2``.

        Args:
            targets: Patches to find something like.
            sources: Numbers of the places that may be found, at least one.
            weight: How much each pixel of a target counts, more than 0 in all. Distances are then scaled up
                to those of a patch with all its pixels; without it all of them count.
        """
        rows = self.at(sources)
        pixels = self.side**2
        squares = rows.view(len(rows), pixels, -1).square().sum(2)
        places, costs = [], []
        for start in range(0, max(len(targets), 1), ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            target = targets[some]
            if weight is None:
                cost, index = torch.addmm(squares.sum(1), target, rows.T, alpha=-2).min(1)
                costs.append((cost + target.square().sum(1)).clamp_(min=0))
            else:
                each = weight[some]
                weighted = target * each.repeat_interleave(target.shape[1] // pixels, 1)
                cost, index = torch.addmm(each @ squares.T, weighted, rows.T, alpha=-2).min(1)
                cost = (cost + (weighted * target).sum(1)).clamp_(min=0)
                costs.append(cost * pixels / each.sum(1))
            places.append(sources[index])
        return torch.cat(places), torch.cat(costs)


def vote(
    shape: tuple[int, int],
    side: int,
    places: Int[Tensor, " t"],
    patches: Float[Tensor, "t d"],
    weight: Float[Tensor, " t"],
    step: int = 1,
) -> tuple[Float[Tensor, "h w c"], Float[Tensor, "h w"]]:
    """Return for each pixel the weighted mean of all patches laid over it, and the sum of their weights.

    Where nothing lies both are 0.

    Args:
        shape: Rows and columns of the map.
        side: Rows, and columns, of a patch.
        places: Numbers of the places where patches lie, whose rows and columns are multiples of ``step``.
        patches: What lies there.
        weight: How much each counts.
        step: Distance of neighboring places.
    """
    columns = shape[1] - side + 1
    y, x = places // columns // step, places % columns // step
    top, left = int(y.min()), int(x.min())
    tall, wide = int(y.max()) - top + 1, int(x.max()) - left + 1
    content = patches.view(len(places), side * side, -1)
    channels = content.shape[2]
    laid = patches.new_zeros(tall * wide, side * side, channels + 1)
    content = torch.cat([content, torch.ones_like(content[..., :1])], 2)
    laid[(y - top) * wide + (x - left)] = content.mul_(weight[:, None, None])
    laid = laid.view(tall, wide, side * side, channels + 1)
    total = patches.new_zeros(*shape, channels + 1)
    # One of the patch's pixels at a time, for all patches: sums in a fixed order, on any device.
    for index in range(side * side):
        row, column = top * step + index // side, left * step + index % side
        there = total[row : row + tall * step : step, column : column + wide * step : step]
        there[:tall, :wide] += laid[:, :, index]
    weights = total[..., channels]
    return total[..., :channels] / weights.clamp(min=1e-12)[..., None], weights


def untouched(hidden: Bool[Tensor, "h w"], side: int) -> Bool[Tensor, " l"]:
    """Return at which places a patch has no hidden pixel."""
    rows = F.max_pool2d(hidden.float()[None], (1, side), 1)
    return F.max_pool2d(rows, (side, 1), 1).flatten() == 0
