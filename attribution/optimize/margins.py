"""How far a class is above all others: followed by methods that ask whether it is the first choice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from attribution.engine.link import (
    Against,
    Link,
    Logits,
    Scores,
    Targets,
    Value,
    logit,
    margin,
    probability,
    sigmoid,
)
from attribution.engine.sampling import Pool, mean_of_fills, pooled_odds
from attribution.optimize.cached_score import Scale
from attribution.score import MaskedScore


@dataclass(frozen=True, eq=False)
class Margins:
    """A score that is above 0 where the class is still the first choice.

    Attributes:
        score: Of the margins.
        own: Maps the margins that it returned last to the scores of the same composites.
        scale: What makes margins of its numbers, if these are none.
    """

    score: MaskedScore
    own: Callable[[Tensor], Tensor]
    scale: Scale | None = None

    def __call__(self, hole: Tensor) -> Scores:
        """Return the margins of holes, one for each image, with fills of their own."""
        rows = torch.arange(len(hole), device=hole.device)
        return self._scaled(self.score(hole, rows, [self.score.sampling.generator() for _ in rows]))

    @property
    def clean(self) -> Scores:
        """The margins of the untouched images."""
        return self._scaled(self.score.clean)

    def _scaled(self, scores: Scores) -> Scores:
        rows = torch.arange(len(scores), device=scores.device)
        return scores if self.scale is None else self.scale(scores, rows)


def in_margins(score: MaskedScore) -> Margins:
    """Return the margins of a score.

    Of a class it is the distance of its logit to the largest of the others (Dhurandhar et al. 2018, eqs. 2
    and 4), or to 0 if classes do not exclude each other; of a comparison the log-odds, as they are; of a
    number that is no class's the distance to its goal, in shares of that from the untouched image.
    """
    link = score.link
    if isinstance(link, Value) and not link.odds:
        return Margins(score, torch.clone, partial(_above_goal, score.clean, score.chance))
    if isinstance(link, Against | Value):
        return Margins(score, torch.clone)
    by_itself = link is sigmoid or score.clean_logits.shape[1] == 1
    noting = _Noting(logit if by_itself else margin, link, score.fills_per_hole, score.sampling.pool)
    followed = score.relinked(noting, pooled_odds if by_itself else mean_of_fills)
    return Margins(followed, noting.own)


def exceeds(link: Link) -> str:
    """Return in words when the margin of a score with this link is above 0."""
    if isinstance(link, Against):
        return "more likely than the class it is compared with"
    if isinstance(link, Value):
        return "scored above where it counts as gone"
    return "more likely than not" if link is sigmoid else "the class that the classifier sees first"


@dataclass(frozen=True, eq=False)
class _Noting:
    """A link that takes note of what another one reads off the same logits, which are not computed twice.

    Attributes:
        link: What is read off.
        other: What is noted.
        times: How many fills each hole has.
        pool: How their noted scores become one.
    """

    link: Link
    other: Link = probability
    times: int = 1
    pool: Pool = mean_of_fills
    noted: list[Tensor] = field(default_factory=list)

    def __call__(self, logits: Logits, target: Targets) -> Scores:
        self.noted.append(self.other(logits, target).detach())
        return self.link(logits, target)

    def own(self, scores: Scores) -> Scores:
        """Return what was noted with the scores that were read off last."""
        # A gradient that is streamed reads all of them off once more, before the next ones.
        values = torch.cat(self.noted)[-len(scores) * self.times :]
        self.noted.clear()
        return self.pool(values.view(len(scores), self.times))


def _above_goal(clean: Tensor, goal: Tensor, scores: Tensor, rows: Tensor) -> Tensor:
    return (scores - goal[rows]) / (clean - goal)[rows]
