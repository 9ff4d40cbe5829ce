"""What is asked about at once: holes, what belongs to them, and their split into batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from infill.filler import Chance, Hole
from infill.validate import require


@dataclass(frozen=True, eq=False)
class Looks:
    """Holes, and what belongs to each of them.

    Attributes:
        hole: 1 where pixels are removed.
        rows: To which image each hole belongs; ``None`` if there is one image only.
        generator: What stochastic fillers draw from.
        fill: Fills that are already there; ``None`` asks the filler.
        shift: Rows and columns by which the view is moved over each composite, 0 to the margin;
            ``None`` takes the middle.
    """

    hole: Hole
    rows: Int[Tensor, " n"] | None = None
    generator: Chance = None
    fill: Float[Tensor, "_ c h w"] | None = None
    shift: Int[Tensor, "n 2"] | None = None

    def about(self, hole: Hole) -> "Looks":
        """Return the same looks with other holes."""
        return replace(self, hole=hole)

    def check(self, times: int, image: Float[Tensor, "b c h w"], margin: int) -> None:
        """Check that there is one of everything for each hole, and ``times`` fills.

        Raises:
            ValueError: If not, or if a shift leaves the margin.
        """
        holes, generator = len(self.hole), self.generator
        if isinstance(generator, Sequence):
            require(len(generator) == holes, "generator", f"one, or one per hole ({holes})", len(generator))
        if self.fill is not None:
            shape = (holes * times, *image.shape[1:])
            require(self.fill.shape == shape, "fill", f"of shape {shape}", tuple(self.fill.shape))
        if self.shift is not None:
            came = tuple(self.shift.shape)
            require(came == (holes, 2), "shift", f"one row and column per hole ({holes})", came)
            inside = not holes or 0 <= int(self.shift.min()) <= int(self.shift.max()) <= margin
            require(inside, "shift", f"in the margin, 0 to {margin}", self.shift.tolist())

    def batches(self, size: int, times: int) -> Iterator["Looks"]:
        """Yield the looks at most ``size`` at once, each hole ``times`` times.

        A hole is repeated batch by batch, so that its fills never lie in memory all at once.
        """
        count = len(self.hole) * times
        for start in range(0, max(count, 1), size):
            stop = min(start + size, count)
            once = slice(start, stop)
            which = once if times == 1 else torch.arange(start, stop, device=self.hole.device) // times
            yield Looks(
                self.hole[which],
                None if self.rows is None else self.rows[which],
                _of_these(self.generator, range(start, stop), times),
                None if self.fill is None else self.fill[once],
                None if self.shift is None else self.shift[which],
            )


def _of_these(generator: Chance, looks: range, times: int) -> Chance:
    """Return what these looks draw from: the one generator, or that of the hole of each."""
    if generator is None or isinstance(generator, Generator):
        return generator
    return [generator[i // times] for i in looks]
