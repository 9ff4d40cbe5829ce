"""Objectives and penalties of the optimizing methods: values by hand, signs, and derivatives."""

import pytest
import torch
from torch import Tensor

from attribution.holes import require_cells, upsampled
from attribution.optimize.objectives import (
    area,
    area_deviation,
    dssr,
    dssr_plus,
    pooled_area,
    sdr,
    shuffled,
    smoothed,
    ssr,
    total_variation,
    two_stage,
)

SQUARE = torch.zeros(1, 1, 12, 12)
SQUARE[..., 4:8, 3:7] = 1
NOTHING, EVERYTHING = torch.zeros(1, 1, 12, 12), torch.ones(1, 1, 12, 12)


def visible(hole: Tensor) -> Tensor:
    """A score that tells how much of the square is left."""
    return 1 - (hole * SQUARE).sum(dim=(1, 2, 3)) / SQUARE.sum()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def gradient(loss, evidence: Tensor) -> Tensor:
    evidence = evidence.clone().requires_grad_()
    return torch.autograd.grad(loss(evidence).sum(), evidence)[0]


@pytest.mark.parametrize(
    ("objective", "nothing", "square", "everything"),
    [(ssr, 0, -1, -1), (sdr, 1, 0, 0), (dssr, 1, -1, -1)],
    ids=["ssr", "sdr", "dssr"],
)
def test_evidence_that_explains_the_score_is_the_minimum(objective, nothing, square, everything):
    values = [float(objective(visible, evidence)) for evidence in (NOTHING, SQUARE, EVERYTHING)]
    assert values == [nothing, square, everything]


@pytest.mark.parametrize("objective", [ssr, sdr, dssr])
def test_evidence_is_pulled_to_the_square(objective):
    pull = -gradient(lambda evidence: objective(visible, evidence), torch.full((1, 1, 12, 12), 0.5))
    assert (pull[SQUARE > 0] > 0).all()
    assert (pull[SQUARE == 0] == 0).all()


def test_dssr_plus_is_dssr_of_smoothed_evidence_in_the_order_of_equation_4():
    evidence = random(1, 1, 12, 12)
    averaged = smoothed(evidence, 5)
    torch.testing.assert_close(dssr_plus(visible, evidence, 5), visible(averaged) - visible(1 - averaged))
    assert dssr_plus(visible, NOTHING, 5) > dssr_plus(visible, EVERYTHING, 5), (
        "nothing must not be the optimum"
    )


