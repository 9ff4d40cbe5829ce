"""Baselines: what each claims, in closed form."""

import pytest
import torch

from attribution.evaluation.baselines import background_map, center_map, object_map, random_map
from attribution.evaluation.localization import ALPHAS_OF_PEAK, boxes_above


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(40, 60), (41, 61), (1, 9)])
def test_the_center_is_the_center(size):
    heatmap = center_map(size)
    assert heatmap.shape == size
    y, x = divmod(int(heatmap.argmax()), size[1])
    assert abs(y - (size[0] - 1) / 2) <= 0.5
    assert abs(x - (size[1] - 1) / 2) <= 0.5
    torch.testing.assert_close(heatmap, heatmap.flip(0, 1))
    assert 0 <= float(heatmap.min()) < 0.5
    assert float(heatmap.max()) <= 1


def test_random_maps_are_drawn_from_the_generator():
    first, again, other = (random_map((30, 50), chance(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # Smooth: neighbors are nearly equal, other than in noise.
    assert float(first.diff(dim=0).abs().max()) < 0.3
    assert random_map((30, 50), chance(), cells=1).std() < 1e-5


def test_the_object_comes_first_or_last():
    region = torch.zeros(30, 50, dtype=torch.bool)
    region[5:12, 20:33] = True
    claimed = object_map(region, chance())
    assert float(claimed[region].min()) >= float(claimed[~region].max())
    for alpha in ALPHAS_OF_PEAK[1:]:
        assert boxes_above(claimed[None], alpha).tolist() == [[20, 5, 33, 12]]
    rest = background_map(region, chance())
    assert float(rest[~region].min()) >= float(rest[region].max())
    assert claimed[region].unique().numel() > 10  # in an order of its own


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_map((4, 4), chance(), 0), "cells must be at least 1, got 0"),
        (lambda: object_map(torch.zeros(4, 4, dtype=torch.bool), chance()), "at least one pixel"),
        (lambda: background_map(torch.ones(4, 4, dtype=torch.bool), chance()), "less than the whole image"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
