"""Runs a classifier on images whose holes are filled, and reads off the scores."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.engine.batch import HoleBatch
from attribution.engine.clean import CleanImages, constant
from attribution.engine.derivatives import follows
from attribution.engine.fill import SharedFill, proposed
from attribution.engine.link import Link, Logits, Scores, log_odds, probability
from infill.filler import Fill, composite, staged
from infill.network import unrounded
from infill.validate import require


@dataclass(eq=False)
class Room:
    """Memory for the composites of a batch, which those of the next one take over.

    New memory would cost nearly as much as what is written to it, and lie beside that of the last batch.
    """

    memory: Float[Tensor, "n c h w"] | None = None

    def of(self, count: int, canvas: Float[Tensor, "_ c h w"]) -> Float[Tensor, "n c h w"]:
        """Return room for so many images like those of the canvas."""
        if self.memory is None or len(self.memory) < count:
            self.memory = canvas.new_empty(count, *canvas.shape[1:])
        return self.memory[:count]


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Fills one batch of holes, runs the classifier and reads off the scores.

    Attributes:
        target: The class of each image.
        link: What is read off the logits as the score.
        clean: The images and their classifier.
        shared: The filler, and its fills if the hole does not matter to it.
    """

    target: Int[Tensor, " b"]
    link: Link
    clean: CleanImages
    shared: SharedFill

    def reusing(self, other: "Evaluator") -> "Evaluator":
        """Return this evaluator with what another one computes, as far as the same would come out."""
        clean = other.clean if other.clean.equals(self.clean) else self.clean
        shared = other.shared if other.shared.equals(self.shared) else self.shared
        return replace(self, clean=clean, shared=shared)

    def part(self, rows: slice) -> "Evaluator":
        """Return the evaluator of some of the images, with their share of what has been computed."""
        return replace(
            self, target=self.target[rows], clean=self.clean.part(rows), shared=self.shared.part(rows)
        )

    def fills(self, batch: HoleBatch) -> Fill:
        """Return the fills of the holes in float32: those that exist already, or new ones.

        Raises:
            ValueError: As for `attribution.engine.fill.proposed`.
        """
        filler = self.shared.filler
        if batch.fill is not None:
            return batch.fill
        if not filler.per_hole:
            return _of(self.shared.pixels, batch.rows)
        with constant():
            return proposed(filler, _of(self.clean.image, batch.rows), batch.hole.detach(), batch.generator)

    def composites(self, batch: HoleBatch) -> Float[Tensor, "n c h w"]:
        """Return the composites in float32, without gradient; errors as for `fills`."""
        with constant():
            stages = self.shared.stages
            if batch.fill is None and stages is not None:
                return staged(stages, batch.hole, batch.rows)
            return composite(_of(self.clean.image, batch.rows), batch.hole, self.fills(batch))

    def evaluate(
        self, batch: HoleBatch, room: Room | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Logits, Scores]:
        """Return the composites in the classifier's dtype, their logits and their scores.

        With ``room`` the composites are gone when the next batch is evaluated with it.

        Raises:
            ValueError: If the logits are not a number, naming the culprit, or as for `fills` and `score`.
        """
        hole, canvas = batch.hole, _of(self.clean.canvas, batch.rows)
        shared = not self.shared.filler.per_hole and batch.fill is None
        fill = _of(self._shared_fill, batch.rows) if shared else self.fills(batch).to(canvas.dtype)
        stages = self._stages if shared else None
        differentiable = torch.is_grad_enabled() and hole.requires_grad
        # No inference mode: a network may keep what it makes, and be asked for derivatives another time.
        with nullcontext() if differentiable else constant():
            if stages is None:
                out = None if room is None or differentiable else room.of(len(hole), canvas)
                images = composite(canvas, hole, fill, out)
            else:
                images = staged(stages, hole, batch.rows)
            changed = None if batch.mirrored or differentiable or stages is not None else self.clean.changed
            if changed is None:
                view = self.clean.view(images, batch.shift)
                logits = self.clean.classifier(view.flip(3) if batch.mirrored else view)
            else:
                logits = changed(images, batch.hole, batch.rows)
            if logits.isnan().any():
                finite = bool(fill.isfinite().all())
                require(finite, "filler", "one whose fill is finite", self.shared.filler)
                raise ValueError("classifier must return numbers, got NaN logits for perturbed images")
        scores = self.score(logits, batch.rows)
        if differentiable and not follows(scores, images):
            culprit = "link" if follows(logits, images) else "classifier"
            rule = "one with derivatives, which optimizing methods follow"
            raise ValueError(f"{culprit} must be {rule}, got an answer without any")
        return images, logits, scores

    def score(self, logits: Logits, rows: Int[Tensor, " n"] | None = None) -> Scores:
        """Return what the link reads off the logits as the score of each one's target.

        Raises:
            ValueError: If a target is no class of the classifier, the link does not return a number for each
            image, or a score is not finite.
        """
        classes = logits.shape[1]
        alone = classes == 1 and self.link in (probability, log_odds)
        rule = "sigmoid for one logit, whose softmax is always 1 (multi_label=True, or --multi-label)"
        require(not alone, "link", rule, self.link.__name__ if alone else "")
        rule = f"below the classifier's {classes} classes"
        require(self._largest_target < classes, "target", rule, self._largest_target)
        target = self.target.expand(len(logits)) if rows is None else self.target[rows]
        with unrounded():
            scores = self.link(logits.clone(), target)  # a link may change what it gets
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        require(
            shape == (len(logits),), "link", f"one that returns a tensor of shape ({len(logits)},)", shape
        )
        wrong = scores[~scores.isfinite()]
        require(not len(wrong), "classifier", "one whose logits give finite scores", wrong.tolist())
        return scores

    @cached_property
    def _largest_target(self) -> int:
        return int(self.target.max())

    @cached_property
    def _shared_fill(self) -> Float[Tensor, "b c h w"]:
        """The fills that all holes share, in the classifier's dtype."""
        with constant():
            return self.shared.pixels.to(self.clean.classifier.dtype).contiguous()

    @cached_property
    def _stages(self) -> Float[Tensor, "k b c h w"] | None:
        """The stages that all holes share, in the classifier's dtype."""
        with constant():
            stages = self.shared.stages
            return None if stages is None else stages.to(self.clean.classifier.dtype)


def _of(images: Tensor, rows: Tensor | None) -> Tensor:
    return images if rows is None else images[rows]
