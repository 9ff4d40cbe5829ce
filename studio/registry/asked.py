"""What is asked of a model: a function from images to numbers, and what is read off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from attribution import Against
from attribution.engine.link import Link
from studio.registry.target import TargetText, targeted

if TYPE_CHECKING:
    from torch import Tensor

    from attribution import MaskedScore
    from models.classifiers import ImageClassifier


@dataclass(frozen=True, eq=False)
class Scored:
    """What scores the views of one photograph.

    Attributes:
        classifier: Maps views to numbers.
        found: What a detector or a segmenter finds in it: names with numbers in [0, 1], the largest first.
        box: The place that is explained: left, top, right, bottom in pixels of the photograph.
    """

    classifier: ImageClassifier
    found: Sequence[tuple[str, float]] = ()
    box: Sequence[float] | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of a model.

    Attributes:
        text: The target as written.
        classifier: What maps views to numbers; its geometry alone, if these depend on the image.
        link: What is read off.
        title: What is explained, in words; empty for classes, of which the class tells.
        column: The number that is explained, unless it is a class.
        label: The class of what is in a box or a region.
        of_image: From a photograph to what scores its views, if that depends on the image.
    """

    text: TargetText
    classifier: ImageClassifier
    link: Link
    title: str = ""
    column: int = 0
    label: str = ""
    of_image: Callable[[Tensor], Scored] | None = None

    @property
    def probable(self) -> bool:
        """Whether the model's numbers are logits of classes, or of texts."""
        return self.text.of_classes or isinstance(self.link, Against)

    def of(self, pixels: Tensor) -> Scored:
        """Return what scores the views of a photograph.

        Raises:
            ValueError: If the target is not there.
        """
        return Scored(self.classifier) if self.of_image is None else self.of_image(pixels)

    def targeted(self, score: MaskedScore) -> MaskedScore:
        """Return the score of the target, for the one image of a score.

        Raises:
            ValueError: If it is a class that there is not, or that is compared with itself.
        """
        if self.text.of_classes:
            return targeted(score, self.text, self.classifier.labels)
        return replace(score, target=self.column)
