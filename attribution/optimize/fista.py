"""FISTA: gradient steps with momentum, after each of which small values become 0 (Beck & Teboulle 2009)."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Shrinkage: TypeAlias = Literal["constant", "scaled"]
"""By how much each step shrinks: by the weight of the L1 norm, or by that times the step's size."""


class Fista(torch.optim.Optimizer):
    """Minimizes a smooth loss and ``sparsity * ||parameters||_1`` over parameters in [0, 1].

    As in Dhurandhar et al. (2018, eqs. 5 and 6): ``d_k+1 = P[S(y_k - rate_k * gradient)]`` and ``y_k+1 =
    P[d_k+1 + k / (k + 3) * (d_k+1 - d_k)]``, where S makes each value smaller and P cuts off at 0 and 1. The
    parameters are ``y``, where the gradient is taken. The rate falls with the square root of the steps that
    are left of a round, after which everything starts anew.

    Args:
        parameters: One tensor, whose values before the first step are where each round starts.
        lr: The rate of a round's first step.
        sparsity: Weight of the L1 norm.
        steps: Steps of a round.
        shrinkage: ``"constant"``: each step shrinks by ``sparsity``, as published, which weighs the norm the
            more the smaller the rate is; ``"scaled"``: by ``sparsity * rate``, with which a round comes to
            the minimum.
        ended: Called after each round.
    """

    def __init__(
        self,
        parameters: Tensor,
        lr: float,
        sparsity: float,
        steps: int,
        shrinkage: Shrinkage,
        ended: Callable[[], object],
    ) -> None:
        super().__init__([parameters], {"lr": lr, "sparsity": sparsity})
        self._steps, self._scaled, self._ended = steps, shrinkage == "scaled", ended
        self._start, self._before, self._number = parameters.clone(), parameters.clone(), 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step, the last of a round back to its start."""
        (group,) = self.param_groups
        (values,) = group["params"]
        number = self._number
        rate = group["lr"] * (1 - number / self._steps) ** 0.5
        shrunk = group["sparsity"] * (rate if self._scaled else 1.0)
        # Nothing is below 0, so that shrinking and cutting off are one.
        moved = (values - rate * values.grad - shrunk).clamp(0, 1)
        values.copy_((moved + number / (number + 3) * (moved - self._before)).clamp(0, 1))
        self._before, self._number = moved, number + 1
        if self._number == self._steps:
            values.copy_(self._start)
            self._before, self._number = self._start.clone(), 0
            self._ended()
