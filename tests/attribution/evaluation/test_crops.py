"""The saliency metric against a plain computation, and what is refused."""

import math

import pytest
import torch
import torch.nn.functional as F
from planted import BrightSquare, square_image

from attribution import MaskedScore, logit
from attribution.evaluation.crops import saliency_metric
from attribution.evaluation.localization import mean


def boxed(top, bottom, left, right):
    heatmap = torch.zeros(40, 48)
    heatmap[top:bottom, left:right] = 1
    return heatmap


def test_it_is_the_formula():
    score = MaskedScore(torch.cat([square_image()] * 2), 1, BrightSquare())
    heatmap = torch.stack([boxed(18, 30, 20, 40), boxed(0, 4, 0, 5)])
    found = saliency_metric(score, heatmap, 0.5)
    crop = F.interpolate(square_image()[..., 18:30, 20:40], (40, 48), mode="bilinear", align_corners=False)
    p = float(BrightSquare()(crop).softmax(1)[0, 1])
    assert float(found[0]) == pytest.approx(math.log(12 * 20 / 1920) - math.log(p), abs=1e-5)
    crop = F.interpolate(square_image()[..., :4, :5], (40, 48), mode="bilinear")
    p = float(BrightSquare()(crop).softmax(1)[0, 1])
    assert float(found[1]) == pytest.approx(math.log(0.05) - math.log(p), abs=1e-5), "no less than 5 %"


def test_the_whole_image_has_its_own_probability():
    score = MaskedScore(square_image(), 1, BrightSquare())
    for level in ({}, {"level": mean}):
        found = saliency_metric(score, torch.ones(1, 40, 48), 0.99, **level)
        torch.testing.assert_close(found, -score.clean.log())


def test_what_cannot_be_is_named():
    score = MaskedScore(square_image(), 1, BrightSquare())
    with pytest.raises(ValueError, match=r"heatmap must be of shape \(1, 40, 48\) as the images"):
        saliency_metric(score, torch.ones(2, 40, 48), 0.5)
    with pytest.raises(ValueError, match="heatmap must be a number everywhere"):
        saliency_metric(score, torch.full((1, 40, 48), torch.nan), 0.5)
    negative = MaskedScore(square_image(), 1, lambda images: -1 - BrightSquare()(images).abs(), link=logit)
    with pytest.raises(ValueError, match="score must be positive, as a probability is"):
        saliency_metric(negative, torch.ones(1, 40, 48), 0.5)
