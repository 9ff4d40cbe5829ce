"""The loop that all optimizing methods share: images in lockstep, each stopping on its own.

A method says where it starts, what evidence its parameters stand for, what it minimizes and with which
optimizer (`Problem`). The loop asks the score, keeps the fills between refreshes, takes the gradient, steps,
and leaves out the images that are done. Nothing that happens to one image depends on its neighbors.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.engine.link import log_odds, logit, probability, sigmoid
from attribution.engine.sampling import pooled_odds
from attribution.explainer import Explainer
from attribution.optimize.cached_score import Sight
from attribution.optimize.result import Outcome, joined, judged
from attribution.score import MaskedScore
from infill.validate import require


@dataclass(frozen=True, eq=False)
class Step:
    """What can be watched of a step.

    Attributes:
        number: From 0.
        index: The images that are at work.
        hole: The first hole of each of them in this step, soft.
        fill: What was put into it; the canvas may be larger than the image, see `MaskedScore.enlarged`.
        scores: The mean score of the composites of this first call.
    """

    number: int
    index: Int[Tensor, " n"]
    hole: Float[Tensor, "n 1 h w"]
    fill: Float[Tensor, "n c h w"]
    scores: Float[Tensor, " n"]


Watch: TypeAlias = Callable[[Step], object]
"""Told of every step once it is taken: what was seen in it is of the parameters before."""


@runtime_checkable
class OptimizingExplainer(Explainer, Protocol):
    """A method that looks for its holes step by step."""

    @property
    def composites(self) -> int:
        """How many composites of an image are looked at on the way, at most."""
        ...

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return all that was found beside the heatmap; ``watch`` is told of every step."""
        ...


@dataclass(frozen=True, eq=False)
class Problem:
    """What a method asks of the loop, for a group of images.

    Attributes:
        start: The parameters of each image, along the first axis.
        loss: Of the parameters of the images at work and the sight of their scores: one number each.
        evidence: The binary evidence of parameters, "n 1 h w" of the image's size.
        heatmap: The heatmap of parameters, "n h w".
        optimizer: Makes the optimizer of the parameters. It must treat an image's by themselves.
        steps: The most steps.
        curves: What each call of the sight within a step is, in order: ``removed`` or ``kept``.
        limits: Parameters are cut off at these after each step.
        scheduler: Makes the schedule of the learning rate.
        done: Of the parameters of the images at work and the sight: which need no further step. Asked after
            the loss and before the step.
        refine: Makes better parameters of those of all images, in the end.
        score: The score that the sight is of, if not the images' own: larger images, another link.
        told: Brings its scores back into the units of the images' own.
    """

    start: Tensor
    loss: Callable[[Tensor, Sight], Tensor]
    evidence: Callable[[Tensor], Tensor]
    heatmap: Callable[[Tensor], Tensor]
    optimizer: Callable[[Tensor], torch.optim.Optimizer]
    steps: int
    curves: Sequence[str] = ("removed",)
    limits: tuple[float, float] | None = (0.0, 1.0)
    scheduler: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler] | None = None
    done: Callable[[Tensor, Sight], Tensor] | None = None
    refine: Callable[[Tensor, Sight], Tensor] | None = None
    score: MaskedScore | None = None
    told: Callable[[Tensor], Tensor] = torch.clone


