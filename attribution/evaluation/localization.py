"""How well a heatmap finds the object: boxes, localization error."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attribution.explainer import Heatmap
from infill.validate import require

Boxes: TypeAlias = Int[Tensor, "_ 4"]
"""Any number of boxes: left, top, right, bottom in pixels; right and bottom are the first pixels outside."""

Level: TypeAlias = Callable[[Tensor], Tensor]
"""Maps heatmaps "b h w" to the level "b" whose multiple is the threshold."""

ALPHAS_OF_PEAK = tuple(step / 20 for step in range(20))
"""0, 0.05, ..., 0.95 (Agarwal & Nguyen 2020, sec. 4.3)."""

ALPHAS_OF_MEAN = tuple(step / 2 for step in range(21))
"""0, 0.5, ..., 10 (Du et al. 2018)."""


def peak(heatmap: Heatmap) -> Float[Tensor, " b"]:
    """The largest value of each heatmap."""
    return heatmap.amax(dim=(1, 2))


def mean(heatmap: Heatmap) -> Float[Tensor, " b"]:
    """The mean of what speaks for the class in each heatmap; what speaks against it counts as 0.

    With the mean of all, which may be negative, the threshold would fall as alpha grows.
    """
    return heatmap.clamp_min(0).mean(dim=(1, 2))


def boxes_above(heatmap: Heatmap, alpha: float, level: Level = peak) -> Int[Tensor, "b 4"]:
    """Return the tightest box around all pixels above ``alpha * level(heatmap)``.

    A heatmap with no pixel above it singles nothing out: its box is the whole image.

    Raises:
        ValueError: If a heatmap is not a number somewhere, or ``alpha`` is negative or none.
    """
    require_numbers(heatmap)
    require(0 <= alpha < torch.inf, "alpha", "at least 0", alpha)
    above = heatmap > (alpha * level(heatmap))[:, None, None]
    above |= ~above.any(dim=2).any(dim=1)[:, None, None]
    left, right = _extent(above.any(dim=1))
    top, bottom = _extent(above.any(dim=2))
    return torch.stack([left, top, right, bottom], dim=1)


def covered(boxes: Boxes, size: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """Return the pixels of an image of this height and width that are in any of the boxes."""
    found = torch.zeros(size, dtype=torch.bool)
    for left, top, right, bottom in boxes.tolist():
        found[top:bottom, left:right] = True
    return found


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first index that is occupied in each row, and the first one after the last."""
    flags = occupied.byte()
    return flags.argmax(dim=1), occupied.shape[1] - flags.flip(1).argmax(dim=1)


def iou(box: Int[Tensor, " 4"], others: Int[Tensor, "m 4"]) -> Float[Tensor, " m"]:
    """Return the intersection over union of a box with each of the others, in [0, 1]."""
    corner, end = torch.maximum(box[:2], others[:, :2]), torch.minimum(box[2:], others[:, 2:])
    shared = (end - corner).clamp_min(0).prod(dim=1)
    area = (box[2:] - box[:2]).prod()
    union = area + (others[:, 2:] - others[:, :2]).prod(dim=1) - shared
    return torch.div(shared, union)


def localization_error(heatmap: Heatmap, boxes: Sequence[Boxes], alpha: float, level: Level = peak) -> float:
    """Return the share of images whose heatmap does not find the object (Agarwal & Nguyen 2020, sec. 4.3).

    It is found if the tightest box above the threshold has an intersection over union of more
    than 0.5 with any of the image's boxes.

    Args:
        heatmap: One heatmap per image.
        boxes: The true boxes of each image, of which there must be at least one.
        alpha: Threshold, as a multiple of the level: to be tuned on other images (`tuned_alpha`).
        level: `peak` in Agarwal & Nguyen (2020), `mean` in Du et al. (2018).

    Raises:
        ValueError: If there are not boxes for each heatmap, or one is not a number somewhere.
    """
    require_boxes(heatmap, boxes)
    localized = [
        bool((iou(box, true.to(box)) > 0.5).any())
        for box, true in zip(boxes_above(heatmap, alpha, level), boxes, strict=True)
    ]
    return 1 - sum(localized) / len(localized)


def tuned_alpha(
    heatmap: Heatmap,
    boxes: Sequence[Boxes],
    alphas: Sequence[float] = ALPHAS_OF_PEAK,
    level: Level = peak,
) -> float:
    """Return the alpha of lowest localization error on held-out images, the smallest one of equals.

    Raises:
        ValueError: If there are not boxes for each heatmap, or one is not a number somewhere.
    """
    require(len(alphas) > 0, "alphas", "at least one", list(alphas))
    return min(sorted(alphas), key=lambda alpha: localization_error(heatmap, boxes, alpha, level))


def require_numbers(heatmap: Heatmap) -> None:
    """Check that heatmaps have no NaN, which no pixel is above or below, and no infinity.

    Minus infinity is allowed: so is filled in what a classifier does not see of a photograph.

    Raises:
        ValueError: If one has.
    """
    missing = int((heatmap.isnan() | (heatmap == torch.inf)).sum())
    got = f"{missing} NaN or infinite of {heatmap.numel()} values"
    require(missing == 0, "heatmap", "a number everywhere", got)


def require_region(name: str, region: Bool[Tensor, "b h w"], heatmap: Heatmap) -> None:
    """Check that a region of pixels is of the heatmaps' shape, and says yes or no.

    Raises:
        ValueError: If it is or does not.
    """
    shape = tuple(heatmap.shape)
    require(tuple(region.shape) == shape, name, f"of shape {shape} as the heatmaps", tuple(region.shape))
    require(region.dtype is torch.bool, name, "of truth values (bool)", region.dtype)


def require_boxes(heatmap: Heatmap, boxes: Sequence[Boxes]) -> None:
    """Check that there are boxes for each heatmap, with left < right and top < bottom.

    Raises:
        ValueError: If there are not.
    """
    require(len(heatmap) > 0, "heatmap", "at least one", len(heatmap))
    require(len(boxes) == len(heatmap), "boxes", f"given for each of {len(heatmap)} heatmaps", len(boxes))
    empty = [i for i, true in enumerate(boxes) if len(true) == 0]
    require(not empty, "boxes", "at least one per image", f"none for images {empty}")
    for true in boxes:
        fits = true.ndim == 2 and true.shape[1] == 4
        require(fits, "boxes", "of shape (m, 4) for each image", tuple(true.shape))
        areal = bool((true[:, :2] < true[:, 2:]).all())
        require(areal, "boxes", "left, top, right, bottom with left < right and top < bottom", true.tolist())
