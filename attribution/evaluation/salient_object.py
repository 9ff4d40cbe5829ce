"""Salient objects: precision, recall, F and mean absolute error of a heatmap against a silhouette."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attribution.evaluation.localization import require_region
from attribution.explainer import Heatmap
from infill.validate import require

_ROUNDING = 1e-4
"""A plateau at the threshold is found whole, though resizing it has left it not quite flat."""
BETA_SQUARED = 0.3
"""Precision counts for more than recall (Achanta et al. 2009; Du et al. 2018, sec. 4.4)."""


@dataclass(frozen=True, eq=False)
class SalientObject:
    """How well heatmaps find silhouettes, one number for each image.

    Attributes:
        precision: The share of what is found that is the object.
        recall: The share of the object that is found.
        f: Their weighted harmonic mean, ``(1 + b) p r / (b p + r)`` with ``b`` = 0.3; 0 if both are 0.
        mae: The mean absolute difference of the heatmap, scaled to [0, 1], to the silhouette.
    """

    precision: Float[Tensor, " b"]
    recall: Float[Tensor, " b"]
    f: Float[Tensor, " b"]
    mae: Float[Tensor, " b"]


def salient_object(
    heatmap: Heatmap, silhouettes: Bool[Tensor, "b h w"], seen: Bool[Tensor, "b h w"] | None = None
) -> SalientObject:
    """Return precision, recall, F and mean absolute error (Du et al. 2018, sec. 4.4).

    Found is what lies at or above twice the mean of a heatmap that is scaled to [0, 1] (or its largest value,
    if twice the mean is above that). A constant heatmap is scaled to 0, and finds all of the image.

    Args:
        heatmap: One for each image.
        silhouettes: Where the object is; some of each image.
        seen: What the heatmap speaks of; all by default. It is scaled by these pixels, and their mean is
            taken; nothing is found elsewhere, where it counts as 0: what of the object lies there is missed.

    Raises:
        ValueError: If silhouettes or ``seen`` are not of the heatmaps' shape, one is empty, or a heatmap is
            not finite.
    """
    require(bool(heatmap.isfinite().all()), "heatmap", "finite", "NaN or infinity")
    true = _pixels("silhouettes", silhouettes, heatmap)
    seen = torch.ones_like(true) if seen is None else _pixels("seen", seen, heatmap)
    scaled = _scaled(heatmap.flatten(1), seen)
    threshold = torch.minimum(2 * scaled.sum(dim=1) / seen.sum(dim=1), scaled.amax(dim=1))
    found = (scaled >= threshold[:, None] * (1 - _ROUNDING)) & seen
    hits = (found & true).sum(dim=1).float()
    precision, recall = hits / found.sum(dim=1), hits / true.sum(dim=1)
    weighted = BETA_SQUARED * precision + recall
    f = (1 + BETA_SQUARED) * precision * recall / weighted.where(weighted > 0, 1)
    return SalientObject(precision, recall, f, (scaled - true.float()).abs().mean(dim=1))


def _pixels(name: str, region: Bool[Tensor, "b h w"], heatmap: Heatmap) -> Bool[Tensor, "b p"]:
    require_region(name, region, heatmap)
    flat = region.to(heatmap.device).flatten(1)
    require(bool(flat.any(dim=1).all()), name, "of some pixels in each image", "an empty one")
    return flat


def _scaled(values: Float[Tensor, "b p"], seen: Bool[Tensor, "b p"]) -> Float[Tensor, "b p"]:
    """Scale what is seen to [0, 1]; the rest becomes 0."""
    low = values.where(seen, torch.inf).amin(dim=1, keepdim=True)
    high = values.where(seen, -torch.inf).amax(dim=1, keepdim=True)
    return ((values - low) / (high - low).where(high > low, 1)).where(seen, 0)
