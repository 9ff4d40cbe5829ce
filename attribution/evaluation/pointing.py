"""The pointing game: does a heatmap's maximum lie on the object (Zhang et al. 2018)?"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attribution.evaluation.localization import Boxes, covered, require_boxes, require_numbers
from attribution.explainer import Heatmap
from infill.validate import require

_LARGE = 0.25
"""The share of the image that the objects of a difficult case stay below (Zhang et al. 2018, sec. 4.1)."""

_ROUNDING = 1e-5
"""Of the heatmap's range: what resizing makes of pixels that were equal differs by less."""

_LAST_DIGITS = 8 * torch.finfo(torch.float32).eps
"""Of the maximum: the same where the range is all but nothing, as that of a constant map."""


def pointing_hit(heatmap: Heatmap, boxes: Sequence[Boxes], tolerance: float = 0.0) -> Bool[Tensor, " b"]:
    """Return whether the heatmap's maximum lies in one of the image's boxes.

    Of several pixels that share the maximum (a superpixel, a constant map) the first one counts, row by row
    from the top. Those do that differ by the rounding of a heatmap that was resized.

    Args:
        heatmap: One heatmap per image.
        boxes: The true boxes of each image, of the class that is explained.
        tolerance: Distance to a box in pixels up to which a pixel counts as inside (15 in the pointing game
            on PASCAL VOC and COCO).

    Raises:
        ValueError: If there are not boxes for each heatmap, one is not a number somewhere, or the
            tolerance is negative.
    """
    require_boxes(heatmap, boxes)
    require_numbers(heatmap)
    require(tolerance >= 0, "tolerance", "at least 0", tolerance)
    return torch.stack([_pointed(one, true, tolerance) for one, true in zip(heatmap, boxes, strict=True)])


def pointing_accuracy(hits: Sequence[bool] | Tensor, classes: Sequence[Hashable]) -> dict[Hashable, float]:
    """Return the share of hits for each class; the pointing game's figure is the mean of these.

    Args:
        hits: For each case, an image with one of its classes as the target.
        classes: The class of each case.

    Raises:
        ValueError: If there is not a class for each case, or there is no case.
    """
    require(len(classes) == len(hits), "classes", f"one per case ({len(hits)})", len(classes))
    require(len(hits) > 0, "hits", "at least one", len(hits))
    of_class: dict[Hashable, list[bool]] = {}
    for hit, each in zip(hits, classes, strict=True):
        of_class.setdefault(each, []).append(bool(hit))
    return {each: sum(some) / len(some) for each, some in of_class.items()}


def difficult(boxes: Mapping[Any, Boxes], target: Hashable, size: tuple[int, int]) -> bool:
    """Return whether a case is of the difficult subset: a small object beside one of another class.

    Small is less than a quarter of the image, for all boxes of the class together (pixels that are in several
    count once).

    Args:
        boxes: By class, all boxes of the image.
        target: The class that is explained.
        size: Height and width of the image.

    Raises:
        ValueError: If the target has no box.
    """
    require(len(boxes.get(target, ())) > 0, "target", f"one of the image's classes {list(boxes)}", target)
    others = any(len(some) for name, some in boxes.items() if name != target)
    return others and float(covered(boxes[target], size).float().mean()) < _LARGE


def _pointed(heatmap: Float[Tensor, "h w"], boxes: Boxes, tolerance: float) -> Bool[Tensor, ""]:
    peak = heatmap.max()
    # Never infinity times 0, nor less infinity: what a classifier does not see has minus infinity.
    low = heatmap[heatmap.isfinite()].min() if peak.isfinite() else peak
    rounding = torch.maximum(_LAST_DIGITS * peak.abs(), _ROUNDING * (peak - low))
    highest = (heatmap == peak) | (heatmap >= peak - rounding)
    first = int(highest.flatten().byte().argmax())
    point = torch.tensor([first % heatmap.shape[1], first // heatmap.shape[1]])
    boxes = boxes.to(point)
    # How far the pixel is from the pixels of a box along each axis, at most one of which is positive.
    apart = torch.maximum(boxes[:, :2] - point, point - (boxes[:, 2:] - 1)).clamp_min(0)
    inside: Bool[Tensor, ""] = (apart.float().norm(dim=1) <= tolerance).any()
    return inside