def optimize(
    score: MaskedScore,
    problem: Callable[[MaskedScore], Problem],
    looks: int = 1,
    refresh: int = 1,
    watch: Watch | None = None,
) -> Outcome:
    """Solve the problem of every image of the score.

    As many images run in lockstep as have room in a batch with ``looks`` composites each.

    Raises:
        ValueError: If ``refresh`` is below 1, a target is already at chance, or as for the score.
    """
    require(refresh >= 1, "refresh", "at least 1", refresh)
    require_above_chance(score)
    size = max(1, score.execution.batch_size // (looks * score.fills_per_hole))
    outcomes = []
    with _differentiable():
        for first in range(0, len(score), size):
            part = score.part(slice(first, first + size))
            loop = _Loop(part, problem(part), refresh)
            each = loop.problem.steps * looks
            for number in loop.run():
                if watch is not None:
                    watch(loop.step(number, first))
                score.execution.progress(first * each + loop.taken * looks, len(score) * each)
            outcomes.append(loop.outcome())
    return joined(outcomes)


def require_above_chance(score: MaskedScore) -> None:
    """Check that there is something to take away from every image.

    Raises:
        ValueError: If the score of an image is not above chance.
    """
    low = (score.clean <= score.chance).nonzero()[:, 0].tolist()
    if low:
        found = ", ".join(f"{float(score.clean[i]):.3g} of image {i}" for i in low[:3])
        raise ValueError(
            f"target must be a class above chance ({float(score.chance[low[0]]):.3g}), got {found}"
        )


def in_log_odds(score: MaskedScore, wanted: bool = True) -> tuple[MaskedScore, Callable[[Tensor], Tensor]]:
    """Return the score in log-odds, if wanted and if it is a probability, and what brings its numbers back.

    Log-odds rise and fall with the probability, but neither they nor their slopes are ever rounded to zero.
    """
    if wanted and score.link is probability:
        return score.relinked(log_odds, pooled_odds), torch.sigmoid
    if wanted and score.link is sigmoid:
        return score.relinked(logit, pooled_odds), torch.sigmoid
    return score, torch.clone


class _Loop:
    """A group of images on their way."""

    def __init__(self, score: MaskedScore, problem: Problem, refresh: int) -> None:
        self.score, self.problem = score, problem
        self.sight = Sight(problem.score or score, refresh, problem.told)
        self.parameters = problem.start.detach().clone()
        self.active = self.sight.rows
        self.steps = torch.zeros_like(self.active)
        self.curves = {
            name: score.image.new_full((len(score), problem.steps), torch.nan) for name in problem.curves
        }
        self._optimizer = problem.optimizer(self.parameters)
        self._scheduler = problem.scheduler(self._optimizer) if problem.scheduler else None

    @property
    def taken(self) -> int:
        """Steps taken by all images; those that are done count as if they had taken all."""
        done = len(self.steps) - len(self.active)
        return done * self.problem.steps + int(self.steps[self.active].sum())

    def run(self) -> Iterator[int]:
        """Take all steps, and yield the number of each."""
        for number in range(self.problem.steps):
            rows = self.active
            self.sight.begin(rows)
            leaf = self.parameters[rows].requires_grad_()
            loss = self.problem.loss(leaf, self.sight)
            self._note(number, rows)
            held = self._finished(leaf.detach(), rows)
            if not held.all():
                slope = torch.autograd.grad(loss.sum(), leaf)[0]
                self._advance(rows[~held], slope[~held])
            yield number
            if not len(self.active):
                return

    def _note(self, number: int, rows: Tensor) -> None:
        self.steps[rows] = number + 1
        for name, seen in zip(self.problem.curves, self.sight.seen, strict=True):
            self.curves[name][rows, number] = seen.scores

    def _finished(self, leaf: Tensor, rows: Tensor) -> Tensor:
        """Take out images that are done, and return which ones must not move in this step."""
        if self.problem.done is None:
            return torch.zeros_like(rows, dtype=torch.bool)
        done = self.problem.done(leaf, self.sight)
        # With an old fill one cannot be sure: such an image waits for a new one.
        self.sight.doubt(rows[done & ~self.sight.due])
        self.active = rows[~(done & self.sight.due)]
        return done

    def _advance(self, rows: Tensor, slope: Tensor) -> None:
        before = self.parameters.clone()
        self.parameters.grad = torch.zeros_like(self.parameters)
        self.parameters.grad[rows] = slope
        self._optimizer.step()
        if self.problem.limits is not None:
            self.parameters.clamp_(*self.problem.limits)
        still = torch.ones(len(before), dtype=torch.bool, device=before.device)
        still[rows] = False
        self.parameters[still] = before[still]
        if self._scheduler is not None:
            self._scheduler.step()

    def step(self, number: int, first: int) -> Step:
        """Return what was seen in the step that was just taken; ``first`` is the group's first image."""
        seen, rows = self.sight.seen[0], self.sight.rows
        each = len(seen.hole) // len(rows)
        if seen.fill is None:
            fill = self.sight.score.fills(seen.hole[::each], rows)
        else:
            fill = seen.fill[:: len(seen.fill) // len(rows)]
        return Step(number, rows + first, seen.hole[::each], fill, seen.scores)

    def outcome(self) -> Outcome:
        """Return what was found."""
        problem, sight = self.problem, self.sight
        with torch.no_grad():
            if problem.refine is not None:
                self.parameters = problem.refine(self.parameters, sight)
            longest = int(self.steps.max())
            return judged(
                self.score,
                problem.heatmap(self.parameters),
                problem.evidence(self.parameters),
                {name: curve[:, :longest] for name, curve in self.curves.items()},
                self.steps,
                sight.looked.to(self.steps.device),
                sight.asked.to(self.steps.device),
            )


@contextmanager
def _differentiable() -> Iterator[None]:
    """Allow gradients, even in someone's inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield
