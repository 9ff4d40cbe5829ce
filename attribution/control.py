"""What chance has done to the covariance of score and mask, as far as a linear model of the score tells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from attribution.holes import RandomGridHoles
from infill.exact import exact, rounded

LARGE, FINER = 7, 4
"""Blocks along a side whose means the model sees, and into how many smaller ones each is divided."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Means of random masks over small and large blocks, and how these vary together, exactly.

    Attributes:
        down: Averages the rows of a mask over small blocks.
        across: Averages its columns.
        joined: Averages small blocks over large ones.
        covariance: Of the mean over each large block with that over each small one.
    """

    down: Float[Tensor, "y h"]
    across: Float[Tensor, "x w"]
    joined: Float[Tensor, "k m"]
    covariance: Float[Tensor, "k m"]

    @classmethod
    def of(cls, holes: RandomGridHoles) -> Blocks:
        """Return the blocks of masks of which a hole is what they do not keep."""
        small, large, together = [], [], []
        for axis, side in enumerate(holes.size):
            count = min(LARGE, side)
            fine = _means(side, count * min(FINER, side // count)).to(holes.device)
            coarse = _means(len(fine), count).to(holes.device)
            small.append(fine)
            large.append(coarse)
            together.append(coarse @ fine @ holes.overlap(axis) @ fine.T)
        covariance = holes.keep * (1 - holes.keep) * torch.kron(*together)
        return cls(small[0], small[1], torch.kron(*large), covariance)

    def __call__(self, masks: Float[Tensor, "n h w"]) -> Float[Tensor, "n m"]:
        """Return the means over small blocks."""
        return (self.down @ masks @ self.across.T).flatten(1)

    def spread(self, values: Float[Tensor, " m"]) -> Float[Tensor, "h w"]:
        """Return values of small blocks as a smooth map of pixels."""
        blocks = values.view(1, 1, len(self.down), len(self.across))
        size = (self.down.shape[1], self.across.shape[1])
        return F.interpolate(blocks, size=size, mode="bilinear", align_corners=False)[0, 0]


@dataclass(eq=False)
class BlockSums:
    """Sums over masks and scores, group by group, from which the part of chance follows.

    Masks and scores are counted from where `attribution.estimate.MaskSums` counts them.

    Attributes:
        blocks: Over what masks are averaged.
        products: Of the means over large and small blocks.
        sums: Of the means over small blocks.
        scored: Of these times the score.
    """

    blocks: Blocks
    products: Float[Tensor, "g k m"]
    sums: Float[Tensor, "g m"]
    scored: Float[Tensor, "g m"]

    @classmethod
    def of(cls, blocks: Blocks, groups: int) -> BlockSums:
        """Return the sums of no mask."""
        zero = blocks.covariance.new_zeros
        small = blocks.covariance.shape[1]
        return cls(blocks, zero(groups, *blocks.covariance.shape), zero(groups, small), zero(groups, small))

    def add(
        self, member: Float[Tensor, "g n"], masks: Float[Tensor, "n h w"], scores: Float[Tensor, " n"]
    ) -> None:
        """Add masks with their scores, each to the groups of which it is a member."""
        small = self.blocks(masks)
        large = small @ self.blocks.joined.T
        self.products += ((member[:, None] * large.T).flatten(0, 1) @ small).view_as(self.products)
        self.sums += member @ small
        self.scored += (member * scores) @ small

    def chance(
        self, chosen: Float[Tensor, " g"], count: Float[Tensor, ""], score: Float[Tensor, ""]
    ) -> Float[Tensor, "h w"]:
        """Return by how much the masks of some groups change the covariance of score and mask by chance.

        A control variate: the score is regressed on the means over large blocks (a ridge, for masks may be
        few); how these vary with a pixel is known, so that what they do in these masks beyond that is chance.
        Its expectation is 0 whatever the coefficients are.
        """
        joined = self.blocks.joined
        mean = chosen @ self.sums / count
        product = (chosen @ self.products.flatten(1)).view_as(joined) / count
        together = product - torch.outer(joined @ mean, mean)
        with_score = joined @ (chosen @ self.scored / count - mean * score / count)
        large = self.blocks.covariance @ joined.T
        ridge = len(joined) / count * large.diagonal().mean()
        among = together @ joined.T + ridge * torch.eye(len(joined)).to(joined)
        coefficients = rounded(torch.linalg.solve(exact(among), exact(with_score)), joined)
        return self.blocks.spread(coefficients @ (together - self.blocks.covariance))


def _means(side: int, count: int) -> Float[Tensor, "count side"]:
    return F.adaptive_avg_pool1d(torch.eye(side, dtype=torch.float32)[None], count)[0].T.contiguous()
