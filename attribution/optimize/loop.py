"""The loop that all optimizing methods share: images in lockstep, each stopping on its own.

The loop calls the loss of a `Problem`, takes the gradient, steps, and leaves out the images that are done.
Nothing that happens to one image depends on its neighbors.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.engine.link import Against, Link, Value
from attribution.explainer import Explainer
from attribution.optimize.cached_score import CachedScore
from attribution.optimize.plateau import Plateau
from attribution.optimize.problem import Problem
from attribution.optimize.result import Outcome, evaluated, joined
from attribution.score import MaskedScore
from infill.network import unrounded
from infill.validate import require


@dataclass(frozen=True, eq=False)
class Step:
    """A step as the ``watch`` callback gets it.

    Attributes:
        number: From 0.
        index: The active images.
        hole: The first hole of each of them in this step, soft.
        fill: What was put into it; it may be larger than the image, see `MaskedScore.enlarged`.
        scores: The mean score of each active image in the first call of this step.
    """

    number: int
    index: Int[Tensor, " n"]
    hole: Float[Tensor, "n 1 h w"]
    fill: Float[Tensor, "n c h w"]
    scores: Float[Tensor, " n"]


Watch: TypeAlias = Callable[[Step], object]
"""Called after every step; what the step holds belongs to the parameters before it."""


@runtime_checkable
class OptimizingExplainer(Explainer, Protocol):
    """A method that optimizes its holes step by step."""

    @property
    def composites(self) -> int:
        """How many composites of an image its steps score, at most."""
        ...

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return the heatmap and all other results; ``watch`` is called after every step."""
        ...


