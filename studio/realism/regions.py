"""Where holes come from when fillers are judged: annotation, a segmenter, superpixels, squares, or all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch

from studio.data.regions import boxed, in_view, inside
from studio.realism.kinds import SEGMENTED, TAKES_THE_OBJECT, HoleKind
from studio.realism.placing import placed
from studio.realism.shapes import NOTHING, checked, grown, square, superpixels

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Generator, Tensor

    from models.classifiers import ImageClassifier
    from models.segmenters import AnySegmenter
    from studio.data.annotation import Label
    from studio.data.example import Dataset, Example

LENDERS, MORE_LENDERS = 4, 12
"""So many other images are asked for a shape that fits; any more cost time for little. More where the area is
fixed, and no shape may be made smaller."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Cuts the hole of one image, in the classifier's view.

    Attributes:
        grow: By how many pixels of the view the object's outline is moved outwards, so that no rim remains.
        side: Side of the square in pixels of the view.
        superpixels: Of how many superpixels a half is removed.
        segmenter: What finds objects, for the kinds in `SEGMENTED`.
        label: The segmenter's class; without one, the largest object's.
        point: Where in the view a promptable segmenter finds the object: (x, y) as fractions of its sides;
            without one, in each of the annotated boxes.
        hole_area: Percent of the view that a hole in the background takes; ``None``: as the shape comes.
        others: Whose objects lend their shapes to holes in the background.
    """

    kind: HoleKind
    grow: int = 3
    side: int = 53
    superpixels: int = 50
    segmenter: AnySegmenter | None = None
    label: str | None = None
    point: tuple[float, float] | None = None
    hole_area: float | None = None
    others: Dataset | None = None

    def __post_init__(self) -> None:
        for name, least in (("grow", 0), ("side", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name}: expected {least} or more, got {getattr(self, name)}")
        if self.hole_area is not None:
            if self.kind != "background":
                raise ValueError(f"--hole-area: only for --holes background, got --holes {self.kind}")
            if not 0 < self.hole_area < 100:
                raise ValueError(f"--hole-area: expected percent between 0 and 100, got {self.hole_area:g}")

    @property
    def removes(self) -> bool:
        """Whether what the classifier looks for is to go; else most of it, or all, is to stay."""
        return self.kind in (*TAKES_THE_OBJECT, "all")

    @property
    def needs(self) -> str | None:
        """What must be annotated."""
        if self.kind == "boxes":
            return "boxes"
        if self.segmenter is None:
            return "silhouettes" if self.kind in ("silhouettes", *SEGMENTED) else None
        return "boxes" if self.segmenter.prompted and self.point is None else None

    def uncovers(self, data: Dataset) -> bool:
        """Whether the holes take the object, and the data knows the true background behind it."""
        return self.kind in TAKES_THE_OBJECT and "background" in data.offers

    def check_view(self, pixels: int) -> None:
        """Check that the holes fit into a view of so many pixels a side.

        Raises:
            ValueError: If they do not.
        """
        if self.kind == "squares" and self.side >= pixels:
            raise ValueError(f"--side: expected less than the view's {pixels} pixels, got {self.side}")

    def __call__(
        self, example: Example, classifier: ImageClassifier, rng: Generator
    ) -> Float[Tensor, "1 h w"]:
        """Return the hole in the classifier's view of the example, 1 where pixels are removed.

        Raises:
            ValueError: If what is needed is not annotated, or nothing or everything in the view is removed.
        """
        image = classifier.view(example.image.to(classifier.mean.device))
        self.check_view(min(image.shape[1:]))
        if self.kind == "all":
            return torch.ones_like(image[:1])
        if self.kind == "squares":
            return checked(square(image, self.side, rng))
        if self.kind == "segments":
            return checked(superpixels(image, self.superpixels, rng))
        if self.kind == "boxes":
            return checked(in_view(boxed(example), classifier))
        if self.kind == "background":
            return self._beside(example, image, classifier, rng)
        hole = grown(self._object(example, image, classifier), self.grow)
        return checked(1 - hole if self.kind == "surroundings" else hole)

    def _beside(self, example: Example, image: Tensor, classifier: ImageClassifier, rng: Generator) -> Tensor:
        """Return another photograph's hole, put where it touches no known object of this one.

        Where an area is asked for, it has that, or there is none.
        """
        mates, others = self._numbers(example.name)
        shapes = [(example.label, self._object(example, image, classifier))]
        for number in mates:
            with suppress(ValueError):  # nothing of it is in the view
                mate = self._read(number)
                shapes.append((mate.label, self._object_in_view(mate, classifier)))
        shapes += [(None, box) for box in _boxes_without(shapes, example, classifier)]
        taken = torch.stack([grown(shape, self.grow + 1) for _, shape in shapes]).amax(0)
        order = torch.randperm(len(others), generator=rng).tolist()
        lent = self._shapes([others[place] for place in order], classifier)
        if self.hole_area is None:
            return placed(list(islice(lent, LENDERS)), taken, rng)
        return placed(list(islice(lent, MORE_LENDERS)), taken, rng, self.hole_area, (1.0,))

    def _numbers(self, name: str) -> tuple[list[int], list[int]]:
        """Return the numbers of the other examples of the same photograph, and those of other photographs."""
        if self.others is None:
            return [], []
        names, photographs = self.others.names, self.others.photographs
        own = photographs[names.index(name)] if name in names else name
        same = [number for number, photograph in enumerate(photographs) if photograph == own]
        rest = [number for number, photograph in enumerate(photographs) if photograph != own]
        return [number for number in same if names[number] != name], rest

    def _shapes(
        self, numbers: Iterable[int], classifier: ImageClassifier
    ) -> Iterator[Float[Tensor, "1 h w"]]:
        """Yield the holes that would take examples' objects; those that have none are passed over."""
        for number in numbers:
            with suppress(ValueError):
                yield checked(grown(self._object_in_view(self._read(number), classifier), self.grow))

    def _read(self, number: int) -> Example:
        assert self.others is not None
        return self.others.read(number)

    def _object_in_view(self, example: Example, classifier: ImageClassifier) -> Tensor:
        return self._object(example, classifier.view(example.image.to(classifier.mean.device)), classifier)

    def _object(self, example: Example, image: Tensor, classifier: ImageClassifier) -> Tensor:
        if self.segmenter is not None:
            silhouette = self._segmented(self.segmenter, example, image, classifier)
            if not silhouette.any():
                raise ValueError(f"the segmenter finds no {self.label or 'object'}")
            return silhouette[None].float()
        if example.silhouette is None:
            raise ValueError("no silhouette is annotated")
        return in_view(example.silhouette, classifier)

    def _segmented(
        self, segmenter: AnySegmenter, example: Example, image: Tensor, classifier: ImageClassifier
    ) -> Tensor:
        if segmenter.prompted is False:
            return segmenter.silhouette(image[None], self.label)[0]
        if self.point is None:
            return segmenter.union(image, self._boxes_in_view(example, image, classifier))
        height, width = image.shape[1:]
        x, y = self.point
        return segmenter.silhouette(image[None], points=image.new_tensor([[[x * width, y * height]]]))[0]

    def _boxes_in_view(
        self, example: Example, image: Tensor, classifier: ImageClassifier
    ) -> Float[Tensor, "b 4"]:
        """Return what is to be seen of the annotated boxes, in pixels of the view."""
        if example.boxes is None:
            raise ValueError("no box is annotated")
        tall, wide = example.image.shape[1:]
        left, top, right, bottom = classifier.view_box((tall, wide))
        height, width = image.shape[1:]
        sides = image.new_tensor([width, height, width, height])
        corner = image.new_tensor([left, top, left, top])
        extent = image.new_tensor([right - left, bottom - top, right - left, bottom - top])
        boxes = (example.boxes.to(image) - corner) / extent * sides
        boxes = boxes.maximum(sides.new_zeros(4)).minimum(sides)
        boxes = boxes[(boxes[:, :2] < boxes[:, 2:]).all(1)]
        if not len(boxes):
            raise ValueError(NOTHING)
        return boxes


def _boxes_without(
    shapes: Sequence[tuple[Label | None, Tensor]], example: Example, classifier: ImageClassifier
) -> Iterator[Tensor]:
    """Yield the annotated boxes of a photograph, in the view, in which no shape of their class is known."""
    boxes = dict(example.others or {})
    if example.boxes is not None and example.label is not None:
        boxes[example.label] = example.boxes
    for label, several in boxes.items():
        for number in range(len(several)):
            box = in_view(inside(several[number : number + 1], example), classifier)
            if not any(each == label and bool((shape * box).any()) for each, shape in shapes):
                yield box
