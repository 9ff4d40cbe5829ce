"""How much of a detection is still found: D-RISE's similarity (Petsiuk et al. 2021)."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from infill.validate import require

Detections: TypeAlias = tuple[Float[Tensor, "m 4"], Float[Tensor, "m k"], Float[Tensor, " m"]]
"""What is found in an image: boxes (left, top, right, bottom in pixels), for each of them how probable each
class is, and how sure it is that there is any object, in [0, 1]."""

Detector: TypeAlias = Callable[[Tensor], Sequence[tuple[Tensor, Tensor, Tensor]]]
"""Maps images "n c h w" in [0, 1] to the detections of each."""


def similarity(
    box: Float[Tensor, " 4"], classes: Float[Tensor, " k"], found: tuple[Tensor, Tensor, Tensor]
) -> Float[Tensor, " m"]:
    """Return how similar each detection is to one of this box and these class probabilities, in [0, 1].

    Intersection over union of the boxes, times the cosine between the class probabilities, times the
    objectness of what is found (Petsiuk et al. 2021).
    """
    boxes, probabilities, objectness = found
    return _iou(box, boxes) * F.cosine_similarity(probabilities, classes[None], dim=1) * objectness


class BoxScore(nn.Module):
    """A detector as a function from images to one number for each of some boxes.

    The number is the similarity of the box to whatever is found that is most similar to it, in [0, 1]; 0 if
    nothing is. To be explained with ``link=Value()``, the box's number as the target.

    Args:
        detector: A module or any other callable.
        boxes: Left, top, right, bottom, in pixels of the images.
        classes: How probable each class is for each box; one-hot for boxes that somebody drew.

    Raises:
        ValueError: If a box has no area, or there are not classes for each.
    """

    def __init__(
        self, detector: Detector, boxes: Float[Tensor, "t 4"], classes: Float[Tensor, "t k"]
    ) -> None:
        super().__init__()
        areal = bool((boxes[:, 2:] > boxes[:, :2]).all()) and len(boxes) > 0
        require(areal, "boxes", "left, top, right, bottom with left < right and top < bottom", boxes.tolist())
        require(
            len(classes) == len(boxes), "classes", f"one row for each of {len(boxes)} boxes", len(classes)
        )
        self.detector = detector
        self.register_buffer("boxes", boxes.float())
        self.register_buffer("classes", classes.float())
        self.boxes: Tensor
        self.classes: Tensor

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n t"]:
        """Return the similarity of each box to the most similar detection."""
        found = self.detector(images)
        # Where nothing is found there is no slope, but whoever asks for it gets 0.
        nothing = 0 * images.float().sum(dim=(1, 2, 3))[:, None].expand(-1, len(self.boxes))
        return torch.stack(
            [self._scores(each) if len(each[0]) else nothing[i] for i, each in enumerate(found)]
        )

    def _scores(self, found: tuple[Tensor, Tensor, Tensor]) -> Float[Tensor, " t"]:
        boxes, probabilities, objectness = (part.float() for part in found)
        each = [
            similarity(box.float(), classes.float(), (boxes, probabilities, objectness)).amax()
            for box, classes in zip(self.boxes, self.classes, strict=True)
        ]
        return torch.stack(each)


def _iou(box: Float[Tensor, " 4"], others: Float[Tensor, "m 4"]) -> Float[Tensor, " m"]:
    """Return the intersection over union of a box with each of the others; differentiable."""
    corner, end = torch.maximum(box[:2], others[:, :2]), torch.minimum(box[2:], others[:, 2:])
    shared = (end - corner).clamp_min(0).prod(dim=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).clamp_min(0).prod(dim=1) - shared
    return shared / union
