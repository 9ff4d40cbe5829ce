"""Holes with what belongs to them, split into batches, and gradients that take the memory of one batch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.autograd.function import once_differentiable

from infill.filler import Chance, Hole
from infill.validate import require


@dataclass(frozen=True, eq=False)
class HoleBatch:
    """Holes, and what belongs to each of them.

    Attributes:
        hole: 1 where pixels are removed.
        rows: To which image each hole belongs; ``None`` if there is one image only.
        generator: What stochastic fillers draw from.
        fill: Fills that exist already; ``None`` runs the filler.
        shift: Rows and columns by which the view is moved over each composite, 0 to the margin;
            ``None`` takes the middle.
        mirrored: Whether the classifier is shown the composites with left and right swapped.
    """

    hole: Hole
    rows: Int[Tensor, " n"] | None = None
    generator: Chance = None
    fill: Float[Tensor, "_ c h w"] | None = None
    shift: Int[Tensor, "n 2"] | None = None
    mirrored: bool = False

    def check(self, fills_per_hole: int, image: Float[Tensor, "b c h w"], margin: int) -> None:
        """Check that there is one of everything for each hole, and the right number of fills.

        Raises:
            ValueError: If not, or if a shift leaves the margin.
        """
        count, generator = len(self.hole), self.generator
        if isinstance(generator, Sequence):
            require(len(generator) == count, "generator", f"one, or one per hole ({count})", len(generator))
        if self.fill is not None:
            shape = (count * fills_per_hole, *image.shape[1:])
            require(self.fill.shape == shape, "fill", f"of shape {shape}", tuple(self.fill.shape))
        if self.shift is not None:
            came = tuple(self.shift.shape)
            require(came == (count, 2), "shift", f"one row and column per hole ({count})", came)
            inside = not count or 0 <= int(self.shift.min()) <= int(self.shift.max()) <= margin
            require(inside, "shift", f"in the margin, 0 to {margin}", self.shift.tolist())

    def split(self, size: int, fills_per_hole: int) -> Iterator["HoleBatch"]:
        """Yield batches of at most ``size`` holes, each hole repeated once for each of its fills.

        A hole is repeated batch by batch, so that its fills never lie in memory all at once.
        """
        count = len(self.hole) * fills_per_hole
        for start in range(0, max(count, 1), size):
            stop = min(start + size, count)
            once = slice(start, stop)
            repeated = torch.arange(start, stop, device=self.hole.device) // fills_per_hole
            which = once if fills_per_hole == 1 else repeated
            yield HoleBatch(
                self.hole[which],
                None if self.rows is None else self.rows[which],
                _generators(self.generator, range(start, stop), fills_per_hole),
                None if self.fill is None else self.fill[once],
                None if self.shift is None else self.shift[which],
                self.mirrored,
            )


def _generators(generator: Chance, composites: range, fills_per_hole: int) -> Chance:
    """Return what these composites draw from: the one generator, or that of the hole of each."""
    if generator is None or isinstance(generator, Generator):
        return generator
    return [generator[i // fills_per_hole] for i in composites]


class StreamedScores(torch.autograd.Function):
    """Scores of many holes whose graph is never in memory as a whole.

    A score depends on its own hole alone, so each batch's derivative is taken at once and its graph
    dropped. It can be differentiated once, not twice.
    """

    @staticmethod
    def forward(
        ctx: Any, hole: Tensor, batches: Iterable[HoleBatch], score: Callable[[HoleBatch], Tensor]
    ) -> Tensor:
        """Return the scores of all batches, and keep their gradients; a hole may occur several times."""
        ctx.holes = len(hole)
        scores, gradients = [], []
        for batch in batches:
            leaf = batch.hole.detach().requires_grad_()
            with torch.enable_grad():
                some = score(replace(batch, hole=leaf))
                gradients.append(torch.autograd.grad(some.sum(), leaf)[0])
            scores.append(some.detach())
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(scores)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient with respect to the holes; ``weights`` is that with respect to the scores."""
        (gradients,) = ctx.saved_tensors
        weighted = weights[:, None, None, None] * gradients
        return weighted.view(ctx.holes, -1, *gradients.shape[1:]).sum(dim=1), None, None
