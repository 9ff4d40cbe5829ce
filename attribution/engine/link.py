"""Links: what is read off the logits as the score of the target."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

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


def with_slope_of_logit(link: Link, logits: Logits, target: Targets) -> Scores:
    """Another link's scores, with the derivative of the target's logit: whoever follows it, follows that."""
    own = logit(logits, target)
    return own + (link(logits, target) - own).detach()
