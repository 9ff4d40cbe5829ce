"""SSR, SDR, DSSR and DSSR+: evidence pixel by pixel, kept, removed, or both at once (Gu 2020).

The paper fills with uniform noise. Its weights of ``||m||_1`` are written for 224 x 224 pixels (10 / 224^2);
here penalties are weights of the mean, the same for every size. While evidence is tied, as in Adam's first
steps, DSSR+ takes the maximum of its neighborhoods by rounding: until it has converged its map may differ by
some hundredths with the number of images in a pass. All of them may where a constant fill makes exact ties in
a network's max pooling, whose gradient then goes where rounding says.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.explainer import Heatmap
from attribution.optimize.cached_score import CachedScore, Outlook
from attribution.optimize.loop import Watch, optimize
from attribution.optimize.objectives import area, dssr, dssr_plus, pooled_area, sdr, smoothed, ssr, two_stage
from attribution.optimize.problem import Problem, as_probability
from attribution.optimize.result import Outcome
from attribution.score import MaskedScore
from infill.validate import Count, Length, Level, Patience, Positive, Weight, require, require_settings

Start = Literal["everything", "nothing"]


class _PixelEvidence(ABC):
    """The common implementation: evidence pixel by pixel, optimized with Adam.

    A method adds its objective, and may replace the weight of its penalty, the penalized area, and how the
    evidence is shown.
    """

    penalty: Weight
    steps: Count
    lr: Positive
    refresh: Count
    outlook: Outlook
    patience: Patience
    _curves: ClassVar[tuple[str, ...]]
    _start: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the evidence, in [0, 1]."""
        return self.optimize(score).heatmap

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return the heatmap and all other results; ``watch`` is called after every step.

        Raises:
            ValueError: As for `attribution.optimize.loop.optimize`.
        """
        return optimize(score, self._problem, len(self._curves), self.refresh, watch)

    @property
    def composites(self) -> int:
        """How many composites of an image its steps score."""
        return self.steps * len(self._curves)

    def _problem(self, score: MaskedScore) -> Problem:
        return Problem(
            start=torch.full_like(score.image[:, :1], self._first),
            loss=self._loss,
            evidence=lambda evidence: (self._shown(evidence) >= 0.5).float(),
            heatmap=lambda evidence: self._shown(evidence)[:, 0],
            optimizer=lambda evidence: torch.optim.Adam([evidence], lr=self.lr),
            steps=self.steps,
            curves=self._curves,
            outlook=self.outlook,
            scale=as_probability(score),
            patience=self.patience,
        )

    @property
    def _first(self) -> float:
        """What the evidence is everywhere before the first step."""
        return self._start

    def _loss(self, evidence: Tensor, score: CachedScore) -> Float[Tensor, " n"]:
        value = self._objective(score, evidence)
        return value + self._weight(score) * (self._area(evidence) / evidence[0].numel())

    @abstractmethod
    def _objective(self, score: CachedScore, evidence: Tensor) -> Tensor:
        """Return what is minimized beside the penalty, one number per image."""

    def _weight(self, score: CachedScore) -> float | Tensor:
        """Return the weight of the penalty, after the calls of the objective."""
        return self.penalty

    def _area(self, evidence: Tensor) -> Tensor:
        return area(evidence)

    def _shown(self, evidence: Tensor) -> Tensor:
        """Return the evidence as heatmap and hole show it."""
        return evidence.clone()


class _TwoStages(_PixelEvidence):
    """A penalty whose weight is small until the evidence alone scores enough (Gu 2020, sec. 3.3)."""

    small: Weight
    enough: Level
    _curves = ("removed", "kept")

    def _weight(self, score: CachedScore) -> Tensor:
        enough = score.clean - (1 - self.enough) * score.clean.abs()  # that share of it, if it is positive
        return two_stage(score.calls[1].scores, enough, self.small, self.penalty)


@dataclass(frozen=True)
class SSR(_PixelEvidence):
    """Smallest sufficient region (Dabkowski & Gal 2017; Gu 2020, eq. 2).

    Minimizes ``penalty * mean(evidence) - s(evidence alone)``.

    Attributes:
        penalty: Weight of the mean of the evidence.
        steps: Steps of Adam.
        lr: Its learning rate.
        refresh: After how many steps the fills are made anew; more than 1 is an approximation.
        outlook: Where slopes of pixels come from that are not removed, see `CachedScore`: with a filler that
            depends on the hole, from its fills of a ``"chessboard"``. Published code has ``"none"``: such a
            pixel then has the slope of what the filler proposes there, which for many is 0.
        patience: An image is done when its loss rests for so many steps (`attribution.optimize.plateau`); 0:
            all steps are taken.
        start: What is evidence at first: ``"everything"`` is ours; the paper's words are ``"nothing"``, from
            where a score that is 0 when all is filled has hardly a slope to follow.

    Raises:
        ValueError: If a number is out of its range or the start is unknown.
    """

    penalty: Weight = 1.0
    steps: Count = 300
    lr: Positive = 0.1
    refresh: Count = 1
    outlook: Outlook = "chessboard"
    patience: Patience = 0
    start: Start = "everything"
    _curves = ("kept",)

    @property
    def _first(self) -> float:
        return 1.0 if self.start == "everything" else 0.0

    def _objective(self, score: CachedScore, evidence: Tensor) -> Tensor:
        return ssr(score, evidence)


@dataclass(frozen=True)
class SDR(_PixelEvidence):
    """Smallest destroying region (Dabkowski & Gal 2017; Gu 2020, eq. 3).

    Minimizes ``s(all but the evidence) + penalty * mean(evidence)`` over evidence that starts at 0
    everywhere.

    Attributes (but for the start) and errors: as for `SSR`.
    """

    penalty: Weight = 1.0
    steps: Count = 300
    lr: Positive = 0.1
    refresh: Count = 1
    outlook: Outlook = "chessboard"
    patience: Patience = 0
    _curves = ("removed",)
    _start = 0.0

    def _objective(self, score: CachedScore, evidence: Tensor) -> Tensor:
        return sdr(score, evidence)


@dataclass(frozen=True)
class DSSR(_TwoStages):
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
        refresh, outlook, patience: As for `SSR`.

    Raises:
        ValueError: If a number is out of its range.
    """

    penalty: Weight = 10.0
    small: Weight = 1.0
    enough: Level = 0.9
    steps: Count = 300
    lr: Positive = 0.1
    refresh: Count = 1
    outlook: Outlook = "chessboard"
    patience: Patience = 0

    def _objective(self, score: CachedScore, evidence: Tensor) -> Tensor:
        return dssr(score, evidence)


