"""The heart: how the classifier scores the target once holes of the image are filled."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from attribution.engine.batch import Looks
from attribution.engine.checks import checked_hole, checked_image, checked_rows, checked_target
from attribution.engine.evaluator import Removal, constant
from attribution.engine.link import Link, Pool, mean_of_fills, probability
from attribution.engine.precision import Classifier, Precision, Prepared, prepare
from attribution.engine.slope import Streamed
from infill.filler import Chance, Filler, Hole
from infill.fillers.static import Gray
from infill.validate import require

Progress: TypeAlias = Callable[[int, int], object]
"""Called with the holes done and the holes in total after every batch of a stream."""

Batch: TypeAlias = Float[Tensor, "_ 1 h w"]
"""Some of the holes of a stream."""

Index: TypeAlias = Int[Tensor, " n"]
"""To which image each hole belongs."""

Scores: TypeAlias = Float[Tensor, " n"]
"""One score per hole, in float32."""


def _silent(done: int, total: int) -> None: ...


@dataclass(frozen=True, eq=False)
class MaskedScore:
    """How the classifier scores ``target`` once the holes of ``image`` are filled.

    This is all that an explainer sees of the image, the filler and the classifier. It streams:
    memory is set by ``batch_size``, never by the number of holes. Take another filler, link or
    precision with ``dataclasses.replace``: what is already prepared is not copied again.

    Attributes:
        image: RGB in [0, 1]; kept as "b c h w" in float32.
        target: The class of each image, or one class for all; kept as a tensor "b".
        classifier: Maps [0, 1] images to logits; normalization is its own affair. A module is run as a
            private copy in evaluation mode, see `attribution.engine.precision.prepare`.
        filler: What is put into the holes.
        link: What is read off the logits as the score.
        batch_size: The most images that the classifier is given at once.
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where the hardware has it.
        seed: Seed of the generator that stochastic fillers draw from.
        progress: Told after every batch of a stream how many of how many holes are done. While one
            iterates over the score of several images, it is told of the holes of all of them.
        samples: How many fills each hole gets from a stochastic filler; the score is their mean. All others
            are asked once.
        margin: How many pixels the image is larger, along each side's length, than what the classifier
            is shown of it; see `enlarged`.
        pool: What becomes of the scores of a hole's fills; by default their mean.

    Raises:
        ValueError: If the image, target, batch size, precision, classifier, samples or margin is unusable.
    """

    image: Float[Tensor, "c h w"] | Float[Tensor, "b c h w"]
    target: int | Sequence[int] | Int[Tensor, "..."]
    classifier: Classifier
    filler: Filler = field(default_factory=Gray)
    link: Link = probability
    batch_size: int = 64
    precision: Precision = "float32"
    seed: int = 0
    progress: Progress = _silent
    samples: int = 1
    margin: int = 0
    pool: Pool = mean_of_fills

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)
        require(self.samples >= 1, "samples", "at least 1", self.samples)
        with constant():
            image = checked_image(self.image)
            inside = 0 <= self.margin < min(image.shape[2:])
            require(inside, "margin", f"0 to {min(image.shape[2:]) - 1} for this image", self.margin)
            object.__setattr__(self, "image", image)
            object.__setattr__(self, "target", checked_target(self.target, image))
            height, width = (side - self.margin for side in image.shape[2:])
            example = image[:1, :, :height, :width]
            object.__setattr__(self, "classifier", prepare(self.classifier, self.precision, example))

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, i: int) -> "MaskedScore":
        """Return the score of image ``i`` alone; what has been computed for it is shared."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"index must be below the number of images {len(self)}, got {i}")
        return self.part(slice(i % len(self), i % len(self) + 1), self.progress)

    def __iter__(self) -> Iterator["MaskedScore"]:
        for i in range(len(self)):

            def progress(done: int, total: int, before: int = i) -> None:
                self.progress(before * total + done, len(self) * total)

            yield self.part(slice(i, i + 1), progress)

    def __call__(
        self,
        hole: Hole,
        index: Index | None = None,
        generator: Chance = None,
        *,
        fill: Float[Tensor, "m c h w"] | None = None,
        shift: Int[Tensor, "n 2"] | None = None,
    ) -> Scores:
        """Return the score of each composite; the mean over its fills, if there are several samples.

        Differentiable with respect to ``hole`` if it requires a gradient; the fill is a constant. The
        gradient too takes the memory of one batch; it can be differentiated once, not twice, if there
        is more than one batch.

        Args:
            hole: 1 where pixels are removed.
            index: To which image each hole belongs; may be left out if there is one image, or one
                hole per image.
            generator: What stochastic fillers draw from, or one generator per hole; by default a new
                one made from ``seed``, so that the same call gives the same scores.
            fill: What `fills` returned for these or other holes, "m c h w" with ``samples`` for each hole,
                to be used instead of new fills. What a filler depends on the hole for is then up to the
                caller.
            shift: Where in the margin the classifier's view of each composite begins (row, column), 0 to
                the margin; the middle by default.

        Raises:
            ValueError: If shapes do not fit, a shift leaves the margin, the filler changes the image in
                place, the target is no class of the classifier, or a score is not finite.
        """
        return self.pool(self._each(hole, index, generator, fill, shift))

    def spread(
        self,
        hole: Hole,
        index: Index | None = None,
        generator: Chance = None,
        *,
        fill: Float[Tensor, "m c h w"] | None = None,
    ) -> tuple[Scores, Scores]:
        """Return mean and standard error of each hole's score over its fills; the error of one fill is 0.

        Arguments and errors as for a call.
        """
        scores = self._each(hole, index, generator, fill, None)
        mean = scores.mean(dim=1)
        if scores.shape[1] == 1:
            return mean, torch.zeros_like(mean)
        return mean, scores.std(dim=1) / scores.shape[1] ** 0.5

    def logits(
        self, hole: Hole, index: Index | None = None, generator: Chance = None
    ) -> Float[Tensor, "n k"]:
        """Return all logits of each composite (of the first of its fills); arguments as for the score."""
        logits = [self._removal.look(looks)[1] for looks in self._batches(hole, index, generator)]
        return torch.cat(logits)[:: self.fills_per_hole]

    def perturbed(
        self, hole: Hole, index: Index | None = None, generator: Chance = None
    ) -> Float[Tensor, "m c h w"]:
        """Return the composites in float32, all at once, without gradient; ``samples`` for each hole."""
        batches = self._batches(hole, index, generator)
        return torch.cat([self._removal.composites(looks) for looks in batches])

    def fills(
        self, hole: Hole, index: Index | None = None, generator: Chance = None
    ) -> Float[Tensor, "m c h w"]:
        """Return the fills in float32, all at once; ``samples`` for each hole, one after another."""
        batches = self._batches(hole, index, generator)
        # One fill may come back for all the holes of a batch.
        each = [self._removal.propose(looks).expand(len(looks.hole), -1, -1, -1) for looks in batches]
        return torch.cat(each)

    def stream(self, chunks: Iterable[Batch], total: int) -> Iterator[tuple[Batch, Float[Tensor, " _"]]]:
        """Yield the holes of one image with their scores, batch by batch, and report progress.

        One generator serves the whole stream: a stochastic filler fills a hole according to its
        place in the stream, however this is cut into chunks.

        Raises:
            ValueError: If there are several images, or as for a call.
        """
        for hole, _, scores in self.stream_images(chunks, total):
            yield hole, scores

    def stream_images(
        self, chunks: Iterable[Batch], total: int
    ) -> Iterator[tuple[Batch, Float[Tensor, "_ c h w"], Float[Tensor, " _"]]]:
        """Yield what `stream` does and the composites that were scored, in the dtype that they had.

        Of several samples it is the first one's.
        """
        require(
            len(self) == 1, "score", "of one image to be streamed (iterate over it)", f"{len(self)} images"
        )
        generator, times, done = self.generator(), self.fills_per_hole, 0
        for chunk in chunks:
            for hole in torch.split(chunk, max(1, self.batch_size // times)):
                shown, found, count = [], [], 0
                for looks in self._batches(hole, None, generator):
                    images, _, part = self._removal.look(looks)
                    shown.append(images[-count % times :: times])
                    found.append(part)
                    count += len(images)
                scores = self.pool(torch.cat(found).view(len(hole), times))
                done += len(scores)
                self.progress(done, total)
                yield hole, torch.cat(shown) if len(shown) > 1 else shown[0], scores

    @cached_property
    def clean_logits(self) -> Float[Tensor, "b k"]:
        """The logits of the untouched images."""
        return self._removal.clean(self.batch_size)

    @cached_property
    def clean(self) -> Float[Tensor, " b"]:
        """The scores of the untouched images."""
        return self._removal.score(self.clean_logits, None)

    @cached_property
    def chance(self) -> Float[Tensor, " b"]:
        """The scores of a classifier that cannot tell its classes apart: 1/k of a probability."""
        return self._removal.score(torch.zeros_like(self.clean_logits), None)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.image.shape[2:]
        return height, width

    @property
    def fills_per_hole(self) -> int:
        """How many fills each hole gets: one, unless the filler draws them by chance."""
        return self.samples if self.filler.stochastic else 1

    def generator(self) -> Generator:
        """Return a new generator made from ``seed``."""
        return Generator().manual_seed(self.seed)

    def part(self, rows: slice, progress: Progress = _silent) -> "MaskedScore":
        """Return the score of some of the images; what has been computed for them is shared."""
        target = cast(Tensor, self.target)[rows]
        some = replace(self, image=self.image[rows], target=target, progress=progress)
        some.__dict__["_removal"] = self._removal.part(rows)
        for name in {"clean_logits", "clean", "chance"} & self.__dict__.keys():
            some.__dict__[name] = self.__dict__[name][rows]
        return some

    def enlarged(self, margin: int) -> "MaskedScore":
        """Return the score of the images made ``margin`` pixels higher and wider (bilinearly).

        The classifier is still shown images of the size that it was shown before: a part of each
        composite, which can be shifted by 0 to ``margin`` pixels.
        """
        size = [side + margin for side in self.image.shape[2:]]
        with constant():
            image = F.interpolate(self.image, size=size, mode="bilinear", align_corners=False).clamp(0, 1)
            larger = replace(self, image=image, margin=self.margin + margin)
            if getattr(self.filler, "of_image", False):  # then it cannot fill a larger one
                fill = F.interpolate(self._removal.fill, size=size, mode="bilinear", align_corners=False)
                larger._removal.__dict__["fill"] = fill.clamp(0, 1)
        return larger

    def relinked(self, link: Link, pool: Pool) -> "MaskedScore":
        """Return the score that another link reads off; what has been filled for it is shared."""
        other = replace(self, link=link, pool=pool)
        if not self.filler.per_hole:
            other._removal.__dict__["fill"] = self._removal.fill
        return other

    @cached_property
    def _removal(self) -> Removal:
        target, classifier = cast(Tensor, self.target), cast(Prepared, self.classifier)
        return Removal(self.image, target, self.filler, classifier, self.link, self.margin)

    def _each(
        self, hole: Tensor, index: Tensor | None, generator: Chance, fill: Tensor | None, shift: Tensor | None
    ) -> Float[Tensor, "n m"]:
        """Return the score of every fill of every hole."""
        batches = self._batches(hole, index, generator, fill, shift)
        times = self.fills_per_hole
        if torch.is_grad_enabled() and hole.requires_grad and len(hole) * times > self.batch_size:
            scores = cast(Tensor, Streamed.apply(hole, batches, lambda looks: self._removal.look(looks)[2]))
        else:
            scores = torch.cat([self._removal.look(looks)[2] for looks in batches])
        return scores.view(len(hole), times)

    def _batches(
        self,
        hole: Tensor,
        index: Tensor | None,
        generator: Chance,
        fill: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> Iterator[Looks]:
        """Return what is asked about, at most ``batch_size`` composites at once."""
        hole = checked_hole(hole, self.image)
        rows = checked_rows(index, len(hole), self.image)
        generator = self.generator() if generator is None else generator
        looks = Looks(hole, rows, generator, fill, None if shift is None else shift.to(hole.device))
        looks.check(self.fills_per_hole, self.image, self.margin)
        return looks.batches(self.batch_size, self.fills_per_hole)
