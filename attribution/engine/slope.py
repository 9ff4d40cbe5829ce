"""Gradients that take no more memory than one batch."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from attribution.engine.batch import Looks

Job: TypeAlias = Callable[[Looks], Tensor]
"""The scores of one batch of looks, differentiable with respect to their holes."""


class Streamed(torch.autograd.Function):
    """Scores of many holes whose graph is never in memory as a whole.

    A score depends on its own hole alone, so each batch's derivative is taken at once and its graph
    dropped. It can be differentiated once, not twice.
    """

    @staticmethod
    def forward(ctx: Any, hole: Tensor, batches: Iterable[Looks], job: Job) -> Tensor:
        """Return the scores of all batches, and keep their slopes; a hole may be looked at several times."""
        ctx.holes = len(hole)
        scores, slopes = [], []
        for looks in batches:
            leaf = looks.hole.detach().requires_grad_()
            with torch.enable_grad():
                some = job(looks.about(leaf))
                slopes.append(torch.autograd.grad(some.sum(), leaf)[0])
            scores.append(some.detach())
        ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(scores)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient with respect to the holes."""
        (slopes,) = ctx.saved_tensors
        weighted = gradient[:, None, None, None] * slopes
        return weighted.view(ctx.holes, -1, *slopes.shape[1:]).sum(dim=1), None, None