@dataclass(frozen=True)
class DSSRPlus(_TwoStages):
    """DSSR with evidence that is compact and robust (Gu 2020, sec. 3.4 and eq. 5 with its terms as in eq. 4).

    The scores are those of the evidence averaged over a window, so that no single pixel can fool them, and
    the penalty is on its maxima over windows. Heatmap and hole are the averaged evidence.

    Attributes:
        window: Side of the window of the average, in pixels (k2).
        pool: Side of the window of the maxima, in pixels (k1).
        penalty, small, enough, steps, lr, refresh, outlook, patience: As for `DSSR`.

    Raises:
        ValueError: If a number is out of its range, or a window is larger than the image.
    """

    window: Length = 16
    pool: Length = 12
    penalty: Weight = 10.0
    small: Weight = 1.0
    enough: Level = 0.9
    steps: Count = 300
    lr: Positive = 0.1
    refresh: Count = 1
    outlook: Outlook = "chessboard"
    patience: Patience = 0

    def optimize(self, score: MaskedScore, watch: Watch | None = None) -> Outcome:
        """Return the heatmap and all other results; ``watch`` is called after every step.

        Raises:
            ValueError: If a window is larger than the image, or as for `attribution.optimize.loop.optimize`.
        """
        side = min(score.size)
        for name in ("window", "pool"):
            require(getattr(self, name) <= side, name, f"at most the image's {side} px", getattr(self, name))
        return super().optimize(score, watch)

    def _objective(self, score: CachedScore, evidence: Tensor) -> Tensor:
        return dssr_plus(score, evidence, window=self.window)

    def _area(self, evidence: Tensor) -> Tensor:
        return pooled_area(evidence, window=self.pool, padding=self.pool // 2)

    def _shown(self, evidence: Tensor) -> Tensor:
        return smoothed(evidence, window=self.window)
