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
        width, channels = self.features.shape[1:]
        below = torch.arange(self.side, device=places.device) * width
        lines = self.lines().index_select(0, (self.pixels(places)[:, None] + below).flatten())
        return lines.view(len(places), self.side**2 * channels)

    def lines(self) -> Float[Tensor, "l e"]:
        """The lines of patches, one starting at each pixel: so they lie in memory anyway."""
        height, width, channels = self.features.shape
        count = height * width - self.side + 1
        return self.features.as_strided((count, self.side * channels), (channels, 1))

    def pixels(self, places: Int[Tensor, " t"]) -> Int[Tensor, " t"]:
        """The numbers of the first pixels, row by row, of the patches at these places."""
        return places // self.grid[1] * self.features.shape[1] + places % self.grid[1]

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
    places: Int[Tensor, " t"],
    image: Patches,
    match: Int[Tensor, " t"],
    weight: Float[Tensor, " t"],
    step: int = 1,
) -> tuple[Float[Tensor, "h w c"], Float[Tensor, "h w"]]:
    """Return for each pixel the weighted mean of all patches laid over it, and the sum of their weights.

    Where nothing lies both are 0.

    Args:
        shape: Rows and columns of the map.
        places: Numbers of the map's places where patches lie, whose rows and columns are multiples of
            ``step``.
        image: Where the patches are from.
        match: Numbers of the patches that lie there.
        weight: How much each counts.
        step: Distance of neighboring places.
    """
    side, channels = image.side, image.features.shape[2]
    columns = shape[1] - side + 1
    y, x = places // columns // step, places % columns // step
    top, left = int(y.min()), int(x.min())
    tall, wide = int(y.max()) - top + 1, int(x.max()) - left + 1
    # A box of places: those where nothing lies get any patch, which counts 0.
    box = (y - top) * wide + (x - left)
    first = match.new_zeros(tall * wide).index_copy_(0, box, image.pixels(match))
    much = weight.new_zeros(tall * wide).index_copy_(0, box, weight)
    total, weights = weight.new_zeros(*shape, channels), weight.new_zeros(shape)
    lines = image.lines()
    # One of the patch's pixels at a time, for all patches: sums in a fixed order, on any device.
    for row in range(side):
        laid = lines.index_select(0, first + row * image.features.shape[1]).mul_(much[:, None])
        laid = laid.view(tall, wide, side, channels)
        down = slice(top * step + row, top * step + row + (tall - 1) * step + 1, step)
        for column in range(side):
            across = slice(left * step + column, left * step + column + (wide - 1) * step + 1, step)
            total[down, across] += laid[:, :, column]
            weights[down, across] += much.view(tall, wide)
    return total.div_(weights.clamp(min=1e-12)[..., None]), weights


def untouched(hidden: Bool[Tensor, "h w"], side: int) -> Bool[Tensor, " l"]:
    """Return at which places a patch has no hidden pixel."""
    rows = F.max_pool2d(hidden.float()[None], (1, side), 1)
    return F.max_pool2d(rows, (side, 1), 1).flatten() == 0
