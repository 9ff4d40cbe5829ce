"""CEM: what suffices for a class, and what must be absent for it (Dhurandhar et al. 2018).

The paper changes an image, in which 0 stands for no information, by ``d``. A pertinent positive is the
least part ``d`` of the image that is still seen as the class, a pertinent negative the least addition ``d``
after which another class is seen. Both minimize ``c * f(d) + beta * ||d||_1 + ||d||_2^2`` (eqs. 1 and 3),
where ``f`` is how far the image is from that (eqs. 2 and 4), ``c`` is found by a binary search, and each
search is FISTA.

Here the filler says what no information is, and the unknown is the evidence, in [0, 1]. With a black fill,
images of 28 x 28 pixels that are 0 or 1, and a pixel in each cell, positives are the paper's to the letter.
What is otherwise:

- Evidence is sought for 28 x 28 cells of an image, as many as the paper's images have pixels. Single pixels
  of a photograph (``cells=None``) are found that are enough, too, but nobody sees anything in them.
- A cell costs the same whatever its color is, and channels go together. In the paper each channel of each
  pixel costs its own value, so that what is as dark as the background is for nothing.
- A negative moves cells towards the filler's image, where the paper makes them brighter: absent is what the
  filler would show there, be it a color, a blur or an inpainting. It may be taken away as well.
- ``gamma * ||d - AE(d)||^2``, an autoencoder's distance, is left out, as by the published code's defaults:
  what is plausible is up to the filler.
- ``c`` is written for 28 x 28 cells and grows with their number, which makes the search the same with others.
- Candidates are the points at which the derivative is taken; the code looks at two points a step.
- Where no ``c`` is enough the paper has nothing to show. Here it is the candidate that lacks the least, and
  the outcome says so.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attribution.explainer import Heatmap
from attribution.holes import Upsampling, require_cells, upsampled
from attribution.optimize.cached_score import CachedScore, Outlook
from attribution.optimize.fista import Fista, Shrinkage
from attribution.optimize.loop import Watch, optimize, require_above_chance
from attribution.optimize.margins import Margins, exceeds, in_margins
from attribution.optimize.objectives import area, sdr, ssr
from attribution.optimize.problem import Problem
from attribution.optimize.result import Outcome
from attribution.optimize.weighing import Weighing
from attribution.score import MaskedScore
from infill.validate import Count, Length, Positive, Range, Weight, require, require_settings

Start = Literal["everything", "nothing"]
Found = Literal["least", "mean"]
Searches = Annotated[int, Range(1, 50)]
Pixels: TypeAlias = Callable[[Tensor], Tensor]
"""Enlarges cells to the image."""

CELLS = 28 * 28
"""Pixels of the images that the paper's weights are written for."""
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Of the image, where evidence has to be one or none: its largest so many values, if they are enough."""


@dataclass(frozen=True)
class _Pertinent(ABC):
    """The common implementation: the least evidence that meets a condition.

    A method adds the condition, and what its outcome says of it.
    """

    cells: Length | None = 28
    upsampling: Upsampling = "nearest"
    confidence: Weight = 0.0
    sparsity: Weight = 0.1
    weight: Positive = 10.0
    searches: Searches = 9
    steps: Count = 1000
    lr: Positive = 0.01
    shrinkage: Shrinkage = "constant"
    reserve: Weight = 0.0
    found: Found = "least"
    refresh: Count = 1
    outlook: Outlook = "chessboard"
    _curve: ClassVar[str]

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the evidence, in [0, 1]."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return the heatmap and all other results; ``watch`` is called after every step.

        Raises:
            ValueError: If the class is not seen in an image, or as for `attribution.optimize.loop.optimize`.
        """
        margins = in_margins(score)
        require_above_chance(score)
        _require_seen(margins, score)
        outcome = optimize(score, self._problem, 1, self.refresh, watch)
        met = self._meets(self._margin(margins, outcome.hole))
        looks = score.fills_per_hole
        counted = replace(
            outcome, looks=outcome.looks + looks, fills=outcome.fills + looks * score.filler.per_hole
        )
        return self._judged(counted, met)

    @property
    def composites(self) -> int:
        """How many composites of an image its steps score."""
        return self.searches * self.steps

    def _problem(self, score: MaskedScore) -> Problem:
        margins, start = in_margins(score), self._start(score)
        search = Weighing(start, self.weight * start[0].numel() / CELLS)
        levels = torch.zeros_like(search.weight)
        to_pixels = partial(upsampled, size=score.size, how=self.upsampling)

        def optimizer(evidence: Tensor) -> Fista:
            return Fista(evidence, self.lr, self.sparsity, self.steps, self.shrinkage, search.adjust)

        return Problem(
            start=start,
            loss=partial(self._loss, search, to_pixels),
            evidence=lambda evidence: (to_pixels(evidence) > levels.view(-1, 1, 1, 1)).to(evidence.dtype),
            heatmap=lambda evidence: to_pixels(evidence)[:, 0].clone(),
            optimizer=optimizer,
            steps=self.searches * self.steps,
            curves=(self._curve,),
            refine=partial(self._refined, search, levels, to_pixels),
            score=margins.score,
            inverse_link=margins.own,
            scale=margins.scale,
            outlook=self.outlook,
        )

    def _start(self, score: MaskedScore) -> Float[Tensor, "b 1 y x"]:
        if self.cells is None:
            return torch.full_like(score.image[:, :1], self._first)
        require_cells(self.cells, score.size)
        return score.image.new_full((len(score), 1, self.cells, self.cells), self._first)

    @property
    def _first(self) -> float:
        """What the evidence is everywhere when a search starts."""
        return 0.0

    def _loss(
        self, search: Weighing, to_pixels: Pixels, evidence: Tensor, score: CachedScore
    ) -> Float[Tensor, " n"]:
        """The smooth part of eqs. 1 and 3; `Fista` adds the L1 norm."""
        margin = self._margin(score, to_pixels(evidence))
        lack = (self.confidence - margin.detach()).clamp_min(0)
        lack = torch.where(self._meets(margin), lack, lack.clamp_min(torch.finfo(lack.dtype).tiny))
        pushed = (self.confidence + self.reserve - margin).clamp_min(0)
        squares = evidence.square().sum(dim=(1, 2, 3))
        cost = (self.sparsity * area(evidence) + squares).detach()
        # What an old fill shows is no proof.
        proven = torch.where(score.due, lack, torch.inf)
        search.note(score.rows, evidence.detach(), cost, proven)
        return search.weight[score.rows] * pushed + squares

    def _refined(
        self, search: Weighing, levels: Tensor, to_pixels: Pixels, _: Tensor, score: CachedScore
    ) -> Tensor:
        """Return the evidence, and choose from which value on it counts."""
        chosen = search.best if self.found == "least" else search.mean
        rows = torch.arange(len(levels), device=levels.device)
        for share in SHARES:
            some = to_pixels(chosen[rows])
            levels[rows] = _level(some, share)
            score.expire(rows)
            score.begin(rows)
            claimed = (some > levels[rows].view(-1, 1, 1, 1)).to(some.dtype)
            rows = rows[~self._meets(self._margin(score, claimed))]
            if not len(rows):
                break
        return chosen

    def _meets(self, margin: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Whether the class, or another one, is seen surely enough; a tie shows neither."""
        return (margin >= self.confidence) & (margin > 0)

    @abstractmethod
    def _margin(self, score: CachedScore | Margins, evidence: Tensor) -> Float[Tensor, " n"]:
        """Return how far the condition is met, above 0 where it is."""

    @abstractmethod
    def _judged(self, outcome: Outcome, met: Bool[Tensor, " b"]) -> Outcome:
        """Return the outcome, which says whether the condition is met."""


def _level(evidence: Float[Tensor, "n 1 h w"], share: float) -> Float[Tensor, " n"]:
    """Return what at most so large a share of each evidence is above; never below 0."""
    values = evidence.flatten(1).sort(dim=1, descending=True).values
    count = round(share * values.shape[1])
    return values[:, count] if count < values.shape[1] else torch.zeros_like(values[:, 0])


def _require_seen(margins: Margins, score: MaskedScore) -> None:
    """Check that the classifier sees in each image what is explained.

    Raises:
        ValueError: If it does not.
    """
    low = (margins.clean <= 0).nonzero()[:, 0].tolist()
    scores = ", ".join(f"{float(score.clean[i]):.3g} of image {i}" for i in low[:3])
    require(not low, "target", exceeds(score.link), scores)


@dataclass(frozen=True)
class PertinentPositive(_Pertinent):
    """The least part of the image that is still seen as the class, the rest being filled (eqs. 3 and 4).

    The heatmap is the evidence. The binary hole is nothing, where the class is seen with everything filled,
    or holds its largest values, on 1 % of the image or, if that does not suffice, on more of it (`SHARES`):
    `Outcome.enough` says whether the class is seen in that alone, and it is less than all of the image.

    Attributes:
        cells: Cells of the evidence along each side; ``None``: each pixel by itself.
        upsampling: How the cells become pixels.
        start: Where each search starts: with ``"nothing"`` kept, as published, or with ``"everything"``. Of
            photographs of which all is filled a network knows little, and its slopes lead nowhere.
        confidence: By how much the target's logit is to exceed the largest other one (kappa); the published
            examples have 10. Of a comparison it is log-odds, of a number that is no class's a share of its
            distance from the goal.
        sparsity: Weight of the L1 norm (beta).
        weight: Of the condition in the first search (c), for 28 x 28 cells.
        searches: How many weights are tried.
        steps: Steps of FISTA for each of them.
        lr: Its rate at first; it falls with the square root of the steps that are left.
        reserve: How much more than the ``confidence`` the search goes for. What has less than that counts all
            the same; but as long as there is nothing to go for, no slope tells cells apart.
        found: The evidence that is shown: of all that met the condition the ``"least"``, as published, or the
            ``"mean"`` of all steps, in which stands highest what was kept (or changed) longest.
        shrinkage: ``"constant"``: each step takes ``sparsity`` off, as eq. 5 is printed: the smaller the rate
            gets the more that weighs, and in the end it leaves nothing. ``"scaled"``: each takes off
            ``sparsity`` times its rate, which leads to the minimum of eq. 3.
        refresh: After how many steps the fills are made anew; more than 1 is an approximation, though no
            evidence counts as enough on an old fill.
        outlook: Where slopes of pixels come from that are not removed, see
            `attribution.optimize.cached_score.CachedScore`.

    Raises:
        ValueError: If a number is out of its range or a choice is unknown.
    """

    start: Start = "nothing"
    _curve = "kept"

    @property
    def _first(self) -> float:
        return 1.0 if self.start == "everything" else 0.0

    def _margin(self, score: CachedScore | Margins, evidence: Tensor) -> Float[Tensor, " n"]:
        return -ssr(score, evidence)

    def _judged(self, outcome: Outcome, met: Bool[Tensor, " b"]) -> Outcome:
        # All of the image is no part of it.
        return replace(outcome, enough=met & (outcome.hole == 0).flatten(1).any(dim=1))


@dataclass(frozen=True)
class PertinentNegative(_Pertinent):
    """The least change towards the fill after which another class is seen (eqs. 1 and 2).

    The heatmap is the evidence: how far each pixel goes towards the fill. The binary hole holds its largest
    values, on 1 % of the image or, if that does not suffice, on more of it (`SHARES`): `Outcome.changed` says
    whether another class is seen with that filled. With `attribution.Against` that is the class it is
    compared with, and then it need not be the first choice.

    Attributes and errors: as for `PertinentPositive`.
    """

    _curve = "removed"

    def _margin(self, score: CachedScore | Margins, evidence: Tensor) -> Float[Tensor, " n"]:
        return -sdr(score, evidence)

    def _judged(self, outcome: Outcome, met: Bool[Tensor, " b"]) -> Outcome:
        return replace(outcome, changed=met)