@pytest.mark.parametrize("window", [1, 3, 4, 12])
def test_smoothed_evidence_is_the_mean_over_a_window(window):
    evidence = random(2, 1, 12, 12)
    averaged = smoothed(evidence, window)
    assert averaged.shape == evidence.shape
    before = window // 2
    for row, column in ((6, 6), (before, before), (11 - (window - 1) // 2, 11 - (window - 1) // 2)):
        part = evidence[..., row - before :, column - before :][..., :window, :window]
        torch.testing.assert_close(averaged[..., row, column], part.mean(dim=(2, 3)))
    torch.testing.assert_close(smoothed(EVERYTHING, window), EVERYTHING)


def test_area_is_the_sum_of_each_map():
    evidence = random(3, 1, 12, 12)
    torch.testing.assert_close(area(evidence), torch.stack([one.sum() for one in evidence]))
    assert torch.equal(gradient(area, evidence), torch.ones_like(evidence))


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_total_variation_is_the_sum_over_neighbors(power):
    evidence = random(2, 1, 4, 5)
    expected = torch.zeros(2)
    for row in range(4):
        for column in range(5):
            for down, across in ((1, 0), (0, 1)):
                if row + down < 4 and column + across < 5:
                    change = evidence[:, 0, row, column] - evidence[:, 0, row + down, column + across]
                    expected += change.abs() ** power
    torch.testing.assert_close(total_variation(evidence, power), expected)
    assert gradient(lambda some: total_variation(some, power), torch.ones(1, 1, 4, 5)).isfinite().all()


def test_the_derivative_of_the_pooled_area_on_the_papers_mask():
    mask = torch.tensor(
        [
            [1.0, 1.0, 1.0, 1.0],
            [0.0, 1.0, 1.0, 1.0],
            [1.0, 1.0, 0.0, 0.0],
            [1.0, 1.0, 0.0, 0.0],
        ]
    )
    expected = torch.tensor(
        [
            [0.0, 1.0, 1.0, 0.0],
            [2.0, 0.0, 0.0, 0.0],
            [1.0, 0.0, 4.0, 0.0],
            [0.0, 0.0, 0.0, 0.0],
        ]
    )
    evidence = 1 - mask[None, None]
    assert torch.equal(gradient(lambda some: pooled_area(some, 2, 0), evidence)[0, 0], expected)
    # In the paper's words: the sum of 1 - maxpool(1 - m) as a function of m, which is to grow.
    m = mask[None, None].clone().requires_grad_()
    (9 - pooled_area(1 - m, 2, 0)).sum().backward()
    assert torch.equal(m.grad[0, 0], expected)


def test_the_pooled_area_is_the_sum_of_maxima():
    evidence = random(2, 1, 9, 10)
    padded = torch.nn.functional.pad(evidence, (2, 2, 2, 2))
    expected = torch.zeros(2)
    for row in range(9 + 4 - 3):
        for column in range(10 + 4 - 3):
            expected += padded[:, 0, row : row + 4, column : column + 4].amax(dim=(1, 2))
    torch.testing.assert_close(pooled_area(evidence, 4, 2), expected)
    assert float(pooled_area(NOTHING)) == 0


def test_scattered_evidence_pays_more_than_compact_evidence():
    scattered = torch.zeros(1, 1, 12, 12)
    scattered[..., ::3, ::3] = 1
    assert scattered.sum() == SQUARE.sum()
    assert pooled_area(scattered, 4, 2) > pooled_area(SQUARE, 4, 2)


def test_the_area_deviates_by_the_squared_difference_of_sorted_values():
    evidence = random(2, 1, 6, 5)
    ideal = torch.zeros(30)
    ideal[-9:] = 1
    expected = (evidence.flatten(1).sort(dim=1).values - ideal).square().mean(dim=1)
    torch.testing.assert_close(area_deviation(evidence, 0.3), expected)
    assert float(area_deviation(SQUARE, float(SQUARE.mean()))) == 0
    assert area_deviation(EVERYTHING, 0.3) > 0
    assert area_deviation(NOTHING, 0.3) > 0


def test_the_area_is_pulled_to_the_share():
    pull = -gradient(lambda some: area_deviation(some, 0.25), torch.full((1, 1, 12, 12), 0.5))
    assert int((pull > 0).sum()) == 36, "a quarter of the pixels is to grow"
    assert int((pull < 0).sum()) == 108, "and all others are to shrink"


def test_where_all_evidence_is_alike_no_place_is_pushed_harder():
    pushed = gradient(lambda some: area_deviation(some, 0.5), EVERYTHING)[0, 0] > 0
    quarters = [float(part.float().mean()) for half in pushed.chunk(2) for part in half.chunk(2, dim=1)]
    assert all(0.25 < share < 0.75 for share in quarters)
    again = gradient(lambda some: area_deviation(some, 0.5), EVERYTHING)[0, 0] > 0
    assert torch.equal(again, pushed)
    order = shuffled(EVERYTHING)
    given = gradient(lambda some: area_deviation(some, 0.5, order), EVERYTHING)[0, 0] > 0
    assert torch.equal(given, pushed)
    other = gradient(lambda some: area_deviation(some, 0.5, 1 - order), EVERYTHING)[0, 0] > 0
    assert (other != pushed).float().mean() > 0.9, "all but what rounding makes alike"


@pytest.mark.parametrize(
    "penalty",
    [area, total_variation, lambda some: pooled_area(some, 4, 2), lambda some: area_deviation(some, 0.3)],
)
def test_penalties_of_one_map_do_not_depend_on_the_others(penalty):
    evidence = random(3, 1, 12, 12)
    alone = torch.cat([penalty(one[None]) for one in evidence])
    torch.testing.assert_close(penalty(evidence), alone, rtol=1e-6, atol=0)


def test_the_weight_is_large_once_enough_is_kept():
    weight = two_stage(torch.tensor([0.2, 0.9, 0.5]), torch.tensor([0.5, 0.5, 0.5]), 1.0, 10.0)
    assert weight.tolist() == [1.0, 10.0, 1.0]


def test_cells_are_repeated_or_blended():
    cells = random(1, 1, 3, 3)
    nearest = upsampled(cells, (6, 9))
    assert torch.equal(nearest, cells.repeat_interleave(2, dim=2).repeat_interleave(3, dim=3))
    smooth = upsampled(cells, (9, 9), "bilinear")
    torch.testing.assert_close(smooth[..., 1::3, 1::3], cells)
    assert torch.equal(upsampled(cells, (3, 3), "bilinear"), cells)


@pytest.mark.parametrize("cells", [0, 25])
def test_cells_smaller_than_a_pixel_are_refused(cells):
    with pytest.raises(ValueError, match=f"cells must be 1 to 24 in a 24 x 32 image, got {cells}"):
        require_cells(cells, (24, 32))
    require_cells(24, (24, 32))
