"""Extremal perturbation: the best evidence of a given area, with smooth outlines (Fong et al. 2019)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.engine.link import activation
from attribution.explainer import Heatmap
from attribution.optimize.bumps import Bumps, ContinuedBumps, MarginBumps
from attribution.optimize.cached_score import CachedScore, Outlook
from attribution.optimize.loop import Watch, optimize
from attribution.optimize.objectives import Penalty, area_deviation, dssr, sdr, shuffled, ssr
from attribution.optimize.problem import Problem, as_log_odds, in_log_odds
from attribution.optimize.result import Outcome
from attribution.score import MaskedScore
from infill.validate import Count, Length, Patience, Positive, Range, Share, require, require_settings

Variant = Literal["preserve", "delete", "dual"]
Followed = Literal["odds", "activation", "score"]
Border = Literal["continued", "margin"]


@dataclass(frozen=True)
class ExtremalPerturbation:
    """The evidence of a fixed area whose preservation keeps the score best, or whose removal lowers it most.

    Fong et al. (2019): gradient descent on a coarse map, made smooth by a maximum of Gaussian bumps, with
    a weight on its deviation from the area that grows from step to step. The evidence is smooth and nearly
    binary; the hole is the area's share of pixels with the most evidence, to the pixel.

    Published code (TorchRay) differs from what is the default here; its conventions are the settings
    ``followed="activation"``, ``border="margin"`` and ``mirrored=True``, and ``Blur(20, levels=8,
    beyond="gray")`` as the filler.

    Attributes:
        area: The share of the image that the evidence covers, between 0 and 1.
        variant: What the evidence has to do: ``"preserve"`` the score alone, ``"delete"`` it by its
            absence, or ``"dual"``, both.
        step: Distance of the coarse map's cells, in pixels.
        sigma: Width of the bumps, in pixels.
        steps: Steps of gradient descent.
        lr: Its learning rate; momentum is 0.9, damped by as much.
        weight: Of the deviation from the area, in the first step.
        growth: How many times larger the weight is in the last step (800 steps by a factor of 1.0035 each).
        followed: What is to stay high or fall: ``"odds"``, a probability as its log-odds, which like the
            paper's activations are not bounded; ``"activation"``, the target's logit, whatever becomes of
            other classes (curves still show the probability); or the ``"score"`` as it is.
        border: Where bumps end, see `attribution.optimize.bumps`: ``"continued"`` beyond the image, so that
            no place is easier than another, or with a ``"margin"`` of sigma round it, which has a share in
            the area (so that of the image more than ``area`` may be covered) and in which bumps are lost.
        mirrored: Whether every second composite is shown as its mirror image, the first of them, too.
        refresh: After how many steps the fills are made anew; more than 1 is an approximation.
        patience: An image is done when its loss rests for so many steps (`attribution.optimize.plateau`); 0:
            all steps are taken.
        outlook: Where slopes of pixels come from that are not removed, see `CachedScore`: with a filler that
            depends on the hole, from its fills of a ``"chessboard"``. Published code has ``"none"``: such a
            pixel then has the slope of what the filler proposes there, which for many is 0.

    Raises:
        ValueError: If a number is out of its range or the variant is unknown.
    """

    area: Share = 0.1
    variant: Variant = "preserve"
    step: Length = 7
    sigma: Annotated[float, Range(0, 10**4, open_low=True)] = 21.0
    steps: Count = 800
    lr: Positive = 0.01
    weight: Positive = 300.0
    growth: Positive = 16.4
    followed: Followed = "odds"
    border: Border = "continued"
    mirrored: bool = False
    refresh: Count = 1
    outlook: Outlook = "chessboard"
    patience: Patience = 0

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the smooth evidence, in [0, 1]."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return the heatmap and all other results; ``watch`` is called after every step.

        Raises:
            ValueError: If the cells are larger than the image, or as for `attribution.optimize.optimize`.
        """
        return optimize(score, self._problem, len(self._curves), self.refresh, watch)

    @property
    def composites(self) -> int:
        """How many composites of an image its steps score."""
        return self.steps * len(self._curves)

    @property
    def _curves(self) -> tuple[str, ...]:
        """Which composites a step scores, in order."""
        return {"preserve": ("kept",), "delete": ("removed",), "dual": ("removed", "kept")}[self.variant]

    def _problem(self, score: MaskedScore) -> Problem:
        size = score.size
        require(self.step <= min(size), "step", f"at most the image's {min(size)} px", self.step)
        grid = [math.ceil(side / self.step) for side in size]
        followed, inverse_link = in_log_odds(score, self.followed == "odds")
        if self.followed == "activation":
            followed = score.relinked(activation(score.link), score.sampling.pool)
        bumps = (ContinuedBumps if self.border == "continued" else MarginBumps)(size, self.step, self.sigma)
        start = score.image.new_ones(len(score), 1, *grid)
        deviation = partial(area_deviation, share=self.area, shuffle=shuffled(bumps(start[:1])))
        weights = torch.logspace(0, math.log10(self.growth), self.steps) * self.weight
        return Problem(
            start=start,
            loss=partial(self._loss, bumps, deviation, iter(enumerate(weights.tolist()))),
            evidence=lambda heights: bumps.inside(largest(bumps(heights), self.area)),
            heatmap=lambda heights: bumps.inside(bumps(heights))[:, 0],
            optimizer=lambda heights: torch.optim.SGD([heights], lr=self.lr, momentum=0.9, dampening=0.9),
            steps=self.steps,
            curves=self._curves,
            score=followed,
            inverse_link=inverse_link,
            scale=None if self.followed == "score" else as_log_odds(score),
            outlook=self.outlook,
            patience=self.patience,
        )

    def _loss(
        self,
        bumps: Bumps,
        deviation: Penalty,
        weights: Iterator[tuple[int, float]],
        heights: Float[Tensor, "n 1 y x"],
        score: CachedScore,
    ) -> Float[Tensor, " n"]:
        whole, (step, weight) = bumps(heights), next(weights)
        objective = {"preserve": ssr, "delete": sdr, "dual": dssr}[self.variant]
        seen = partial(score, mirrored=self.mirrored and step % 2 == 0)
        return objective(seen, bumps.inside(whole)) + weight * deviation(whole)


def largest(evidence: Float[Tensor, "n 1 h w"], share: float) -> Float[Tensor, "n 1 h w"]:
    """Return 1 on this share of the pixels, those with the most evidence, and 0 elsewhere."""
    values = evidence.flatten(1)
    count = max(1, round(share * values.shape[1]))
    best = values.topk(count, dim=1).indices
    return torch.zeros_like(values).scatter(1, best, 1.0).view_as(evidence)
