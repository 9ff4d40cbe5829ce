"""A heatmap from random samples, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attribution.control import Blocks, BlockSums
from attribution.explainer import Explainer, Heatmap
from attribution.holes import Holes
from attribution.score import MaskedScore
from infill.filler import Hole

GROUPS = 10
"""Into so many groups samples are dealt, one after another; each is left out once."""
QUANTILE = 2.262
"""Of Student's t with `GROUPS` - 1 degrees of freedom, for intervals of 95 %."""
_SIDES = 0.975
FEW = 5
"""So many values a map must have at least for the rank correlation of two to say anything."""
ROUND = 100
"""After so many samples it is asked again whether they are enough."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Heatmaps that random samples have left, and what chance may have done to them.

    Attributes:
        heatmap: One map per image.
        error: The standard error of each pixel, infinite where one sample or none is known.
        told: Which pixels are told from no effect: the interval of 95 % does not hold it.
        reliability: The rank correlation that the map of each image would have with that of as many new
            samples, see `reliability`.
        samples: How many samples each image took.
        forwards: How many composites of each image were classified, where this is not one for each sample and
            each of the score's fills.
    """

    heatmap: Heatmap
    error: Float[Tensor, "b h w"]
    told: Bool[Tensor, "b h w"]
    reliability: Float[Tensor, " b"]
    samples: Int[Tensor, " b"]
    forwards: Int[Tensor, " b"] | None = None


@runtime_checkable
class EstimatingExplainer(Explainer, Protocol):
    """A method whose heatmap is an estimate from samples."""

    @property
    def until(self) -> float | None:
        """The reliability at which samples are enough; ``None``: all are taken."""
        ...

    def estimate(self, score: MaskedScore) -> Estimate:
        """Return the heatmap of each image of the score with its error."""
        ...


def joined(estimates: list[Estimate]) -> Estimate:
    """Return the estimates of several images as one."""
    names = ("heatmap", "error", "told", "reliability", "samples")
    heatmap, error, told, agreement, samples = (
        torch.cat([getattr(each, name) for each in estimates]) for name in names
    )
    shown = [each.forwards for each in estimates if each.forwards is not None]
    forwards = torch.cat(shown) if len(shown) == len(estimates) else None
    return Estimate(heatmap, error, told, agreement, samples, forwards)


def reliability(first: Float[Tensor, "h w"], second: Float[Tensor, "h w"]) -> float:
    """Return how well a map would agree with another one like it, from two that have half its samples each.

    Spearman's rank correlation r of the halves, stepped up to the whole by Spearman and Brown (1910):
    ``2 r / (1 + r)``; 0 where halves disagree or say nothing, or have so few values (`FEW`) that their order
    is the same by chance time and again.
    """
    from scipy.stats import spearmanr

    a, b = (each.detach().cpu().double().flatten().numpy() for each in (first, second))
    if min(len(np.unique(a)), len(np.unique(b))) < FEW:
        return 0.0
    halves = max(float(spearmanr(a, b).statistic), 0.0)
    return 2 * halves / (1 + halves)


def jackknife(left_out: Tensor) -> Tensor:
    """Return the standard error of figures "...", from their values "g ..." with each of g groups left out.

    Quenouille (1956), Tukey (1958): ``sqrt((g - 1) / g * sum (value - mean)^2)``; infinite for one group.
    """
    count = len(left_out)
    if count < 2:
        return torch.full_like(left_out[0], torch.inf)
    # The variance written out: reduced along the first axis, torch's own takes ten times as long.
    return ((count - 1) * (left_out - left_out.mean(dim=0)).square().mean(dim=0)).sqrt()


def quantile(groups: int) -> float:
    """Return how many standard errors from so many groups make an interval of 95 %."""
    from scipy.stats import t

    return float(t.ppf(_SIDES, groups - 1)) if groups > 1 else torch.inf


def rounds(
    holes: Holes, size: int, enough: Callable[[], bool] | None = None, each: int = ROUND
) -> Iterator[Hole]:
    """Yield holes in order, at most ``size`` at a time; end when ``enough`` says so.

    It is asked after every ``each`` holes, wherever batches begin and end, once all of these are dealt with.
    """
    each = len(holes) if enough is None else each  # nobody asks: batches need not end with a round
    for start in range(0, len(holes), each):
        if enough is not None and start and enough():
            return
        end = min(start + each, len(holes))
        for place in range(start, end, size):
            yield holes[place : min(place + size, end)]


