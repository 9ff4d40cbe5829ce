"""One image with the heatmap of one method and filler: what the metrics look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from studio.data.chance import Use, generator
from studio.data.regions import boxed, in_view, inside
from studio.registry.tables import NO_FILLER

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Generator, Tensor

    from attribution import Explainer, MaskedScore
    from infill import Filler
    from models.classifiers import ImageClassifier
    from studio.data.example import Example


@dataclass(frozen=True, eq=False)
class Subject:
    """One image, as it is and as the classifier sees it.

    Attributes:
        number: Its place in the data set.
        score: Of the target, in the classifier's view.
        filler_of: Builds the filler of a name for this image.
        seed: Of all chance.
        before: The score of the image as it was before it was attacked; ``None`` if it was not.
        others: The boxes of other classes than the target's, by the classifier's class.
    """

    number: int
    example: Example
    classifier: ImageClassifier
    score: MaskedScore
    filler_of: Callable[[str], Filler]
    seed: int
    before: MaskedScore | None = None
    others: Mapping[int, Int[Tensor, "o 4"]] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photograph."""
        height, width = self.example.image.shape[1:]
        return height, width

    @property
    def boxes(self) -> Int[Tensor, "o 4"]:
        """The annotated boxes, in the photograph's pixels.

        Raises:
            ValueError: If there is none.
        """
        if self.example.boxes is None or not len(self.example.boxes):
            raise ValueError("no box is annotated")
        return self.example.boxes

    @cached_property
    def region(self) -> Bool[Tensor, "h w"]:
        """The object in the classifier's view: its silhouette if that is known, else its boxes.

        Raises:
            ValueError: If neither is, or nothing of the object is in the view, or nothing else.
        """
        known = self.example.silhouette
        return self._viewed(boxed(self.example) if known is None else known)

    @cached_property
    def frame(self) -> Bool[Tensor, "h w"]:
        """The object's boxes in the classifier's view; where there are none, its silhouette.

        Raises:
            ValueError: As `region`.
        """
        return self.region if self.example.boxes is None else self._viewed(boxed(self.example))

    def _viewed(self, object_: Tensor) -> Bool[Tensor, "h w"]:
        """Return an object in the classifier's view, which must show some of it and not it alone."""
        found = in_view(object_, self.classifier)[0] > 0
        if not found.any() or found.all():
            raise ValueError("the view shows nothing of the object, or nothing else")
        return found

    @cached_property
    def beside(self) -> list[int]:
        """The other classes that stay in the view, at least half of their boxes, without the object."""
        shown = {
            each: in_view(inside(boxes, self.example), self.classifier)[0] > 0
            for each, boxes in self.others.items()
        }
        return [each for each, there in shown.items() if 2 * (there & ~self.region).sum() >= there.sum() > 0]

    def scored(self, filler: str) -> MaskedScore:
        """Return the score with another filler; `NO_FILLER` leaves it as it is."""
        if filler == NO_FILLER:
            return self.score
        return replace(self.score, filler=self.filler_of(filler))

    def chance(self, use: Use) -> Generator:
        """Return this image's own generator for a use."""
        return generator(self.seed, self.number, use)


@dataclass(frozen=True, eq=False)
class Explained:
    """A heatmap, and where it is from.

    Attributes:
        score: With the filler of the method; a baseline's is the clean subject's.
        heatmap: In the classifier's view.
        name: The method's.
        method: ``None``: a baseline, which looks at no classifier.
        filler: The filler's name; empty for a baseline.
    """

    subject: Subject
    score: MaskedScore
    heatmap: Float[Tensor, "crop crop"]
    name: str
    method: Explainer | None = None
    filler: str = ""

    @cached_property
    def on_photograph(self) -> Float[Tensor, "1 h w"]:
        """The heatmap on the photograph's own pixels; minus infinity where the classifier does not see it.

        Of those pixels it says nothing: they are no part of its level, and never found.
        """
        placed: Tensor = self.subject.classifier.to_input(self.heatmap.float().cpu(), self.subject.size)
        return placed.where(self.seen, -math.inf)[None]

    @cached_property
    def seen(self) -> Bool[Tensor, "h w"]:
        """The photograph's pixels that the classifier sees."""
        everything = torch.ones(self.heatmap.shape)
        return self.subject.classifier.to_input(everything, self.subject.size) > 0

    @property
    def in_batch(self) -> Float[Tensor, "1 crop crop"]:
        """The heatmap as the only one of a batch."""
        return torch.as_tensor(self.heatmap, device=self.score.image.device)[None].float()
