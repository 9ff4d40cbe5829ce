"""The saliency metric: is what a heatmap points out enough, once it is cut out (Dabkowski & Gal 2017)?"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from attribution.evaluation.localization import Level, boxes_above, peak
from attribution.explainer import Heatmap
from attribution.score import MaskedScore
from infill.validate import require

LEAST_AREA = 0.05
"""Smaller boxes count as if they had this share of the image: they are not to win by being tiny."""


def saliency_metric(
    score: MaskedScore, heatmap: Heatmap, alpha: float, level: Level = peak
) -> Float[Tensor, " b"]:
    """Return ``log(max(a, 0.05)) - log(s)`` of each image: low if a small box is enough for the class.

    The box is the tightest around all pixels above ``alpha`` times the level, ``a`` its share of the image
    and ``s`` the score of what it cuts out, enlarged (bilinearly) to the image's size.

    Args:
        score: A probability, of the images.
        heatmap: One for each.
        alpha: Threshold as a multiple of the level: tuned on other images
            (`attribution.evaluation.localization.tuned_alpha`).
        level: `peak` or `mean`, see there.

    Raises:
        ValueError: If heatmaps are not of the images' number and size, one is not a number somewhere, or a
            score is not positive.
    """
    shape = (len(score), *score.size)
    require(tuple(heatmap.shape) == shape, "heatmap", f"of shape {shape} as the images", tuple(heatmap.shape))
    boxes = boxes_above(heatmap, alpha, level).to(score.image.device)
    cut = [
        F.interpolate(
            image[None, :, top:bottom, left:right], score.size, mode="bilinear", align_corners=False
        )
        for image, (left, top, right, bottom) in zip(score.image, boxes.tolist(), strict=True)
    ]
    scores = replace(score, image=torch.cat(cut).clamp(0, 1), around=None).clean
    require(bool((scores > 0).all()), "score", "positive, as a probability is", scores.tolist())
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    area = sides.to(scores) / (score.size[0] * score.size[1])
    return area.clamp_min(LEAST_AREA).log() - scores.log()
