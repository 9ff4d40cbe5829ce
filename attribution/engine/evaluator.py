"""Images with something else in their holes, and how the classifier scores them."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.engine.batch import Looks
from attribution.engine.link import Link, Logits, Scores
from attribution.engine.precision import Prepared
from infill.filler import Chance, Fill, Filler, composite
from infill.validate import require


@contextmanager
def constant() -> Iterator[None]:
    """Make tensors without gradient that a graph may use later, even in someone's inference mode."""
    with torch.inference_mode(False), torch.no_grad():
        yield


@dataclass(frozen=True, eq=False)
class Removal:
    """The engine under `attribution.score.MaskedScore`: one batch of holes at a time.

    A fill that does not depend on the hole is asked for once, for all images together. The classifier
    is shown a view of the composite that is ``margin`` pixels smaller.
    """

    image: Float[Tensor, "b c h w"]
    target: Int[Tensor, " b"]
    filler: Filler
    classifier: Prepared
    link: Link
    margin: int = 0

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

    def part(self, rows: slice) -> "Removal":
        """Return some of the images, with their share of what has been computed."""
        some = replace(self, image=self.image[rows], target=self.target[rows])
        if not self.filler.per_hole:
            some.__dict__["fill"] = self.fill[rows]
        return some

    def propose(self, looks: Looks) -> Fill:
        """Return the fills of the holes in float32: those that are there already, or new ones."""
        if looks.fill is not None:
            return looks.fill
        if not self.filler.per_hole:
            return _of(self.fill, looks.rows)
        with constant():
            return self._ask(_of(self.image, looks.rows), looks.hole.detach(), looks.generator)

    def composites(self, looks: Looks) -> Float[Tensor, "n c h w"]:
        """Return the composites in float32, without gradient."""
        with constant():
            return composite(_of(self.image, looks.rows), looks.hole, self.propose(looks))

    def look(self, looks: Looks) -> tuple[Float[Tensor, "n c h w"], Logits, Scores]:
        """Return the composites in the classifier's dtype, their logits and their scores.

        Raises:
            ValueError: If the logits are not a number, naming the culprit, or as for `score`.
        """
        hole, canvas = looks.hole, _of(self.canvas, looks.rows)
        asked = self.filler.per_hole or looks.fill is not None
        fill = self.propose(looks).to(canvas.dtype) if asked else _of(self.paint, looks.rows)
        differentiable = torch.is_grad_enabled() and hole.requires_grad
        with nullcontext() if differentiable else torch.inference_mode():
            images = composite(canvas, hole, fill)
            logits = self.classifier(self._view(images, looks.shift))
            if logits.isnan().any():
                require(bool(hole.isfinite().all()), "hole", "finite", "NaN or infinity")
                require(bool(fill.isfinite().all()), "filler", "one whose fill is finite", self.filler)
                raise ValueError("classifier must return numbers, got NaN logits for perturbed images")
        return images, logits, self.score(logits, looks.rows)

    def score(self, logits: Logits, rows: Int[Tensor, " n"] | None) -> Scores:
        """Return what the link reads off the logits as the score of each one's target.

        Raises:
            ValueError: If a target is no class of the classifier, or a score is not finite.
        """
        classes = logits.shape[1]
        rule = f"below the classifier's {classes} classes"
        require(self._classes <= classes, "target", rule, self._classes - 1)
        target = self.target.expand(len(logits)) if rows is None else self.target[rows]
        scores = self.link(logits, target)
        wrong = scores[~scores.isfinite()]
        require(not len(wrong), "classifier", "one whose logits give finite scores", wrong.tolist())
        return scores

    @cached_property
    def _classes(self) -> int:
        """How many classes there must be at least."""
        return int(self.target.max()) + 1

    def clean(self, batch_size: int) -> Float[Tensor, "b k"]:
        """Return the logits of the untouched images.

        Raises:
            ValueError: If they are not a number.
        """
        with constant():
            parts = torch.split(self.canvas, batch_size)
            logits = torch.cat([self.classifier(self._view(images, None)) for images in parts])
        require(not bool(logits.isnan().any()), "classifier", "one that returns numbers", "NaN logits")
        return logits

    def _view(self, images: Tensor, shift: Tensor | None) -> Tensor:
        """What the classifier is shown of the composites."""
        if not self.margin:
            return images
        height, width = (side - self.margin for side in images.shape[2:])
        if shift is None:
            start = self.margin // 2
            return images[:, :, start : start + height, start : start + width]
        cut = [
            one[:, top : top + height, left : left + width]
            for one, (top, left) in zip(images, shift.tolist(), strict=True)
        ]
        return torch.stack(cut)

    def _ask(self, image: Tensor, hole: Tensor, generator: Chance) -> Tensor:
        before = image._version
        fill = self.filler(image, hole, generator)
        require(image._version == before, "filler", "one that leaves the image as it is", self.filler)
        shapes = [(n, *image.shape[1:]) for n in (1, len(hole))]
        require(
            tuple(fill.shape) in shapes,
            "filler",
            f"one whose fill is of shape {shapes[-1]}",
            tuple(fill.shape),
        )
        return fill if self.filler.per_hole else fill.expand_as(image)


def _of(images: Tensor, rows: Tensor | None) -> Tensor:
    return images if rows is None else images[rows]
