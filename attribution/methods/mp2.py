"""MP2: cells are removed two by two, those first that the score depends on most (Agarwal & Nguyen 2020)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.engine.link import activation
from attribution.explainer import Heatmap
from attribution.holes import Upsampling, require_cells, upsampled
from attribution.optimize.cached_score import CachedScore, Outlook
from attribution.optimize.loop import Watch, optimize
from attribution.optimize.problem import Problem, in_log_odds
from attribution.optimize.result import Outcome
from attribution.score import MaskedScore
from infill.validate import Count, Length, Range, require_settings

Rank = Literal["norm", "descent"]
Slope = Literal["score", "logit"]


@dataclass(frozen=True)
class MP2:
    """MP without its four hyper-parameters (Agarwal & Nguyen 2020, sec. 3.5).

    Nothing is removed at first. Each step removes the two cells with the largest derivative of the score,
    until the score is at chance or nothing is left. With an inpainter as filler this is MP2-G: the fill is
    made anew for the hole of every step, and the last composite is a counterfactual image.

    Attributes:
        cells: Cells of the hole along each side.
        added: How many cells each step removes.
        rank: ``"norm"``, the paper's words: cells with the largest absolute derivative come first, even if
            the score rises. ``"descent"``: those whose removal lowers the score most, as JSMA
            (Papernot et al. 2016) orders pixels, to which the paper refers.
        slope: Of what the derivative is taken: of the ``"score"`` (a probability as log-odds, which order the
            cells alike and are never rounded to 0), or of the target's ``"logit"``, which cannot be lowered
            by feeding another class. When to stop is up to the score in both cases.
        blend: Where the derivative is taken: with 0, the paper's, at the hole's composite itself; with more,
            once everything that is still observed has faded by this share into what would take its place.
            Single cells matter less there than what they are part of. It takes a second composite a step.
        graded: If set, the heatmap shows the order: it falls from 1 at the cell that was removed first to
            just above 0 at the last, bilinear between the cells; if not, it is 1 on all that was removed.
        prune: If set, cells are given back in the end, the last removed first, wherever the score stays at
            chance without them: a smaller hole, for one more composite a cell.
        upsampling: How the cells become pixels; what is removed is binary in both cases.
        chance: At which score to stop and to count the class as gone; by default 1 / classes, see
            `MaskedScore.chance`. The paper's 0.003 for Places365 is a little more than that.
        refresh: After how many steps the fills are made anew; more than 1 is an approximation, though no
            image stops before a new fill has been scored.
        outlook: Where slopes of pixels come from that are not removed, see `CachedScore`: with a filler that
            depends on the hole, from its fills of a ``"chessboard"``. Published code has ``"none"``: such a
            pixel then has the slope of what the filler proposes there, which for many is 0.

    Raises:
        ValueError: If a number is out of its range or a choice is unknown.
    """

    cells: Length = 28
    added: Count = 2
    rank: Rank = "norm"
    slope: Slope = "score"
    blend: Annotated[float, Range(0, 1, open_high=True)] = 0.0
    graded: bool = False
    prune: bool = False
    upsampling: Upsampling = "nearest"
    chance: Annotated[float, Range(-(10**6), 10**6)] | None = None
    refresh: Count = 1
    outlook: Outlook = "chessboard"

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return what was removed, at the image's size."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return the heatmap and all other results; ``watch`` is called after every step.

        Raises:
            ValueError: If there are more cells than pixels, or as for `attribution.optimize.optimize`.
        """
        calls = self._composites_per_step
        return optimize(score, self._problem, calls, self.refresh, watch, self.chance)

    @property
    def composites(self) -> int:
        """How many composites of an image its steps score, at most."""
        return self._steps * self._composites_per_step

    @property
    def _steps(self) -> int:
        steps = -(-self.cells * self.cells // self.added) + 1
        # With old fills each step may have to be repeated with a new one.
        return steps if self.refresh == 1 else 2 * steps

    @property
    def _composites_per_step(self) -> int:
        return 2 if self.blend else 1

    def _problem(self, score: MaskedScore) -> Problem:
        size = score.size
        require_cells(self.cells, size)
        odds, inverse_link = in_log_odds(score)
        if self.slope == "logit":
            odds = odds.relinked(activation(odds.link), odds.sampling.pool)
        stop = score.chance if self.chance is None else torch.full_like(score.chance, self.chance)
        to_pixels = partial(upsampled, size=size, how=self.upsampling)

        def hole(grades: Tensor) -> Tensor:
            return (to_pixels((grades > 0).float()) >= 0.5).float()

        def heatmap(grades: Tensor) -> Tensor:
            return upsampled(grades, size, "bilinear") if self.graded else hole(grades)

        return Problem(
            start=score.image.new_zeros(len(score), 1, self.cells, self.cells),
            loss=partial(self._loss, to_pixels),
            evidence=hole,
            heatmap=lambda grades: heatmap(grades)[:, 0],
            optimizer=lambda grades: Greedy([grades], self.added, self.rank),
            steps=self._steps,
            curves=("removed", "blended")[: self._composites_per_step],
            limits=None,
            done=lambda grades, score: _done(grades, score.calls[0].scores, stop[score.rows]),
            refine=partial(_pruned, hole, inverse_link, stop) if self.prune else None,
            score=odds,
            inverse_link=inverse_link,
            chance=stop,
            outlook=self.outlook,
        )

    def _loss(
        self, to_pixels: Callable[[Tensor], Tensor], grades: Float[Tensor, "n 1 y x"], score: CachedScore
    ) -> Float[Tensor, " n"]:
        # The hole is binary; the derivative goes through to the grades as if it were not.
        soft = to_pixels((grades > 0).float() + (grades - grades.detach()))
        removed = (soft.detach() >= 0.5).float() + (soft - soft.detach())
        if not self.blend:
            return score(removed)
        score(removed.detach())
        return score(removed + (1 - removed) * self.blend, removed=removed.detach())


class Greedy(torch.optim.Optimizer):
    """Sets the cells of largest promise, a few a step, as in JSMA (Papernot et al. 2016).

    A cell's value is its place in the order: 1 for the first, one share of the number of cells less for
    each that follows, 0 for those that are not set.
    """

    def __init__(self, parameters: list[Tensor], added: int, rank: Rank) -> None:
        super().__init__(parameters, {"added": added, "rank": rank})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Set the next cells of every image."""
        for group in self.param_groups:
            for grades in group["params"]:
                self._grow(grades.view(len(grades), -1), grades.grad.view(len(grades), -1), group)

    def _grow(self, grades: Tensor, gradient: Tensor, options: dict[str, Any]) -> None:
        promise = -gradient if options["rank"] == "descent" else gradient.abs()
        promise = promise.masked_fill(grades > 0, -torch.inf)
        best = promise.topk(min(options["added"], promise.shape[1]), dim=1)
        place = (grades > 0).sum(dim=1, keepdim=True) + torch.arange(
            best.indices.shape[1], device=grades.device
        )
        grade = 1 - place.to(grades) / grades.shape[1]
        free = best.values > -torch.inf
        grades.scatter_(1, best.indices, torch.where(free, grade, grades.gather(1, best.indices)))


def _done(grades: Tensor, scores: Tensor, stop: Tensor) -> Tensor:
    return (scores <= stop) | (grades > 0).flatten(1).all(dim=1)


def _pruned(
    hole: Callable[[Tensor], Tensor],
    inverse_link: Callable[[Tensor], Tensor],
    stop: Tensor,
    grades: Tensor,
    score: CachedScore,
) -> Tensor:
    """Give cells back, the last removed first, wherever the score stays at chance without them."""
    grades = grades.clone()
    flat = grades.view(len(grades), -1)
    rows = torch.arange(len(flat), device=flat.device)
    order = flat.masked_fill(flat == 0, torch.inf).argsort(dim=1)
    count = (flat > 0).sum(dim=1)
    for place in range(int(count.max())):
        rows = rows[count[rows] > place]
        score.expire(rows)
        score.begin(rows)
        without = flat[rows].scatter(1, order[rows, place, None], 0.0)
        scores = inverse_link(score(hole(without.view(-1, *grades.shape[1:]))))
        spared = scores <= stop[rows]
        flat[rows[spared]] = without[spared]
    return grades
