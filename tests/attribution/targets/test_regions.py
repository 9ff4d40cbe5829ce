"""Regions of segmenters: closed forms."""

import pytest
import torch
from planted import BLACK
from torch import Tensor

from attribution import MP2, MaskedScore, SlidingPatch, Value
from attribution.targets import RegionLogOdds

REGION = torch.zeros(16, 24, dtype=torch.bool)
REGION[4:8, 8:20] = True


def bright(images: Tensor) -> Tensor:
    """Logits of a pixel: 4 times its brightness, 1, and -1."""
    light = 4 * images.mean(1)
    return torch.stack([light, torch.ones_like(light), -torch.ones_like(light)], dim=1)


def test_the_mean_of_the_log_odds_pixel_by_pixel(images):
    some = images[:, :, :16, :24]
    for label in range(3):
        p = bright(some.double()).softmax(1)[:, label][:, REGION]
        expected = (p / (1 - p)).log().mean(1, keepdim=True)
        ours = RegionLogOdds(bright, REGION, label)(some)
        torch.testing.assert_close(ours.double(), expected, rtol=0, atol=1e-5)


def test_a_single_class_has_a_sigmoid(images):
    some = images[:, :, :16, :24]
    ours = RegionLogOdds(lambda images: bright(images)[:, :1], REGION, 0)(some)
    torch.testing.assert_close(ours[:, 0], 4 * some.mean(1)[:, REGION].mean(1))


def test_methods_stay_in_the_region(images):
    """What is outside of it has no influence at all, and what is removed ends at even odds."""
    image = images[:1, :, :16, :24] * 0.4 + 0.55
    score = MaskedScore(image, 0, RegionLogOdds(bright, REGION, 0), BLACK, link=Value(odds=True))
    assert float(score.chance) == 0
    heatmap = SlidingPatch(4, 2, average=True)(score)[0]
    beyond = torch.ones_like(REGION)
    beyond[1:11, 5:23] = False
    assert heatmap[5:7, 10:18].min() > 0.05
    assert heatmap[beyond].abs().max() < 1e-5
    outcome = MP2(8, rank="descent", added=1).optimize(score)
    assert outcome.reached.all()
    assert not outcome.hole[0, 0][~REGION].any()


@pytest.mark.parametrize(
    ("region", "label", "message"),
    [
        (torch.zeros_like(REGION), 0, "region must be at least one pixel, got 'none'"),
        (REGION[:8], 0, r"region must be of the logits' size \(16, 24\)"),
        (REGION, 3, "label must be one of 3 classes, got 3"),
    ],
)
def test_regions_that_are_none_are_refused(region, label, message):
    with pytest.raises(ValueError, match=message):
        RegionLogOdds(bright, region, label)(torch.rand(1, 3, 16, 24))
