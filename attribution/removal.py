"""Images with something else in their holes, and what the classifier says of them."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from attribution.precision import Prepared
from infill.filler import Fill, Filler, Hole, composite
from infill.validate import require


@contextmanager
def constant() -> Iterator[None]:
    """Make tensors without gradient that a graph may use later, even in someone's inference mode."""
    with torch.inference_mode(False), torch.no_grad():
        yield


@dataclass(frozen=True, eq=False)
class Removal:
    """The engine under `attribution.score.MaskedScore`: one batch of holes at a time.

    A fill that does not depend on the hole is asked for once, for all images together.
    """

    image: Float[Tensor, "b c h w"]
    filler: Filler
    classifier: Prepared

    @cached_property
    def canvas(self) -> Float[Tensor, "b c h w"]:
        """The images in the classifier's dtype.

        Contiguous: composites are made faster that way and laid out for the classifier afterwards.
        """
        with constant():
            return self.image.to(self.classifier.dtype).contiguous()

    @cached_property
    def fill(self) -> Float[Tensor, "b c h w"]:
        """The fills of a filler to which the hole does not matter."""
        with constant():
            return self._ask(self.image, self.image.new_ones(len(self.image), 1, *self.image.shape[2:]), None)

    @cached_property
    def paint(self) -> Float[Tensor, "b c h w"]:
        """The same in the classifier's dtype."""
        with constant():
            return self.fill.to(self.classifier.dtype).contiguous()

    def part(self, i: int) -> "Removal":
        """Return image ``i`` alone, with its share of what has been computed."""
        one = Removal(self.image[i : i + 1], self.filler, self.classifier)
        if not self.filler.per_hole:
            one.__dict__["fill"] = self.fill[i : i + 1]
        return one

    def propose(self, hole: Hole, rows: Int[Tensor, " n"] | None, generator: Generator) -> Fill:
        """Return the fills of the holes in float32; ``rows`` says to which image each belongs."""
        if not self.filler.per_hole:
            return self.fill if rows is None else self.fill[rows]
        with constant():
            return self._ask(self.image if rows is None else self.image[rows], hole.detach(), generator)

    def composites(
        self, hole: Hole, rows: Int[Tensor, " n"] | None, generator: Generator
    ) -> Float[Tensor, "n c h w"]:
        """Return the composites in float32, without gradient."""
        image = self.image if rows is None else self.image[rows]
        with constant():
            return composite(image, hole, self.propose(hole, rows, generator))

    def look(
        self, hole: Hole, rows: Int[Tensor, " n"] | None, generator: Generator
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        """Return the composites in the classifier's dtype, and their logits.

        Raises:
            ValueError: If the logits are not a number, naming the culprit.
        """
        canvas = self.canvas if rows is None else self.canvas[rows]
        if self.filler.per_hole:
            fill = self.propose(hole, rows, generator).to(canvas.dtype)
        else:
            fill = self.paint if rows is None else self.paint[rows]
        differentiable = torch.is_grad_enabled() and hole.requires_grad
        with nullcontext() if differentiable else torch.inference_mode():
            images = composite(canvas, hole, fill)
            logits = self.classifier(images)
            if logits.isnan().any():
                require(bool(hole.isfinite().all()), "hole", "finite", "NaN or infinity")
                require(bool(fill.isfinite().all()), "filler", "one whose fill is finite", self.filler)
                raise ValueError("classifier must return numbers, got NaN logits for perturbed images")
        return images, logits

    def clean(self, batch_size: int) -> Float[Tensor, "b k"]:
        """Return the logits of the untouched images.

        Raises:
            ValueError: If they are not a number.
        """
        with constant():
            logits = torch.cat([self.classifier(images) for images in torch.split(self.canvas, batch_size)])
        require(not bool(logits.isnan().any()), "classifier", "one that returns numbers", "NaN logits")
        return logits

    def _ask(self, image: Tensor, hole: Tensor, generator: Generator | None) -> Tensor:
        fill = self.filler(image, hole, generator)
        shapes = [(n, *image.shape[1:]) for n in (1, len(hole))]
        require(
            tuple(fill.shape) in shapes,
            "filler",
            f"one whose fill is of shape {shapes[-1]}",
            tuple(fill.shape),
        )
        return fill if self.filler.per_hole else fill.expand_as(image)
