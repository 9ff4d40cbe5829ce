"""Links: what is read off the logits as the score of the target."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from infill.validate import require

Logits: TypeAlias = Float[Tensor, "n k"]
"""The output of a classifier for ``n`` images, in float32."""

Targets: TypeAlias = Int[Tensor, " n"]
"""The class that is explained, for each row of the logits."""

Scores: TypeAlias = Float[Tensor, " n"]
"""One number per image, in float32; larger means more evidence for the target."""

Link: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""``(logits "n k", target "n") -> "n"``."""


def probability(logits: Logits, target: Targets) -> Scores:
    """The target's softmax probability, in [0, 1]."""
    return logits.softmax(dim=1).gather(1, target[:, None]).squeeze(1)


def sigmoid(logits: Logits, target: Targets) -> Scores:
    """The target's sigmoid probability, in [0, 1], for classifiers with several labels per image."""
    return logits.gather(1, target[:, None]).squeeze(1).sigmoid()


def logit(logits: Logits, target: Targets) -> Scores:
    """The target's logit as it is: whatever the classifier returns in the target's column."""
    return logits.gather(1, target[:, None]).squeeze(1)


def log_odds(logits: Logits, target: Targets) -> Scores:
    """``log(p / (1 - p))`` of the softmax probability, without ever forming ``p``.

    Equal to the target's logit minus the log-sum-exp of all others, hence finite where the
    probability itself is rounded to 0 or 1.
    """
    others = logits.scatter(1, target[:, None], -torch.inf)
    return logit(logits, target) - others.logsumexp(dim=1)


def margin(logits: Logits, target: Targets) -> Scores:
    """How far the target's logit is above the largest of all others: above 0 where it is the first choice."""
    others = logits.scatter(1, target[:, None], -torch.inf)
    return logit(logits, target) - others.amax(dim=1)


@dataclass(frozen=True)
class Against:
    """Why the target rather than another class: their log-odds, the difference of their logits.

    With the softmax this is ``log(p / q)``, and with two classes `log_odds` itself; with classes that do not
    exclude each other it is the difference of their log-odds. It is above 0 where the target is more likely,
    and 0, its chance, where both are as likely (Prabhushankar et al. 2020 explain the same contrast).

    Attributes:
        other: The class that the target is compared with.

    Raises:
        ValueError: If it is negative; when called, if it is no class of the classifier or is the target.
    """

    other: int

    def __post_init__(self) -> None:
        require(self.other >= 0, "other", "at least 0", self.other)

    def __call__(self, logits: Logits, target: Targets) -> Scores:
        """Return the difference of the two logits."""
        require(self.other < logits.shape[1], "other", f"below the {logits.shape[1]} classes", self.other)
        require(not bool((target == self.other).any()), "other", "another class than the target", self.other)
        return logit(logits, target) - logits[:, self.other]

    def probability(self, logits: Logits, target: Targets) -> Scores:
        """Return ``p / (p + q)``: the target's probability if it is one of the two."""
        return self(logits, target).sigmoid()


@dataclass(frozen=True)
class Value:
    """The target's number as it is, of a model whose output is no classes: a box, a region, a regression.

    Nothing says at which number the target counts as gone, as chance does for classes. It is where ``left``
    of the untouched image's number are left (so far below it, if that is negative); for log-odds it is 0.

    Attributes:
        left: The share that is left where the target counts as gone.
        odds: Whether the numbers are log-odds.
        name: What the number is called, as in ``"similarity"``.

    Raises:
        ValueError: If the share is not in [0, 1).
    """

    left: float = 0.5
    odds: bool = False
    name: str = "value"

    def __post_init__(self) -> None:
        require(0 <= self.left < 1, "left", "in [0, 1)", self.left)

    def __call__(self, logits: Logits, target: Targets) -> Scores:
        """Return the target's column."""
        return logit(logits, target)

    def goal(self, clean: Scores) -> Scores:
        """Return at which number the target of each image counts as gone."""
        return torch.zeros_like(clean) if self.odds else clean - (1 - self.left) * clean.abs()


def activation(link: Link) -> Link:
    """Return a link of the same scores whose derivative is that of the target's logit alone.

    A comparison of two classes is followed as it is, for it is a difference of logits already, and so is a
    number that is no class's.
    """
    return link if isinstance(link, Against | Value) else partial(with_slope_of_logit, link)


def with_slope_of_logit(link: Link, logits: Logits, target: Targets) -> Scores:
    """Another link's scores, with the derivative of the target's logit: whoever follows it, follows that."""
    own = logit(logits, target)
    return own + (link(logits, target) - own).detach()
