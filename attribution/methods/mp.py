"""MP: a smooth hole, found by gradient descent, that takes the score away (Fong & Vedaldi 2017)."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.explainer import Heatmap
from attribution.holes import Upsampling, require_cells, upsampled
from attribution.optimize.cached_score import CachedScore, Outlook
from attribution.optimize.loop import Watch, optimize
from attribution.optimize.objectives import area, total_variation
from attribution.optimize.problem import Problem, as_probability
from attribution.optimize.result import Outcome
from attribution.score import MaskedScore
from infill.validate import Count, Length, Patience, Positive, Range, Reach, Seed, Weight, require_settings

Jittered = Literal["composite", "image"]
Regularized = Literal["coarse", "full"]


@dataclass(frozen=True)
class MeaningfulPerturbation:
    """Meaningful perturbation (Fong & Vedaldi 2017; Agarwal & Nguyen 2020, eq. 3).

    Minimizes ``area * sum(hole) + smoothness * TV(hole) + mean over jitter of s(jittered composite)`` over a
    coarse hole in [0, 1], which is the heatmap. The paper fills with ``Blur(10)``.

    Attributes:
        cells: Cells of the hole along each side.
        steps: Steps of Adam.
        lr: Its learning rate.
        area: Weight of the hole's sum.
        smoothness: Weight of its total variation.
        power: Exponent of the total variation, at least 1 (below, neighbors that are alike have no gradient).
        jitter: The classifier's view is shifted by 0 to ``jitter - 1`` pixels in both directions, over an
            image that shows so much more of the photograph (`MaskedScore.around`). Without such a larger view
            the image is resized to that size, which by itself changes the score. 0 leaves the image as it is.
        jitters: How many shifts each step averages over.
        jittered: What is shifted: the ``"composite"`` (the paper), or the ``"image"`` under a hole that stays
            where it is (its published code).
        upsampling: How the cells become pixels.
        regularized: Where area and total variation are taken: on the ``"coarse"`` cells or on the ``"full"``
            image's pixels.
        refresh: After how many steps the fills are made anew; more than 1 is an approximation.
        patience: An image is done when its loss rests for so many steps (`attribution.optimize.plateau`); 0:
            all steps are taken.
        seed: Seed of the random start and of the shifts, which are the same for all images.
        outlook: Where slopes of pixels come from that are not removed, see `CachedScore`: with a filler that
            depends on the hole, from its fills of a ``"chessboard"``. Published code has ``"none"``: such a
            pixel then has the slope of what the filler proposes there, which for many is 0.

    Raises:
        ValueError: If a number is out of its range or a choice is unknown.
    """

    cells: Length = 28
    steps: Count = 300
    lr: Positive = 0.1
    area: Weight = 1e-4
    smoothness: Weight = 1e-2
    power: Annotated[float, Range(1, 100)] = 3.0
    jitter: Reach = 4
    jitters: Count = 1
    jittered: Jittered = "composite"
    upsampling: Upsampling = "nearest"
    regularized: Regularized = "coarse"
    refresh: Count = 1
    seed: Seed = 0
    outlook: Outlook = "chessboard"
    patience: Patience = 0

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the optimized hole, soft, at the image's size."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return the heatmap and all other results; ``watch`` is called after every step.

        Raises:
            ValueError: If there are more cells than pixels, or as for `attribution.optimize.optimize`.
        """
        return optimize(score, self._problem, self.jitters, self.refresh, watch)

    @property
    def composites(self) -> int:
        """How many composites of an image its steps score, at most."""
        return self.steps * self.jitters

    def _problem(self, score: MaskedScore) -> Problem:
        size = score.size
        require_cells(self.cells, size)
        generator = torch.Generator().manual_seed(self.seed)
        start = torch.rand(
            1, 1, self.cells, self.cells, generator=generator, device="cpu", dtype=torch.float32
        ).to(score.image)
        wider = self.jitter if self.jittered == "composite" and self.jitter <= score.room else 0
        to_pixels = partial(_middle, size=size, margin=wider, how=self.upsampling)
        return Problem(
            start=start.expand(len(score), -1, -1, -1),
            loss=partial(self._loss, size, generator, score.margin // 2),
            evidence=lambda cells: (to_pixels(cells) >= 0.5).float(),
            heatmap=lambda cells: to_pixels(cells)[:, 0],
            optimizer=lambda cells: torch.optim.Adam([cells], lr=self.lr),
            steps=self.steps,
            score=score.enlarged(self.jitter) if self.jitter else score,
            outlook=self.outlook,
            scale=as_probability(score),
            patience=self.patience,
        )

    def _loss(
        self,
        size: tuple[int, int],
        generator: torch.Generator,
        before: int,
        cells: Float[Tensor, "n 1 y x"],
        score: CachedScore,
    ) -> Float[Tensor, " n"]:
        shift = None
        if self.jitter:
            shift = torch.randint(0, self.jitter, (self.jitters, 2), generator=generator, device="cpu")
        holes = self._holes(cells, size, shift)
        shifts = None if shift is None else before + shift.repeat(len(cells), 1)
        scores = score(holes, shifts).view(len(cells), self.jitters).mean(dim=1)
        paid = cells if self.regularized == "coarse" else upsampled(cells, size, self.upsampling)
        return scores + self.area * area(paid) + self.smoothness * total_variation(paid, self.power)

    def _holes(
        self, cells: Tensor, size: tuple[int, int], shift: Int[Tensor, "j 2"] | None
    ) -> Float[Tensor, "m 1 h w"]:
        """Return the holes of all shifts of the first image, of the second, ..."""
        larger = (size[0] + self.jitter, size[1] + self.jitter)
        if shift is None or self.jittered == "composite":
            return upsampled(cells, larger, self.upsampling).repeat_interleave(self.jitters, dim=0)
        hole = upsampled(cells, size, self.upsampling)
        # The hole moves with the view, outside of which the classifier gets nothing.
        moved = [
            torch.nn.functional.pad(hole, (left, self.jitter - left, top, self.jitter - top))
            for top, left in shift.tolist()
        ]
        return torch.stack(moved, dim=1).flatten(0, 1)


def _middle(
    cells: Float[Tensor, "n 1 y x"], size: tuple[int, int], margin: int, how: Upsampling
) -> Float[Tensor, "n 1 h w"]:
    """Return what lies over the image of cells that are upsampled to one that is so much larger."""
    height, width = size
    hole, start = upsampled(cells, (height + margin, width + margin), how), margin // 2
    return hole[:, :, start : start + height, start : start + width]
