"""Salient objects: precision, recall, F and mean absolute error of a heatmap against a silhouette."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attribution.explainer import Heatmap
from infill.validate import require

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


def salient_object(heatmap: Heatmap, silhouettes: Bool[Tensor, "b h w"]) -> SalientObject:
    """Return precision, recall, F and mean absolute error (Du et al. 2018, sec. 4.4).

    Found is what lies at or above twice the mean of a heatmap that is scaled to [0, 1] (or its largest value,
    if twice the mean is above that). A constant heatmap is scaled to 0, and finds all of the image.

    Args:
        heatmap: One for each image.
        silhouettes: Where the object is; some of each image.

    Raises:
        ValueError: If silhouettes are not of the heatmaps' shape, one is empty, or a heatmap is not finite.
    """
    shape = tuple(heatmap.shape)
    rule = f"of shape {shape} as the heatmaps"
    require(tuple(silhouettes.shape) == shape, "silhouettes", rule, tuple(silhouettes.shape))
    require(bool(heatmap.isfinite().all()), "heatmap", "finite", "NaN or infinity")
    true = silhouettes.to(heatmap.device).flatten(1)
    require(bool(true.any(dim=1).all()), "silhouettes", "of some pixels in each image", "an empty one")
    scaled = _scaled(heatmap.flatten(1))
    threshold = torch.minimum(2 * scaled.mean(dim=1), scaled.amax(dim=1))
    found = scaled >= threshold[:, None]
    hits = (found & true).sum(dim=1).float()
    precision, recall = hits / found.sum(dim=1), hits / true.sum(dim=1)
    weighted = BETA_SQUARED * precision + recall
    f = (1 + BETA_SQUARED) * precision * recall / weighted.where(weighted > 0, 1)
    return SalientObject(precision, recall, f, (scaled - true.float()).abs().mean(dim=1))


def _scaled(values: Float[Tensor, "b p"]) -> Float[Tensor, "b p"]:
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    return (values - low) / (high - low).where(high > low, 1)