@dataclass(frozen=True, eq=False)
class MaskMoments:
    """Sums over masks and their scores, from which a pixel's figures are made; all of the same masks.

    Masks and scores are counted from ``keep`` and ``start``, near their means: no digits are lost.

    Attributes:
        count: How many masks.
        score: Sum of the scores.
        mask: Sum of each pixel's masks.
        square: Sum of their squares.
        product: Sum of score times mask.
        chance: What chance has added to their covariance, as far as is known (`attribution.control`).
    """

    count: Float[Tensor, ""]
    score: Float[Tensor, ""]
    mask: Float[Tensor, "h w"]
    square: Float[Tensor, "h w"]
    product: Float[Tensor, "h w"]
    keep: float
    start: Float[Tensor, ""]
    chance: Float[Tensor, "h w"] | None = None

    @property
    def mass(self) -> Float[Tensor, "h w"]:
        """The sum of the masks themselves."""
        return self.mask + self.count * self.keep

    @property
    def weighted(self) -> Float[Tensor, "h w"]:
        """The sum of the scores themselves times the masks themselves."""
        return self.product + self.start * self.mask + self.keep * (self.score + self.count * self.start)

    def slope(self) -> Float[Tensor, "h w"]:
        """Return the covariance of score and mask over the mask's variance; 0 where masks do not differ.

        What is known to be chance is taken off.
        """
        covariance = self.product / self.count - self.score * self.mask / self.count.square()
        if self.chance is not None:
            covariance = covariance - self.chance
        variance = self.square / self.count - (self.mask / self.count).square()
        return torch.where(variance > 1e-7, covariance / variance.clamp_min(1e-7), 0.0)


@dataclass(eq=False)
class MaskSums:
    """What `MaskMoments` are made of, summed up group by group.

    Attributes:
        sums: By group the sums over mask, its square, and score times mask.
        totals: By group the number of masks, and the sum of the scores.
        blocks: What tells how much is chance; ``None``: nobody asks.
    """

    sums: Float[Tensor, "g 3 h w"]
    totals: Float[Tensor, "g 2"]
    keep: float
    start: Float[Tensor, ""]
    blocks: BlockSums | None = None
    dealt: int = 0

    @classmethod
    def of(cls, score: MaskedScore, groups: int, keep: float, blocks: Blocks | None = None) -> MaskSums:
        """Return the sums of no mask, for the one image of a score."""
        image = score.image
        sums = image.new_zeros(groups, 3, *score.size, dtype=torch.float32)
        totals = image.new_zeros(groups, 2, dtype=torch.float32)
        known = None if blocks is None else BlockSums.of(blocks, groups)
        return cls(sums, totals, keep, score.clean[0].float(), known)

    def add(self, masks: Float[Tensor, "n h w"], scores: Float[Tensor, " n"]) -> None:
        """Deal masks with their scores to the groups in turn."""
        groups, device = len(self.sums), masks.device
        group = (self.dealt + torch.arange(len(masks), device=device)) % groups
        member = torch.zeros(groups, len(masks), device=device, dtype=torch.float32).scatter_(
            0, group[None], 1.0
        )
        centered, values = masks - self.keep, scores.float() - self.start
        if self.blocks is not None:
            self.blocks.add(member, centered, values)
        shifted = centered.flatten(1)
        by_group = torch.cat([member, member * values]) @ shifted
        mask, product = by_group.view(2, groups, *masks.shape[1:])
        self.sums[:, 0] += mask
        self.sums[:, 1] += (member @ shifted.square_()).view_as(mask)
        self.sums[:, 2] += product
        self.totals += torch.stack([member.sum(1), member @ values], dim=1)
        self.dealt += len(masks)

    def moments(self, groups: Bool[Tensor, " g"] | None = None) -> MaskMoments:
        """Return the moments of some of the groups together, or of all."""
        chosen = torch.ones(len(self.sums)) if groups is None else groups.float()
        return self._moments(chosen[None])[0]

    def _moments(self, chosen: Float[Tensor, "k g"]) -> list[MaskMoments]:
        """Return the moments of several choices of groups: 1 where a group is among them."""
        chosen = chosen.to(self.sums)
        sums = (chosen @ self.sums.flatten(1)).view(len(chosen), *self.sums.shape[1:])
        found = []
        for choice, (mask, square, product), (count, score) in zip(
            chosen, sums, chosen @ self.totals, strict=True
        ):
            chance = None if self.blocks is None else self.blocks.chance(choice, count, score)
            found.append(MaskMoments(count, score, mask, square, product, self.keep, self.start, chance))
        return found

    def left_out(self) -> list[MaskMoments]:
        """Return the moments with each of the groups left out."""
        return self._moments(1 - torch.eye(len(self.sums)))

    def halves(self) -> tuple[MaskMoments, MaskMoments]:
        """Return the moments of every other group, and of those in between."""
        even = torch.arange(len(self.sums)) % 2 == 0
        first, second = self._moments(torch.stack([even, ~even]).float())
        return first, second
