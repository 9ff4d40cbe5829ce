"""SSR, SDR, DSSR and DSSR+: evidence pixel by pixel, kept, removed, or both at once (Gu 2020).

The paper fills with uniform noise. Its weights of ``||m||_1`` are written for 224 x 224 pixels (10 / 224^2);
here penalties are weights of the mean, the same for every size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.explainer import Heatmap
from attribution.optimize.cached_score import Sight
from attribution.optimize.loop import Problem, Watch, optimize
from attribution.optimize.objectives import (
    Objective,
    Penalty,
    area,
    dssr,
    dssr_plus,
    pooled_area,
    sdr,
    smoothed,
    ssr,
    two_stage,
)
from attribution.optimize.result import Outcome
from attribution.score import MaskedScore
from infill.validate import require, require_numbers

Seen = Callable[[Tensor], Tensor]
"""What is shown of the evidence, "n 1 h w" to "n 1 h w"."""


@dataclass(frozen=True)
class SSR:
    """Smallest sufficient region (Dabkowski & Gal 2017; Gu 2020, eq. 2).

    Minimizes ``penalty * mean(evidence) - s(evidence alone)`` over evidence that starts at 1 everywhere.

    Attributes:
        penalty: Weight of the mean of the evidence.
        steps: Steps of Adam.
        lr: Its learning rate.
        refresh: After how many steps the fills are made anew; more than 1 is an approximation.

    Raises:
        ValueError: If a number is out of its range.
    """

    penalty: float = 1.0
    steps: int = 300
    lr: float = 0.1
    refresh: int = 1
    _curves: ClassVar[tuple[str, ...]] = ("kept",)

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the evidence, in [0, 1]."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return all that was found; ``watch`` is told of every step.

        Raises:
            ValueError: As for `attribution.optimize.optimize`.
        """
        return _solved(self, score, watch, partial(_in_one_stage, self, ssr))

    @property
    def composites(self) -> int:
        """How many composites of an image are looked at."""
        return self.steps * len(self._curves)


@dataclass(frozen=True)
class SDR:
    """Smallest destroying region (Dabkowski & Gal 2017; Gu 2020, eq. 3).

    Minimizes ``s(all but the evidence) + penalty * mean(evidence)`` over evidence that starts at 0
    everywhere.

    Attributes and errors: as for `SSR`.
    """

    penalty: float = 1.0
    steps: int = 300
    lr: float = 0.1
    refresh: int = 1
    _curves: ClassVar[tuple[str, ...]] = ("removed",)

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the evidence, in [0, 1]."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return all that was found; ``watch`` is told of every step.

        Raises:
            ValueError: As for `attribution.optimize.optimize`.
        """
        return _solved(self, score, watch, partial(_in_one_stage, self, sdr), start=0.0)

    @property
    def composites(self) -> int:
        """How many composites of an image are looked at."""
        return self.steps * len(self._curves)


@dataclass(frozen=True)
class DSSR:
    """Both at once (Gu 2020, eq. 4), with the penalty in two stages.

    Minimizes ``s(all but the evidence) - s(evidence alone) + weight * mean(evidence)`` over evidence that
    starts at 1 everywhere. The weight is ``small`` until the evidence alone scores enough, and ``penalty``
    from then on.

    Attributes:
        penalty: Weight of the mean of the evidence once it scores enough.
        small: The weight before; the paper gives no number.
        enough: Which share of the untouched image's score is enough; the paper gives no number.
        steps: Steps of Adam.
        lr: Its learning rate.
        refresh: After how many steps the fills are made anew; more than 1 is an approximation.

    Raises:
        ValueError: If a number is out of its range.
    """

    penalty: float = 10.0
    small: float = 1.0
    enough: float = 0.9
    steps: int = 300
    lr: float = 0.1
    refresh: int = 1
    _curves: ClassVar[tuple[str, ...]] = ("removed", "kept")

    def __post_init__(self) -> None:
        _check(self)
        _check_stages(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the evidence, in [0, 1]."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return all that was found; ``watch`` is told of every step.

        Raises:
            ValueError: As for `attribution.optimize.optimize`.
        """
        return _solved(self, score, watch, partial(_in_two_stages, self, dssr, area))

    @property
    def composites(self) -> int:
        """How many composites of an image are looked at."""
        return self.steps * len(self._curves)


