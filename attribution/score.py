"""The score of the target once holes of the image are filled."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeAlias, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from attribution.engine.answers import warn_if_probable
from attribution.engine.batch import HoleBatch, StreamedScores
from attribution.engine.checks import (
    check_parts,
    checked_around,
    checked_hole,
    checked_image,
    checked_rows,
    checked_target,
)
from attribution.engine.clean import CleanImages, constant
from attribution.engine.evaluator import Evaluator, Room
from attribution.engine.execution import Execution, ProgressCallback, silent
from attribution.engine.fill import SharedFill
from attribution.engine.gather import gathered
from attribution.engine.link import Link, Scores, Value, log_odds, probability
from attribution.engine.precision import Classifier, prepare
from attribution.engine.sampling import Pool, Sampling
from infill.filler import Chance, Filler, Hole
from infill.fillers.static import Gray
from infill.validate import require

Batch: TypeAlias = Float[Tensor, "_ 1 h w"]
"""Some of the holes of a stream."""

Index: TypeAlias = Int[Tensor, " n"]
"""To which image each hole belongs."""


@dataclass(frozen=True, eq=False)
class MaskedScore:
    """How the classifier scores ``target`` once the holes of ``image`` are filled.

    This is all that an explainer sees of the image, the filler and the classifier. It streams: memory is
    set by the batch size, never by the number of holes. Take another filler, link or classifier with
    ``dataclasses.replace``: a prepared classifier is not prepared again, and what does not depend on what
    is replaced is not computed again.

    Attributes:
        image: RGB in [0, 1]; kept as "b c h w" in float32.
        target: The class of each image, or one class for all; kept as a tensor "b".
        classifier: Maps [0, 1] images to logits; it normalizes them itself. A module is run as a
            private copy in evaluation mode, see `attribution.engine.precision.prepare`.
        filler: What is put into the holes.
        link: What is read off the logits as the score.
        execution: How the classifier is run: batch size, precision, progress.
        sampling: How often a stochastic filler is run for each hole, the seed, and how fills are pooled.
        margin: How many pixels the image is larger, along each side's length, than what the classifier
            is shown of it; see `enlarged`.
        around: A larger view of the same images, if there is one: both sides longer by as many pixels, of
            which half (rounded down) lie above and left of ``image``. `enlarged` takes what is beyond the
            images' borders from there.
        evaluator: What fills holes and runs the classifier. It is made from the other fields; ``replace``
            hands the former one on, whose results are reused as far as the same would come out.

    Raises:
        ValueError: If the image, target, classifier, margin or the larger view is unusable.
    """

    image: Float[Tensor, "c h w"] | Float[Tensor, "b c h w"]
    target: int | Sequence[int] | Int[Tensor, "..."]
    classifier: Classifier
    filler: Filler = field(default_factory=Gray)
    link: Link = probability
    execution: Execution = field(default_factory=Execution)
    sampling: Sampling = field(default_factory=Sampling)
    margin: int = 0
    around: Float[Tensor, "c y x"] | Float[Tensor, "b c y x"] | None = None
    evaluator: Evaluator = field(default=cast(Evaluator, None), repr=False, kw_only=True)

    def __post_init__(self) -> None:
        check_parts(self.classifier, self.filler, self.link)
        with constant():
            image = checked_image(self.image)
            inside = 0 <= self.margin < min(image.shape[2:])
            require(inside, "margin", f"0 to {min(image.shape[2:]) - 1} for this image", self.margin)
            around = None if self.around is None else checked_around(self.around, image)
            target = checked_target(self.target, image)
            height, width = (side - self.margin for side in image.shape[2:])
            example = image[:1, :, :height, :width]
            execution = self.execution
            classifier = prepare(
                self.classifier,
                execution.precision,
                example,
                execution.deterministic,
                beside=execution.batch_size > 1,
            )
        clean = CleanImages(
            image, classifier, self.margin, execution.batch_size, incremental=execution.incremental
        )
        evaluator = Evaluator(target, self.link, clean, SharedFill(image, self.filler))
        if self.evaluator is not None:
            evaluator = evaluator.reusing(self.evaluator)
        object.__setattr__(self, "image", image)
        object.__setattr__(self, "around", around)
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "classifier", classifier)
        object.__setattr__(self, "evaluator", evaluator)

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, i: int) -> "MaskedScore":
        """Return the score of image ``i`` alone; what has been computed for it is shared."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"index must be below the number of images {len(self)}, got {i}")
        return self.part(slice(i % len(self), i % len(self) + 1), self.execution.progress)

    def __iter__(self) -> Iterator["MaskedScore"]:
        for i in range(len(self)):

            def progress(done: int, total: int, before: int = i) -> None:
                self.execution.progress(before * total + done, len(self) * total)

            yield self.part(slice(i, i + 1), progress)

    def __call__(
        self,
        hole: Hole,
        index: Index | None = None,
        generator: Chance = None,
        *,
        fill: Float[Tensor, "m c h w"] | None = None,
        shift: Int[Tensor, "n 2"] | None = None,
        mirrored: bool = False,
    ) -> Scores:
        """Return the score of each composite, pooled over its fills if there are several samples.

        Differentiable with respect to ``hole`` if it requires a gradient; the fill is a constant. The
        gradient too takes the memory of one batch; it can be differentiated once, not twice, if there
        is more than one batch.

        Args:
            hole: 1 where pixels are removed.
            index: To which image each hole belongs; may be left out if there is one image, or one
                hole per image.
            generator: What stochastic fillers draw from, or one generator per hole; by default a new
                one made from the sampling's seed, so that the same call gives the same scores.
            fill: What `fills` returned for these or other holes, "m c h w" with `fills_per_hole` for each
                hole, to be used instead of new fills. What a filler depends on the hole for is then up to
                the caller.
            shift: Where in the margin the classifier's view of each composite begins (row, column), 0 to
                the margin; the middle by default.
            mirrored: Whether the classifier is shown the composites with left and right swapped.

        Raises:
            ValueError: If shapes do not fit, a shift leaves the margin, the target is no class of the
                classifier, or a score is not finite.
        """
        return self.sampling.pool(self._scores_of_fills(hole, index, generator, fill, shift, mirrored))

    def spread(
        self,
        hole: Hole,
        index: Index | None = None,
        generator: Chance = None,
        *,
        fill: Float[Tensor, "m c h w"] | None = None,
    ) -> tuple[Scores, Scores]:
        """Return each hole's score with the standard error of its fills' mean, which is 0 of one fill.

        Arguments and errors as for a call.
        """
        scores = self._scores_of_fills(hole, index, generator, fill)
        mean = self.sampling.pool(scores)
        if scores.shape[1] == 1:
            return mean, torch.zeros_like(mean)
        return mean, scores.std(dim=1) / scores.shape[1] ** 0.5

    def logits(
        self, hole: Hole, index: Index | None = None, generator: Chance = None
    ) -> Float[Tensor, "n k"]:
        """Return all logits of each composite (of the first of its fills); arguments as for the score."""
        logits, room = [], Room()
        for batch in self._batches(hole, index, generator):
            logits.append(self.evaluator.evaluate(batch, room)[1])
        return torch.cat(logits)[:: self.fills_per_hole]

    def perturbed(
        self,
        hole: Hole,
        index: Index | None = None,
        generator: Chance = None,
        *,
        fill: Float[Tensor, "m c h w"] | None = None,
    ) -> Float[Tensor, "m c h w"]:
        """Return the composites in float32, all at once, without gradient; `fills_per_hole` for each hole.

        Arguments and errors as for a call.
        """
        batches = self._batches(hole, index, generator, fill)
        return torch.cat([self.evaluator.composites(batch) for batch in batches])

    def fills(
        self, hole: Hole, index: Index | None = None, generator: Chance = None
    ) -> Float[Tensor, "m c h w"]:
        """Return the fills in float32, all at once; `fills_per_hole` for each hole, one after another."""
        batches = self._batches(hole, index, generator)
        # One fill may come back for all the holes of a batch.
        fills = (self.evaluator.fills(batch).expand(len(batch.hole), -1, -1, -1) for batch in batches)
        return gathered(fills, len(hole) * self.fills_per_hole)

    def stream(self, chunks: Iterable[Batch], total: int) -> Iterator[tuple[Batch, Float[Tensor, " _"]]]:
        """Yield the holes of one image with their scores, batch by batch, and report progress.

        One generator serves the whole stream: a stochastic filler fills a hole according to its
        place in the stream, however this is cut into chunks.

        Raises:
            ValueError: If there are several images, or as for a call.
        """
        return map(itemgetter(0, 2), self._streamed(chunks, total, Room()))

    def stream_images(
        self, chunks: Iterable[Batch], total: int
    ) -> Iterator[tuple[Batch, Float[Tensor, "_ c h w"], Float[Tensor, " _"]]]:
        """Yield what `stream` does and, in between, the composites that were scored, in their dtype.

        Of several samples it is the first one's.
        """
        return self._streamed(chunks, total, None)

    def _streamed(
        self, chunks: Iterable[Batch], total: int, room: Room | None
    ) -> Iterator[tuple[Batch, Float[Tensor, "_ c h w"], Float[Tensor, " _"]]]:
        """Yield holes, composites and scores; with ``room``, composites whose memory is used again."""
        require(
            len(self) == 1, "score", "of one image to be streamed (iterate over it)", f"{len(self)} images"
        )
        generator, times, done = self.sampling.generator(), self.fills_per_hole, 0
        for chunk in chunks:
            for hole in torch.split(chunk, max(1, self.execution.batch_size // times)):
                first_composites, scores_of_fills, count = [], [], 0
                for batch in self._batches(hole, None, generator):
                    images, _, some = self.evaluator.evaluate(batch, room)
                    first_composites.append(images[-count % times :: times])
                    scores_of_fills.append(some)
                    count += len(images)
                scores = self.sampling.pool(torch.cat(scores_of_fills).view(len(hole), times))
                done += len(scores)
                self.execution.progress(done, total)
                yield (
                    hole,
                    torch.cat(first_composites) if len(first_composites) > 1 else first_composites[0],
                    scores,
                )

    @property
    def clean_logits(self) -> Float[Tensor, "b k"]:
        """The logits of the untouched images; computed once."""
        return self.evaluator.clean.logits

    @cached_property
    def clean(self) -> Scores:
        """The scores of the untouched images."""
        logits = self.evaluator.clean.logits
        if self.link in (probability, log_odds):
            warn_if_probable(logits)
        return self.evaluator.score(logits)

    @cached_property
    def chance(self) -> Scores:
        """The scores of a classifier that cannot tell its classes apart: 1/k of a probability.

        Of a `Value`, which is no class's, it is its goal.
        """
        if isinstance(self.link, Value):
            return self.link.goal(self.clean)
        return self.evaluator.score(torch.zeros_like(self.clean_logits))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.image.shape[2:]
        return height, width

    @property
    def room(self) -> int:
        """By how many pixels the images can be `enlarged` with pixels of their own."""
        return 0 if self.around is None else self.around.shape[2] - self.image.shape[2]

    @property
    def fills_per_hole(self) -> int:
        """How many fills each hole gets: one, unless the filler draws them by chance."""
        return self.sampling.samples if self.filler.stochastic else 1

    def with_execution(self, **changes: Any) -> "MaskedScore":
        """Return the score with another ``batch_size``, ``precision`` or ``progress``."""
        return replace(self, execution=replace(self.execution, **changes))

    def with_sampling(self, **changes: Any) -> "MaskedScore":
        """Return the score with other ``samples``, another ``seed`` or ``pool``."""
        return replace(self, sampling=replace(self.sampling, **changes))

    def relinked(self, link: Link, pool: Pool) -> "MaskedScore":
        """Return the score that another link reads off."""
        return replace(self, link=link, sampling=replace(self.sampling, pool=pool))

    def part(self, rows: slice, progress: ProgressCallback = silent) -> "MaskedScore":
        """Return the score of some of the images; what has been computed for them is shared."""
        evaluator = self.evaluator.part(rows)
        return replace(
            self,
            image=evaluator.clean.image,
            around=None if self.around is None else self.around[rows],
            target=evaluator.target,
            execution=replace(self.execution, progress=progress),
            evaluator=evaluator,
        )

    def enlarged(self, margin: int) -> "MaskedScore":
        """Return the score of images that are ``margin`` pixels higher and wider.

        They show so much more of the view ``around`` them; where there is none, or its `room` is too small,
        they show the same, resized (bilinearly). The classifier is still shown images of the size that it was
        shown before: a part of each composite, which can be shifted by 0 to ``margin`` pixels.
        """
        evaluator, cut = self.evaluator, margin <= self.room
        with constant():
            image = self._cut(margin) if cut else _resized(self.image, margin)
            if getattr(self.filler, "of_image", False):  # then it cannot fill a larger one
                widened = _continued if cut else _resized
                shared = SharedFill(image, self.filler, widened(evaluator.shared.pixels, margin))
                evaluator = replace(evaluator, shared=shared)
        return replace(self, image=image, margin=self.margin + margin, around=None, evaluator=evaluator)

    def _cut(self, margin: int) -> Float[Tensor, "b c h w"]:
        """Return the part of the view around the images that is so much larger than they are."""
        if self.around is None:
            return self.image
        start = self.room // 2 - margin // 2
        height, width = (side + margin for side in self.size)
        return self.around[:, :, start : start + height, start : start + width]

    def _scores_of_fills(
        self,
        hole: Tensor,
        index: Tensor | None,
        generator: Chance,
        fill: Tensor | None,
        shift: Tensor | None = None,
        mirrored: bool = False,
    ) -> Float[Tensor, "n m"]:
        """Return the score of every fill of every hole."""
        batches = self._batches(hole, index, generator, fill, shift, mirrored)
        times = self.fills_per_hole
        if torch.is_grad_enabled() and hole.requires_grad and len(hole) * times > self.execution.batch_size:
            evaluate = self.evaluator.evaluate
            scores = cast(Tensor, StreamedScores.apply(hole, batches, lambda batch: evaluate(batch)[2]))
        else:
            room = Room()
            parts = (self.evaluator.evaluate(batch, room)[2] for batch in batches)
            scores = gathered(parts, len(hole) * times)
        return scores.view(len(hole), times)

    def _batches(
        self,
        hole: Tensor,
        index: Tensor | None,
        generator: Chance,
        fill: Tensor | None = None,
        shift: Tensor | None = None,
        mirrored: bool = False,
    ) -> Iterator[HoleBatch]:
        """Return the checked holes, at most a batch of composites at once."""
        hole = checked_hole(hole, self.image)
        rows = checked_rows(index, len(hole), self.image)
        generator = self.sampling.generator() if generator is None else generator
        shift = None if shift is None else shift.to(hole.device)
        batch = HoleBatch(hole, rows, generator, fill, shift, mirrored)
        batch.check(self.fills_per_hole, self.image, self.margin)
        return batch.split(self.execution.batch_size, self.fills_per_hole)


def _resized(image: Float[Tensor, "b c h w"], margin: int) -> Float[Tensor, "b c y x"]:
    size = [side + margin for side in image.shape[2:]]
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False).clamp(0, 1)


def _continued(image: Float[Tensor, "b c h w"], margin: int) -> Float[Tensor, "b c y x"]:
    before, behind = margin // 2, margin - margin // 2
    return F.pad(image, (before, behind, before, behind), mode="replicate")
