"""Detectors that users bring along."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class FunctionDetector(nn.Module):
    """A callable from images to detections, which says what its classes are called.

    Args:
        detect: Maps images "n 3 h w" in [0, 1] to a list of (boxes, class probabilities, objectness).
        source: How errors begin.

    Raises:
        ValueError: If it cannot be called or has no ``labels``; when called, if it answers something else.
    """

    joint = False

    def __init__(self, detect: Callable[[Tensor], Any], source: str = "detector") -> None:
        super().__init__()
        labels = getattr(detect, "labels", None)
        if not callable(detect) or not labels or isinstance(labels, str):
            raise ValueError(f"{source} must return a callable with labels, got {type(detect).__name__}")
        self.detect, self.labels, self._source = detect, tuple(str(label) for label in labels), source

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Sequence[tuple[Tensor, Tensor, Tensor]]:
        """Return what is found in each image."""
        found = self.detect(images.float())  # whatever the precision, foreign code gets what it knows
        if not isinstance(found, Sequence) or len(found) != len(images) or not all(map(self._fits, found)):
            shape = f"m 4, m {len(self.labels)}, m"
            expected = f"for each image (boxes, class probabilities, objectness) of shapes {shape}"
            raise ValueError(f"{self._source}: expected {expected}, got {_described(found)}")
        return found

    def _fits(self, each: object) -> bool:
        if not isinstance(each, tuple | list) or [isinstance(part, Tensor) for part in each] != [True] * 3:
            return False
        count = len(each[0])
        return [tuple(part.shape) for part in each] == [(count, 4), (count, len(self.labels)), (count,)]


def _described(found: object) -> str:
    if not isinstance(found, Sequence):
        return type(found).__name__
    shapes = [
        [tuple(part.shape) for part in each if isinstance(part, Tensor)]
        if isinstance(each, tuple | list)
        else type(each).__name__
        for each in found[:1]
    ]
    return f"{len(found)} of {shapes[0] if shapes else 'nothing'}"
