"""How often a stochastic filler is run for each hole, and how the scores of its fills are pooled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from attribution.engine.link import Scores
from infill.validate import require

Pool: TypeAlias = Callable[[Tensor], Tensor]
"""Maps the scores of the ``m`` fills of each hole to one score each: ``"n m" -> "n"``."""


def mean_of_fills(scores: Float[Tensor, "n m"]) -> Scores:
    """The mean score of each hole's fills."""
    return scores.mean(dim=1)


def pooled_odds(odds: Float[Tensor, "n m"]) -> Scores:
    """The log-odds of the mean probability of each hole's fills, given the log-odds of each."""
    if odds.shape[1] == 1:
        return odds[:, 0]
    return F.logsigmoid(odds).logsumexp(dim=1) - F.logsigmoid(-odds).logsumexp(dim=1)


@dataclass(frozen=True)
class Sampling:
    """How often a stochastic filler is run for each hole, and how its fills count.

    Attributes:
        samples: How many fills each hole gets from a stochastic filler; all others are run once.
        seed: Seed of the generator that stochastic fillers draw from.
        pool: How the scores of a hole's fills become one; by default their mean.

    Raises:
        ValueError: If there is less than one sample.
    """

    samples: int = 1
    seed: int = 0
    pool: Pool = mean_of_fills

    def __post_init__(self) -> None:
        require(self.samples >= 1, "samples", "at least 1", self.samples)

    def generator(self) -> Generator:
        """Return a new generator made from ``seed``."""
        return Generator().manual_seed(self.seed)
