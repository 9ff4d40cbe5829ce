"""RISE: what random masks keep, and what is then left of the score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.control import Blocks
from attribution.estimate import (
    GROUPS,
    Estimate,
    MaskMoments,
    MaskSums,
    jackknife,
    joined,
    quantile,
    reliability,
    rounds,
)
from attribution.explainer import Heatmap
from attribution.holes import Border, RandomGridHoles
from attribution.score import MaskedScore
from infill.network import unrounded
from infill.validate import Count, Length, Seed, Share, require, require_settings

_NO_MASS = 1e-4
"""Sums of masks at a pixel below which none keeps it: they are float32, and differences of such."""
Normalize = Literal["probability", "mass"]
Estimator = Literal["paper", "covariance", "controlled"]


@dataclass(frozen=True)
class Rise:
    """Randomized input sampling for explanation (Petsiuk et al. 2018, eq. 6).

    The heatmap is the expectation of the score given that the pixel is kept, estimated from soft
    random masks; ``1 - hole`` is what is kept.

    Attributes:
        masks: Number of random masks (4000 to 8000 in the paper); with ``until`` at most so many.
        cells: Cells of the binary grid along each side.
        keep: Probability that a cell is kept.
        estimator: ``"paper"``: eq. 6. ``"covariance"``: at each pixel the covariance of score and mask over
            the mask's variance: the slope of the score, which has the same order, needs a half to a quarter
            of the masks, and is 0 where a pixel does not matter. ``"controlled"``: the same, less what chance
            is known to have done to it (`attribution.control`): half of the masks again.
        normalize: What the paper's weighted sum of the masks is divided by: ``"probability"``, the paper's,
            by ``masks * keep``; ``"mass"``, as in xplique, by the sum of the masks at each pixel.
        border: What a mask is within half a cell of the upsampled grid's border: ``"mirrored"`` (the
            published code), or ``"constant"``.
        until: The reliability at which masks are enough (`attribution.estimate.reliability`); ``None``: all
            are taken.
        seed: Seed of the masks, which are the same for every image of a batch.

    Raises:
        ValueError: If a number is out of its range, or ``estimator``, ``normalize`` or ``border`` is unknown.
    """

    masks: Count = 4000
    cells: Length = 7
    keep: Share = 0.5
    estimator: Estimator = "paper"
    normalize: Normalize = "probability"
    border: Border = "mirrored"
    until: Share | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        require_settings(self)
        enough = self.masks > 1 or self.estimator == "paper"
        require(enough, "masks", f"at least 2 for the {self.estimator} estimator", self.masks)

    @property
    def signed(self) -> bool:
        """Whether values speak for the target above 0 and against it below."""
        return self.estimator != "paper"

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the expected score given that a pixel is kept, or the score's slope."""
        return self.estimate(score).heatmap

    def holes(self, score: MaskedScore) -> RandomGridHoles:
        """Return the random holes, soft and in [0, 1]."""
        device = score.image.device
        return RandomGridHoles(self.masks, score.size, self.cells, self.keep, self.seed, device, self.border)

    @unrounded()
    def estimate(self, score: MaskedScore) -> Estimate:
        """Return the heatmap with its error."""
        holes, found = self.holes(score), []
        blocks = self.blocks(holes)
        for one in score:
            sums = MaskSums.of(one, min(GROUPS, self.masks), self.keep, blocks)
            enough = None if self.until is None else partial(self._enough, sums, self.until)
            for hole, scores in one.stream(rounds(holes, one.execution.batch_size, enough), len(holes)):
                sums.add(1 - hole[:, 0], scores)
            one.execution.progress(len(holes), len(holes))  # also if fewer were enough
            found.append(self.estimated(sums))
        return joined(found)

    def blocks(self, holes: RandomGridHoles) -> Blocks | None:
        """Return what the estimator knows of masks beforehand."""
        return Blocks.of(holes) if self.estimator == "controlled" else None

    def estimated(self, sums: MaskSums) -> Estimate:
        """Return the heatmap with its error from the sums over masks of one image."""
        whole = sums.moments()
        left_out = sums.left_out() if sums.dealt > 2 else [whole]  # a single mask has no slope
        uncertain = error = jackknife(torch.stack([each.slope() for each in left_out]))
        if not self.signed:
            error = jackknife(torch.stack([self.map(each) for each in left_out]))
        return Estimate(
            heatmap=self.map(whole)[None],
            error=error[None],
            told=(whole.slope().abs() > quantile(len(left_out)) * uncertain)[None],
            reliability=torch.tensor([self.reliability(sums)]),
            samples=torch.tensor([sums.dealt]),
        )

    def _enough(self, sums: MaskSums, wanted: float) -> bool:
        return self.reliability(sums) >= wanted

    def reliability(self, sums: MaskSums) -> float:
        """Return how reliable the map from such sums is; 0 of a single mask."""
        return reliability(*map(self.map, sums.halves())) if sums.dealt > 1 else 0.0

    def map(self, moments: MaskMoments) -> Float[Tensor, "h w"]:
        """Return the map from the moments of some masks."""
        if self.signed:
            return moments.slope()
        # A pixel that no mask keeps has no estimate: it gets 0, as in the paper's sum.
        if self.normalize == "mass":
            # What is left of its weights, where rounding leaves any, is not divided by next to nothing.
            return (moments.weighted / moments.mass.clamp_min(_NO_MASS)).where(moments.mass > _NO_MASS, 0)
        return moments.weighted / (moments.count * self.keep)
