"""The problem that an optimizing method states: where to start, what to minimize, how, and when to stop."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from attribution.engine.link import Against, Value, log_odds, logit, probability, sigmoid
from attribution.engine.sampling import pooled_odds
from attribution.optimize.cached_score import CachedScore, Outlook, Scale
from attribution.score import MaskedScore

UNTOUCHED = 0.9
"""What stands for the untouched image's probability where a score is none (`as_probability`)."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What a method minimizes for a group of images, and how.

    Images that need further steps are *active*. Parameters are a tensor whose first axis is the images.

    Attributes:
        start: The parameters before the first step.
        loss: Maps the parameters of the active images and their cached score to the losses "n".
        evidence: Maps parameters to binary evidence, "n 1 h w" of the images' size.
        heatmap: Maps parameters to heatmaps, "n h w".
        optimizer: Makes the optimizer of the parameters, which must treat each image by itself.
        steps: The largest number of steps.
        curves: The name in `Outcome.curves` of each call of the cached score within a step, in order.
        limits: The range to which parameters are clipped after each step.
        scheduler: Makes the schedule of the optimizer's learning rate.
        done: Maps the parameters of the active images and their cached score to which of these images need
            no further step; called after the loss and before the step.
        refine: Maps the final parameters of all images and their cached score to better ones.
        outlook: Where slopes of pixels come from that are not removed, see `CachedScore`.
        score: The score that is cached, if not the images' own: of larger images, with another link.
        inverse_link: Maps its values back to the units of the images' own score.
        scale: What the loss follows instead of the scores, if not these themselves (`as_probability`).
        patience: How many steps the loss must rest for an image to be done, see `Plateau`; 0: never.
        chance: At which of the images' own scores "n" the class counts as gone, if not at the score's chance.
        usable: Maps parameters to which images can go on with them; a step that leads elsewhere is not taken.
        before: What is solved first, with all of its steps: this problem starts from its last parameters,
            and its heatmaps are kept.
        restarts: Whether the optimizer and its schedule start anew then, or those of ``before`` go on.
    """

    start: Tensor
    loss: Callable[[Tensor, CachedScore], Tensor]
    evidence: Callable[[Tensor], Tensor]
    heatmap: Callable[[Tensor], Tensor]
    optimizer: Callable[[Tensor], torch.optim.Optimizer]
    steps: int
    curves: Sequence[str] = ("removed",)
    limits: tuple[float, float] | None = (0.0, 1.0)
    scheduler: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler] | None = None
    done: Callable[[Tensor, CachedScore], Tensor] | None = None
    refine: Callable[[Tensor, CachedScore], Tensor] | None = None
    score: MaskedScore | None = None
    outlook: Outlook = "chessboard"
    inverse_link: Callable[[Tensor], Tensor] = torch.clone
    scale: Scale | None = None
    chance: Tensor | None = None
    patience: int = 0
    usable: Callable[[Tensor], Tensor] | None = None
    before: "Problem | None" = None
    restarts: bool = True

    @property
    def stages(self) -> list["Problem"]:
        """What is solved one after another; the last one is this problem."""
        return [*(self.before.stages if self.before else []), self]


def in_log_odds(score: MaskedScore, wanted: bool = True) -> tuple[MaskedScore, Callable[[Tensor], Tensor]]:
    """Return the score in log-odds, if wanted and if it is a probability, and the inverse of that link.

    Log-odds rise and fall with the probability, but are never rounded to zero, nor are their gradients.
    """
    if wanted and score.link is probability:
        return score.relinked(log_odds, pooled_odds), torch.sigmoid
    if wanted and score.link is sigmoid:
        return score.relinked(logit, pooled_odds), torch.sigmoid
    return score, torch.clone


def as_probability(score: MaskedScore) -> Scale | None:
    """Return how a score is followed whose penalty is weighed against a probability.

    ``None`` if it is one, a logit, or a link that is not known here. Log-odds and a comparison of two classes
    have no bounds: however much has been removed, removing more would pay; and other numbers have any unit.
    They are followed as a probability that is `UNTOUCHED` for the untouched image and as far from 1 at
    chance, and whose log-odds rise with the score.
    """
    if not (isinstance(score.link, Against | Value) or score.link is log_odds):
        return None
    return partial(_as_probability, score.clean, score.chance)


def as_log_odds(score: MaskedScore) -> Scale | None:
    """Return how a score is followed whose penalty is weighed against log-odds.

    ``None`` if it is those, or `in_log_odds` can make it so; other numbers as the log-odds of
    `as_probability`.
    """
    if not isinstance(score.link, Value) or score.link.odds:
        return None
    return partial(_as_log_odds, score.clean, score.chance)


def _as_probability(clean: Tensor, chance: Tensor, scores: Tensor, rows: Tensor) -> Tensor:
    return _as_log_odds(clean, chance, scores, rows).sigmoid()


def _as_log_odds(clean: Tensor, chance: Tensor, scores: Tensor, rows: Tensor) -> Tensor:
    share = (scores - chance[rows]) / (clean - chance)[rows]
    return math.log(UNTOUCHED / (1 - UNTOUCHED)) * (2 * share - 1)