@unrounded()
def optimize(
    score: MaskedScore,
    problem: Callable[[MaskedScore], Problem],
    composites: int = 1,
    refresh: int = 1,
    watch: Watch | None = None,
    goal: float | None = None,
) -> Outcome:
    """Solve the problem of every image of the score.

    As many images run in lockstep as have room in a batch with so many ``composites`` each.

    ``goal`` is the number at which a search of its own ends; without one that is chance.

    Raises:
        ValueError: If ``refresh`` is below 1, a target is at chance (or the goal) already, or as for scores.
    """
    require(refresh >= 1, "refresh", "at least 1", refresh)
    require_above_chance(score, goal)
    size = max(1, score.execution.batch_size // (composites * score.fills_per_hole))
    outcomes = []
    with _differentiable():
        for first in range(0, len(score), size):
            part = score.part(slice(first, first + size))
            loop = _Loop(part, problem(part), refresh, composites)
            each = loop.scored(loop.total)
            for number in loop.run():
                if watch is not None:
                    watch(loop.step(number, first))
                score.execution.progress(first * each + loop.taken, len(score) * each)
            outcomes.append(loop.outcome())
    return joined(outcomes)


def require_above_chance(score: MaskedScore, goal: float | None = None) -> None:
    """Check that there is something to take away from every image.

    Raises:
        ValueError: If the score of an image is not above chance, or above the ``goal`` if there is one.
    """
    low = (score.clean <= (score.chance if goal is None else goal)).nonzero()[:, 0].tolist()
    if low and goal is not None:
        raise ValueError(f"target must be scored above {goal:g}, got {float(score.clean[low[0]]):.3g}")
    if low:
        scores = ", ".join(f"{float(score.clean[i]):.3g} of image {i}" for i in low[:3])
        raise ValueError(f"target must be {_rule(score.link, float(score.chance[low[0]]))}, got {scores}")


def _rule(link: Link, chance: float) -> str:
    if isinstance(link, Against):
        return "more likely than the class it is compared with (log-odds above 0)"
    if isinstance(link, Value):
        return f"scored above where it counts as gone ({chance:.3g})"
    return f"a class above chance ({chance:.3g})"


class _Loop:
    """A group of images in lockstep."""

    def __init__(self, score: MaskedScore, problem: Problem, refresh: int, composites: int) -> None:
        self.score, self.problem, self._refresh = score, problem, refresh
        self._composites = composites
        self.parameters = problem.stages[0].start.detach().clone()
        self.total = sum(stage.steps for stage in problem.stages)
        self.steps = torch.zeros(len(score), dtype=torch.long, device=score.image.device)
        names = dict.fromkeys(name for stage in problem.stages for name in stage.curves)
        self.curves = {name: score.image.new_full((len(score), self.total), torch.nan) for name in names}
        self._asked: list[CachedScore] = []
        self._earlier: list[Tensor] = []
        self._begin(problem.stages[0])

    @property
    def cached_score(self) -> CachedScore:
        """The cached score of the stage that is being solved."""
        return self._asked[-1]

    @property
    def taken(self) -> int:
        """Composites scored for all images; those that are done count as if they had taken all steps."""
        done = len(self.steps) - len(self.active)
        return done * self.scored(self.total) + sum(map(self.scored, self.steps[self.active].tolist()))

    def scored(self, steps: int) -> int:
        """Return how many composites of an image its first so many steps score, of whatever stages."""
        count = 0
        for stage in self.problem.stages:
            each = self._composites * len(stage.curves) // len(self.problem.curves)
            count += each * max(0, min(steps, stage.steps))
            steps -= stage.steps
        return count

    def run(self) -> Iterator[int]:
        """Take all steps of all stages, and yield the number of each."""
        first = 0
        for stage in self.problem.stages:
            if stage is not self._stage:
                with torch.no_grad():
                    self._earlier.append(self._stage.heatmap(self.parameters))
                self._begin(stage)
            for number in range(first, first + stage.steps):
                self._take(number, first)
                yield number
                if not len(self.active):
                    return
            first += stage.steps

    def _begin(self, stage: Problem) -> None:
        """Solve this stage from now on, from the parameters of the one before."""
        self._stage = stage
        score = stage.score or self.score
        settings = self._refresh, stage.inverse_link, stage.outlook, stage.scale
        self._asked.append(CachedScore(score, *settings))
        self.active = self.cached_score.rows
        self._plateau = Plateau(len(self.score), stage.steps, stage.patience, self.score.image)
        if stage.before is None or stage.restarts:
            self._optimizer = stage.optimizer(self.parameters)
            self._scheduler = stage.scheduler(self._optimizer) if stage.scheduler else None

    def _take(self, number: int, first: int) -> None:
        """Take one step, the stage's first of which has the number ``first``."""
        rows = self.active
        self.cached_score.begin(rows)
        leaf = self.parameters[rows].requires_grad_()
        loss = self._stage.loss(leaf, self.cached_score)
        self._record(number, rows)
        done = self._update_active(leaf.detach(), rows) | self._rest(number - first, rows, loss)
        if not done.all():
            gradient = torch.autograd.grad(loss.sum(), leaf)[0]
            finite = bool(gradient.isfinite().all())
            require(finite, "classifier", "one whose derivatives are finite", "NaN or infinity")
            self._advance(rows[~done], gradient[~done])

    def _record(self, number: int, rows: Tensor) -> None:
        self.steps[rows] = number + 1
        for name, call in zip(self._stage.curves, self.cached_score.calls, strict=True):
            self.curves[name][rows, number] = call.scores

    def _update_active(self, leaf: Tensor, rows: Tensor) -> Tensor:
        """Take out images that are done, and return which ones must not move in this step."""
        if self._stage.done is None:
            return torch.zeros_like(rows, dtype=torch.bool)
        done, due = self._stage.done(leaf, self.cached_score), self.cached_score.due
        # With an old fill one cannot be sure: such an image waits for a new one.
        self.cached_score.expire(rows[done & ~due])
        self.active = rows[~(done & due)]
        return done

    def _rest(self, number: int, rows: Tensor, loss: Tensor) -> Tensor:
        """Take out images whose loss rests, and return which these are."""
        rests = self._plateau.rests(number, rows, loss)
        self.active = self.active[~torch.isin(self.active, rows[rests])]
        return rests

    def _advance(self, rows: Tensor, gradient: Tensor) -> None:
        before = self.parameters.clone()
        self.parameters.grad = torch.zeros_like(self.parameters)
        self.parameters.grad[rows] = gradient
        self._optimizer.step()
        if self._stage.limits is not None:
            self.parameters.clamp_(*self._stage.limits)
        still = torch.ones(len(before), dtype=torch.bool, device=before.device)
        still[rows] = False
        if self._stage.usable is not None:
            still |= ~self._stage.usable(self.parameters)
        self.parameters[still] = before[still]
        if self._scheduler is not None:
            self._scheduler.step()

    def step(self, number: int, first: int) -> Step:
        """Return the step that was just taken; ``first`` is the number of the group's first image."""
        call, rows = self.cached_score.calls[0], self.cached_score.rows
        holes_per_image = len(call.hole) // len(rows)
        hole = call.hole[::holes_per_image]
        if call.fill is None:
            fill = self.cached_score.score.fills(hole, rows)
        else:
            fill = call.fill[:: len(call.fill) // len(rows)]
        return Step(number, rows + first, hole, fill, call.scores)

    def outcome(self) -> Outcome:
        """Return the results of all images of the group."""
        problem = self.problem
        with torch.no_grad():
            if problem.refine is not None:
                self.parameters = problem.refine(self.parameters, self.cached_score)
            longest = int(self.steps.max())
            outcome = evaluated(
                self.score,
                problem.heatmap(self.parameters),
                problem.evidence(self.parameters),
                {name: curve[:, :longest] for name, curve in self.curves.items()},
                self.steps,
                self._counted("composites"),
                self._counted("fills"),
                self._counted("outlooks"),
            )
        outcome = replace(outcome, earlier=tuple(self._earlier))
        return outcome if problem.chance is None else replace(outcome, chance=problem.chance)

    def _counted(self, what: str) -> Int[Tensor, " n"]:
        """Return how many of these all stages together have asked for, for each image."""
        counts: Tensor = sum(getattr(asked, what) for asked in self._asked)
        return counts.to(self.steps.device)


@contextmanager
def _differentiable() -> Iterator[None]:
    """Allow gradients, even in someone's inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
