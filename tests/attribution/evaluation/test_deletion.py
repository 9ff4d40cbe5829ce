"""Deletion and insertion against a plain loop, brute force over all orders, and closed forms."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import BLACK, BrightSquare, square_image
from torch import Tensor

from attribution import MaskedScore, logit
from attribution.evaluation.deletion import (
    RankedHoles,
    area_under,
    curve,
    deletion,
    insertion,
    pixels_a_step,
    ranks,
    relevance_gain,
)
from infill import Gray, Mean, Telea

SQUARE = torch.zeros(1, 40, 48)
SQUARE[0, 20:28, 30:38] = 1


def square_score(filler=BLACK, **settings) -> MaskedScore:
    return MaskedScore(square_image(), 1, BrightSquare(), filler, **settings)


@pytest.mark.parametrize("change", ["deletion", "insertion"])
@pytest.mark.parametrize("pixels", [100, 240, 1920, 5000])
def test_a_plain_loop_finds_the_same(change, pixels):
    heatmap = torch.rand(1, 40, 48, generator=torch.Generator().manual_seed(0))
    score, network = square_score(Gray((0.2, 0.4, 0.6))), BrightSquare()
    order = sorted(range(1920), key=lambda place: (-float(heatmap.flatten()[place]), place))
    expected, step = [], 0
    while True:
        touched = torch.zeros(1920, dtype=torch.bool)
        touched[order[: step * pixels]] = True
        gone = touched if change == "deletion" else ~touched
        image = square_image().reshape(3, -1).clone()
        image[:, gone] = torch.tensor([0.2, 0.4, 0.6])[:, None]
        expected.append(float(network(image.view(1, 3, 40, 48)).softmax(1)[0, 1]))
        if step * pixels >= 1920:
            break
        step += 1
    share = [min(each * pixels / 1920, 1.0) for each in range(len(expected))]
    found = curve(score, heatmap, change, pixels)[0]
    torch.testing.assert_close(found, torch.tensor([share, expected]).T)
    mean = float(np.trapezoid(expected, share))
    area = {"deletion": deletion, "insertion": insertion}[change](score, heatmap, pixels)
    assert float(area) == pytest.approx(mean, abs=1e-5)


class Weights(torch.nn.Module):
    """A linear classifier of 2 x 3 pixels."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.tensor([1.5, -2.0, 0.25, 3.0, -0.5, 0.75])
        self.weight = torch.nn.Parameter(torch.stack([weight, -weight]), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(1).flatten(1) @ self.weight.T


def test_exact_contributions_are_the_best_of_all_orders():
    image = torch.rand(3, 2, 3, generator=torch.Generator().manual_seed(3)) * 0.5 + 0.5
    score = MaskedScore(image, 0, Weights(), BLACK, link=logit)
    exact = (image.mean(0).flatten() * Weights().weight[0]).view(1, 2, 3)
    areas = {}
    for order in permutations(range(6)):
        heatmap = torch.empty(6)
        heatmap[list(order)] = torch.arange(6, 0, -1).float()
        areas[order] = float(deletion(score, heatmap.view(1, 2, 3), pixels=1))
    assert len(areas) == 720
    assert float(deletion(score, exact, pixels=1)) == pytest.approx(min(areas.values()), abs=1e-5)
    assert float(deletion(score, -exact, pixels=1)) == pytest.approx(max(areas.values()), abs=1e-5)
    widest = max(areas.values()) - min(areas.values())
    assert float(relevance_gain(score, exact, pixels=1)) == pytest.approx(widest, abs=1e-5)


@settings(max_examples=10)
@given(seed=st.integers(0, 99), pixels=st.sampled_from([60, 96, 480]))
def test_insertion_is_the_deletion_of_what_matters_least_backwards(seed, pixels):
    heatmap = torch.rand(1, 40, 48, generator=torch.Generator().manual_seed(seed))
    score = square_score()
    shown = curve(score, heatmap, "insertion", pixels)
    gone = curve(score, -heatmap, "deletion", pixels)
    torch.testing.assert_close(shown[..., 1], gone.flip(1)[..., 1])
    gain = insertion(score, heatmap, pixels) - deletion(score, heatmap, pixels)
    torch.testing.assert_close(relevance_gain(score, heatmap, pixels), gain, rtol=0, atol=1e-5)


def test_the_true_evidence_wins_with_every_filler():
    chance = torch.rand(1, 40, 48, generator=torch.Generator().manual_seed(0))
    for filler in (BLACK, Mean(), Telea()):
        score = square_score(filler)
        assert float(deletion(score, SQUARE, 64)) < 0.1 < float(deletion(score, chance, 64))
        assert float(insertion(score, SQUARE, 64)) > float(insertion(score, chance, 64))
        assert float(relevance_gain(score, SQUARE, 64)) > float(relevance_gain(score, chance, 64))


def test_ends_are_the_image_and_the_filled_image():
    score = square_score()
    for change in ("deletion", "insertion"):
        scores = curve(score, SQUARE, change, 500)[0, :, 1]
        assert len(scores) == 1 + 4
        ends = scores[[0, -1]] if change == "deletion" else scores[[-1, 0]]
        filled = score(torch.ones(1, 1, 40, 48))
        torch.testing.assert_close(ends, torch.cat([score.clean, filled]))


def test_equals_go_row_by_row_and_steps_are_whole():
    assert torch.equal(ranks(torch.zeros(2, 3)), torch.tensor([[0, 1, 2], [3, 4, 5]]))
    assert torch.equal(ranks(torch.tensor([[1.0, 3.0], [3.0, 2.0]])), torch.tensor([[3, 0], [1, 2]]))
    holes = RankedHoles(ranks(torch.zeros(2, 3)), 4)
    assert [int(hole.sum()) for hole in holes[0:3]] == [0, 4, 6]
    assert [int(hole.sum()) for hole in RankedHoles(ranks(torch.zeros(2, 3)), 4, "insertion")[0:3]] == [
        6,
        2,
        0,
    ]


def test_batches_and_neighbors_change_nothing():
    images = torch.cat([square_image(), square_image().flip(2)])
    heatmap = torch.stack([SQUARE[0], SQUARE[0].flip(0)])
    score = MaskedScore(images, 1, BrightSquare(), BLACK)
    expected = curve(score, heatmap, pixels=100)
    for batch_size in (1, 7):
        found = curve(score.with_execution(batch_size=batch_size), heatmap, pixels=100)
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(curve(score[1], heatmap[1:], pixels=100), expected[1:])


def test_areas_of_known_curves():
    share = torch.tensor([0.0, 0.5, 1.0]).expand(3, 3)
    scores = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.5, 0.0]])
    curves = torch.stack([share, scores], -1)
    torch.testing.assert_close(area_under(curves), torch.tensor([0.25, 1.0, 0.5]))
    narrow = torch.tensor([[[0.0, 0.0], [0.8, 0.8], [1.0, 1.0]]])
    assert float(area_under(narrow)) == pytest.approx(0.5), "a last step of fewer pixels"


