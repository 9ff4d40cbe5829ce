"""The heart: how the classifier scores the target once holes of the image are filled."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from typing import TypeAlias, cast

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from attribution.inputs import checked_hole, checked_image, checked_rows, checked_target
from attribution.link import Link, probability
from attribution.precision import Classifier, Precision, Prepared, prepare
from attribution.removal import Removal, constant
from infill.filler import Filler, Hole
from infill.static import Gray
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
            private copy in evaluation mode, see `attribution.precision.prepare`.
        filler: What is put into the holes.
        link: What is read off the logits as the score.
        batch_size: The most images that the classifier is given at once.
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where the hardware has it.
        seed: Seed of the generator that stochastic fillers draw from.
        progress: Told after every batch of a stream how many of how many holes are done. While one
            iterates over the score of several images, it is told of the holes of all of them.

    Raises:
        ValueError: If the image, target, batch size, precision or classifier is unusable.
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

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)
        with constant():
            image = checked_image(self.image)
            object.__setattr__(self, "image", image)
            object.__setattr__(self, "target", checked_target(self.target, image))
            object.__setattr__(self, "classifier", prepare(self.classifier, self.precision, image[:1]))

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, i: int) -> "MaskedScore":
        """Return the score of image ``i`` alone; what has been computed for it is shared."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"index must be below the number of images {len(self)}, got {i}")
        return self._part(i % len(self), self.progress)

    def __iter__(self) -> Iterator["MaskedScore"]:
        for i in range(len(self)):

            def progress(done: int, total: int, before: int = i) -> None:
                self.progress(before * total + done, len(self) * total)

            yield self._part(i, progress)

    def __call__(self, hole: Hole, index: Index | None = None, generator: Generator | None = None) -> Scores:
        """Return the score of each composite.

        Differentiable with respect to ``hole`` if it requires a gradient; the fill is a constant.

        Args:
            hole: 1 where pixels are removed.
            index: To which image each hole belongs; may be left out if there is one image, or one
                hole per image.
            generator: What stochastic fillers draw from; by default a new one made from ``seed``, so
                that the same call gives the same scores.

        Raises:
            ValueError: If shapes do not fit, the target is no class of the classifier, or a score
                is not finite.
        """
        return torch.cat([self._look(*batch)[2] for batch in self._batches(hole, index, generator)])

    def logits(
        self, hole: Hole, index: Index | None = None, generator: Generator | None = None
    ) -> Float[Tensor, "n k"]:
        """Return all logits of each composite; arguments and gradient as for the score."""
        return torch.cat([self._look(*batch)[1] for batch in self._batches(hole, index, generator)])

    def perturbed(
        self, hole: Hole, index: Index | None = None, generator: Generator | None = None
    ) -> Float[Tensor, "n c h w"]:
        """Return the composites in float32, all at once and without gradient; arguments as for the score."""
        batches = self._batches(hole, index, generator)
        return torch.cat([self._removal.composites(*batch) for batch in batches])

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
        """Yield what `stream` does and the composites that were scored, in the dtype that they had."""
        require(
            len(self) == 1, "score", "of one image to be streamed (iterate over it)", f"{len(self)} images"
        )
        generator, done = self.generator(), 0
        for chunk in chunks:
            for hole, rows, chance in self._batches(chunk, None, generator):
                images, _, scores = self._look(hole, rows, chance)
                done += len(scores)
                self.progress(done, total)
                yield hole, images, scores

    @cached_property
    def clean_logits(self) -> Float[Tensor, "b k"]:
        """The logits of the untouched images."""
        return self._removal.clean(self.batch_size)

    @cached_property
    def clean(self) -> Float[Tensor, " b"]:
        """The scores of the untouched images."""
        return self._linked(self.clean_logits, None)

    def generator(self) -> Generator:
        """Return a new generator made from ``seed``."""
        return Generator().manual_seed(self.seed)

    @cached_property
    def _removal(self) -> Removal:
        return Removal(self.image, self.filler, cast(Prepared, self.classifier))

    @cached_property
    def _classes(self) -> int:
        """How many classes there must be at least."""
        return int(cast(Tensor, self.target).max()) + 1

    def _part(self, i: int, progress: Progress) -> "MaskedScore":
        rows = slice(i, i + 1)
        target = cast(Tensor, self.target)[rows]
        part = replace(self, image=self.image[rows], target=target, progress=progress)
        part.__dict__["_removal"] = self._removal.part(i)
        for name in {"clean_logits", "clean"} & self.__dict__.keys():
            part.__dict__[name] = self.__dict__[name][rows]
        return part

    def _batches(
        self, hole: Tensor, index: Tensor | None, generator: Generator | None
    ) -> Iterator[tuple[Tensor, Tensor | None, Generator]]:
        hole = checked_hole(hole, self.image)
        rows = checked_rows(index, len(hole), self.image)
        parts = repeat(None) if rows is None else torch.split(rows, self.batch_size)
        generator = self.generator() if generator is None else generator
        yield from zip(torch.split(hole, self.batch_size), parts, repeat(generator), strict=False)

    def _look(self, hole: Tensor, rows: Tensor | None, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return composites, logits and scores of one batch."""
        images, logits = self._removal.look(hole, rows, generator)
        return images, logits, self._linked(logits, rows)

    def _linked(self, logits: Tensor, rows: Tensor | None) -> Tensor:
        classes = logits.shape[1]
        require(
            self._classes <= classes, "target", f"below the classifier's {classes} classes", self._classes - 1
        )
        target = cast(Tensor, self.target)
        target = target.expand(len(logits)) if rows is None else target[rows]
        scores = self.link(logits, target)
        wrong = scores[~scores.isfinite()]
        require(not len(wrong), "classifier", "one whose logits give finite scores", wrong.tolist())
        return scores
