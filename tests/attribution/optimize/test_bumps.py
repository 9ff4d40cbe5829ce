"""Smooth maps: the formula place by place, with and without a margin."""

import math

import pytest
import torch

from attribution.optimize.bumps import ContinuedBumps, MarginBumps, smooth_maximum


def test_the_smooth_maximum_is_the_formula_place_by_place():
    bumps = torch.rand(2, 1, 6, 7, generator=torch.Generator().manual_seed(0))
    sigma = 1.5
    smooth = smooth_maximum(bumps, (6, 7), sigma)
    rows, columns = torch.arange(-3, 9), torch.arange(-3, 10)
    padded = bumps[:, :, rows.clamp(0, 5)][:, :, :, columns.clamp(0, 6)]
    for row, column in ((2, 3), (0, 0), (5, 6)):
        distance = torch.hypot(rows[:, None] - row, (columns - column).float())
        near = torch.maximum((rows[:, None] - row).abs(), (columns - column).abs()) <= 3
        heights = torch.exp(-2 * (distance / sigma - 0.5).clamp_min(0) ** 2)
        values = (padded * heights)[:, 0, near]
        weights = torch.exp(20 * values)
        expected = (weights * values).sum(dim=1) / weights.sum(dim=1)
        torch.testing.assert_close(smooth[:, 0, row, column], expected)


def test_a_single_bump_is_flat_and_then_falls():
    bumps = torch.zeros(1, 1, 15, 15)
    bumps[..., 7, 7] = 1
    profile = smooth_maximum(bumps, (15, 15), 4.0)[0, 0, 7]
    assert profile[7] == profile.max() > 0.95
    torch.testing.assert_close(profile[5:10], profile[7].expand(5))
    assert (profile[7:].diff() <= 0).all()
    torch.testing.assert_close(profile, profile.flip(0))
    assert profile[0] < 0.2


def test_the_maximum_of_nothing_is_nothing_and_of_everything_nearly_one():
    assert float(smooth_maximum(torch.zeros(1, 1, 8, 8), (20, 24), 2.0).max()) == 0
    everything = smooth_maximum(torch.ones(1, 1, 8, 8), (20, 24), 2.0)
    assert everything.min() > 0.9
    assert everything.max() <= 1
    assert everything.std() < 1e-6, "nor is the border any different"


@pytest.mark.parametrize(
    ("size", "step", "sigma"), [((20, 26), 4, 6.0), ((14, 9), 3, 2.5), ((12, 12), 5, 5.0)]
)
def test_with_a_margin_distances_are_those_of_pixels(size, step, sigma):
    """Bumps stand in the first pixels of cells; outside of the grid there are none."""
    cells = [math.ceil(side / step) for side in size]
    heights = torch.rand(2, 1, *cells, generator=torch.Generator().manual_seed(0))
    bumps = MarginBumps(size, step, sigma)
    whole = bumps(heights)
    radius = 1 + math.ceil(sigma / step)
    corners = [(0, 0), (round(sigma), round(sigma)), (whole.shape[2] - 1, whole.shape[3] - 1), (7, 11)]
    for row, column in corners:
        y, x = row - sigma, column - sigma
        values = []
        for i in range(-2 * radius - 4, cells[0] + 2 * radius + 4):
            for j in range(-2 * radius - 4, cells[1] + 2 * radius + 4):
                # near enough in cells, counted from the pixel's own cell in the larger map
                near = max(
                    abs(i - (row // step - (1 + math.ceil(2 * sigma / step)) + radius)),
                    abs(j - (column // step - (1 + math.ceil(2 * sigma / step)) + radius)),
                )
                if near > radius:
                    continue
                distance = math.hypot(y - step * i, x - step * j) / sigma
                inside = 0 <= i < cells[0] and 0 <= j < cells[1]
                height = heights[:, 0, i, j] if inside else torch.zeros(2)
                values.append(height * math.exp(-2 * max(distance - 0.5, 0) ** 2))
        stacked = torch.stack(values)
        expected = (stacked * (20 * stacked).softmax(dim=0)).sum(dim=0)
        torch.testing.assert_close(whole[:, 0, row, column], expected, rtol=0, atol=1e-5)
    inside = bumps.inside(whole)
    assert inside.shape == (2, 1, *size)
    first = round(sigma)
    assert torch.equal(inside, whole[:, :, first : first + size[0], first : first + size[1]])


def test_a_bump_in_the_margin_costs_area_without_covering_the_image():
    bumps = MarginBumps((224, 224), 7, 21.0)
    assert bumps(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 260, 260), "as the published code has it"
    corner = torch.zeros(1, 1, 32, 32)
    corner[..., 0, 0] = 1
    whole = bumps(corner)
    assert bumps.inside(whole).sum() < 0.5 * whole.sum()


def test_continued_bumps_are_the_smooth_maximum():
    heights = torch.rand(1, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    bumps = ContinuedBumps((24, 32), 4, 6.0)
    assert torch.equal(bumps(heights), smooth_maximum(heights, (24, 32), 1.5))
    assert bumps.inside(bumps(heights)).shape == (1, 1, 24, 32)


def test_a_width_in_whole_pixels_is_a_width():
    heights = torch.rand(1, 1, 8, 6, generator=torch.Generator().manual_seed(0))
    found, expected = (MarginBumps((40, 30), 5, sigma)(heights) for sigma in (6, 6.0))
    assert torch.equal(found, expected)