class Brightness(torch.nn.Module):
    """The probability of class 0 is the mean of the image."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3)).clamp(1e-6, 1 - 1e-6)
        return torch.stack([mean.logit(), torch.zeros_like(mean)], 1)


@pytest.mark.parametrize("size", [(5, 5), (28, 28), (48, 48), (96, 128), (225, 225)])
def test_a_score_that_falls_evenly_has_half_of_the_area_whatever_the_size(size):
    score = MaskedScore(torch.ones(3, *size), 0, Brightness(), BLACK)
    chance = torch.rand(1, *size, generator=torch.Generator().manual_seed(0))
    assert float(deletion(score, chance)) == pytest.approx(0.5, abs=1e-4)
    assert float(insertion(score, chance)) == pytest.approx(0.5, abs=1e-4)
    assert 25 <= len(curve(score, chance)[0]) - 1 <= 28


def test_a_step_is_the_papers_at_the_papers_size():
    assert pixels_a_step((224, 224)) == 224 * 8
    assert [float(x) for x in curve(square_score(), SQUARE)[0, -2:, 0]] == pytest.approx([27 * 69 / 1920, 1])


@pytest.mark.parametrize(
    ("heatmap", "pixels", "message"),
    [
        (torch.zeros(2, 40, 48), 9, r"heatmap must be of shape \(1, 40, 48\) as the images"),
        (torch.full((1, 40, 48), torch.nan), 9, "heatmap must be finite, got 'NaN or infinity'"),
        (torch.zeros(1, 40, 48), 0, "pixels must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_named(heatmap, pixels, message):
    with pytest.raises(ValueError, match=message):
        curve(square_score(), heatmap, pixels=pixels)