@dataclass(frozen=True)
class DSSRPlus:
    """DSSR with evidence that is compact and robust (Gu 2020, sec. 3.4 and eq. 5 with its terms as in eq. 4).

    The scores see the evidence averaged over a window, so that no single pixel can fool them, and the penalty
    is on its maxima over windows. Heatmap and hole are the averaged evidence.

    Attributes:
        window: Side of the window of the average, in pixels (k2).
        pool: Side of the window of the maxima, in pixels (k1).
        penalty, small, enough, steps, lr, refresh: As for `DSSR`.

    Raises:
        ValueError: If a number is out of its range, or a window is larger than the image.
    """

    window: int = 16
    pool: int = 12
    penalty: float = 10.0
    small: float = 1.0
    enough: float = 0.9
    steps: int = 300
    lr: float = 0.1
    refresh: int = 1
    _curves: ClassVar[tuple[str, ...]] = ("removed", "kept")

    def __post_init__(self) -> None:
        _check(self)
        _check_stages(self)
        require_numbers(self, "at least 1", "window", "pool")

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the averaged evidence, in [0, 1]."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return all that was found; ``watch`` is told of every step.

        Raises:
            ValueError: If a window is larger than the image, or as for `attribution.optimize.optimize`.
        """
        side = min(score.size)
        for name in ("window", "pool"):
            require(getattr(self, name) <= side, name, f"at most the image's {side} px", getattr(self, name))
        objective = partial(dssr_plus, window=self.window)
        paid = partial(pooled_area, window=self.pool, padding=self.pool // 2)
        loss = partial(_in_two_stages, self, objective, paid)
        return _solved(self, score, watch, loss, seen=partial(smoothed, window=self.window))

    @property
    def composites(self) -> int:
        """How many composites of an image are looked at."""
        return self.steps * len(self._curves)


def _in_one_stage(method: SSR | SDR, objective: Objective, evidence: Tensor, sight: Sight) -> Tensor:
    return objective(sight, evidence) + method.penalty * _share(area(evidence), evidence)


def _in_two_stages(
    method: DSSR | DSSRPlus, objective: Objective, paid: Penalty, evidence: Tensor, sight: Sight
) -> Tensor:
    value = objective(sight, evidence)
    weight = two_stage(sight.seen[1].scores, method.enough * sight.clean, method.small, method.penalty)
    return value + weight * _share(paid(evidence), evidence)


def _solved(
    method: SSR | SDR | DSSR | DSSRPlus,
    score: MaskedScore,
    watch: Watch | None,
    loss: Callable[[Tensor, Sight], Tensor],
    start: float = 1.0,
    seen: Seen = torch.clone,
) -> Outcome:
    def problem(part: MaskedScore) -> Problem:
        return Problem(
            start=torch.full_like(part.image[:, :1], start),
            loss=loss,
            evidence=lambda evidence: (seen(evidence) >= 0.5).float(),
            heatmap=lambda evidence: seen(evidence)[:, 0],
            optimizer=lambda evidence: torch.optim.Adam([evidence], lr=method.lr),
            steps=method.steps,
            curves=method._curves,
        )

    return optimize(score, problem, len(method._curves), method.refresh, watch)


def _share(total: Float[Tensor, " n"], evidence: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    return total / evidence[0].numel()


def _check(method: SSR | SDR | DSSR | DSSRPlus) -> None:
    require_numbers(method, "at least 1", "steps", "refresh")
    require_numbers(method, "positive", "lr")
    require_numbers(method, "at least 0", "penalty")


def _check_stages(method: DSSR | DSSRPlus) -> None:
    require_numbers(method, "at least 0", "small")
    require(0 < method.enough <= 1, "enough", "in (0, 1]", method.enough)
