"""Annotated regions of an image, as it is and as the classifier sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attribution.evaluation.localization import covered

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from models.classifiers import ImageClassifier
    from studio.data.example import Example


def in_view(region: Tensor, classifier: ImageClassifier) -> Tensor:
    """A region of the input in the view: the pixels that it covers at least half of."""
    return (classifier.view(region[None].float().to(classifier.mean.device)) >= 0.5).float()


def boxed(example: Example) -> Float[Tensor, "h w"]:
    """The annotated boxes, in the input.

    Raises:
        ValueError: If none is annotated.
    """
    if example.boxes is None:
        raise ValueError("no box is annotated")
    return inside(example.boxes, example)


def inside(boxes: Int[Tensor, "o 4"], example: Example) -> Float[Tensor, "h w"]:
    """The pixels of the input that are in one of the boxes."""
    height, width = example.image.shape[1:]
    return covered(boxes, (height, width)).float()
