"""Meaningful perturbation: against a plain loop, its penalties, its jitter, and what is refused."""

import pytest
import torch
import torch.nn.functional as F
from planted import BrightSquare, Linear, flat, square_image
from torch import Tensor

from attribution import MaskedScore, MeaningfulPerturbation
from attribution.optimize.cached_score import CachedScore
from infill import Blur, Gray, Telea, composite


def plainly(larger: Tensor, chances, fill: Tensor, steps: int, seed: int = 0) -> Tensor:
    """The paper's loop: the hole over a photograph's view that is 4 px larger than what is shown of it."""
    height, width = (side - 4 for side in larger.shape[2:])
    generator = torch.Generator().manual_seed(seed)
    hole = torch.rand(1, 1, 28, 28, generator=generator).requires_grad_()
    adam = torch.optim.Adam([hole], lr=0.1)
    for _ in range(steps):
        top, left = torch.randint(0, 4, (1, 2), generator=generator)[0].tolist()
        wide = F.interpolate(hole, (height + 4, width + 4), mode="nearest")
        removed = torch.lerp(larger, fill, wide)
        loss = chances(removed[..., top : top + height, left : left + width]) + 1e-4 * hole.sum()
        down = ((hole[:, :, 1:] - hole[:, :, :-1]).abs() ** 3).sum()
        across = ((hole[..., 1:] - hole[..., :-1]).abs() ** 3).sum()
        adam.zero_grad()
        (loss + 1e-2 * (down + across)).backward()
        adam.step()
        hole.data.clamp_(0, 1)
    return hole.detach()


def curved(images: Tensor) -> Tensor:
    """Logits of two classes that are not linear in the pixels."""
    patches = F.avg_pool2d(images, 4)
    return torch.stack([4 * patches[:, 0].square().mean(dim=(1, 2)), 6 * patches.mean(dim=(1, 2, 3))], dim=1)


def test_the_papers_parameters_follow_a_plain_loop(smooth_image):
    """The view is cropped, at 16 places, from a larger view of the same photograph."""
    photograph = smooth_image(36, 44)
    fill = Blur(10.0)(photograph, torch.ones(1, 1, 36, 44))
    expected, start = (
        F.interpolate(plainly(photograph, lambda some: curved(some).softmax(1)[:, 1], fill, steps), (36, 44))[
            :, 0, 2:-2, 2:-2
        ]
        for steps in (300, 0)
    )
    score = MaskedScore(photograph[..., 2:-2, 2:-2], 1, curved, Blur(10.0), around=photograph)
    heatmap = MeaningfulPerturbation()(score)
    torch.testing.assert_close(heatmap, expected, rtol=0, atol=1e-4)
    assert (expected - start).abs().mean() > 0.1, "it must have gone somewhere"


def test_without_a_larger_view_the_image_is_resized(smooth_image):
    image = smooth_image(32, 40)
    larger = F.interpolate(image, (36, 44), mode="bilinear", align_corners=False)
    fill = Blur(10.0)(larger, torch.ones(1, 1, 36, 44))
    hole = plainly(larger, lambda some: curved(some).softmax(1)[:, 1], fill, 20)
    heatmap = MeaningfulPerturbation(steps=20)(MaskedScore(image, 1, curved, Blur(10.0)))
    torch.testing.assert_close(heatmap, F.interpolate(hole, (32, 40))[:, 0], rtol=0, atol=1e-4)


def test_the_larger_view_costs_the_score_nothing(smooth_image):
    """The first composite of a hole of nothing is a crop of the photograph itself."""
    photograph, seen = smooth_image(36, 44), []

    def classifier(images: Tensor) -> Tensor:
        seen.append(images.detach().clone())
        return curved(images)

    score = MaskedScore(photograph[..., 2:-2, 2:-2], 1, classifier, Gray(), around=photograph)
    MeaningfulPerturbation(steps=3, area=1e3, lr=1.0).optimize(score)
    crops = [photograph[..., top : top + 32, left : left + 40] for top in range(4) for left in range(4)]
    # The second step's hole is empty: the area costs that much.
    assert any(torch.allclose(seen[3], crop, atol=1e-6) for crop in crops)


@pytest.mark.parametrize("regularized", ["coarse", "full"])
def test_area_is_paid_for(image, regularized):
    method = MeaningfulPerturbation(8, steps=30, area=1.0, smoothness=0.0, regularized=regularized)
    assert float(method(MaskedScore(image, 1, flat)).max()) == 0


@pytest.mark.parametrize("regularized", ["coarse", "full"])
def test_edges_are_paid_for(image, regularized):
    method = MeaningfulPerturbation(8, steps=60, area=0.0, smoothness=1.0, regularized=regularized)
    heatmap = method(MaskedScore(image, 1, flat))
    start = MeaningfulPerturbation(8, steps=1, area=0.0, smoothness=0.0)(MaskedScore(image, 1, flat))
    assert heatmap.std() < start.std() / 3
    assert float(heatmap.mean()) == pytest.approx(float(start.mean()), abs=0.1)


def test_what_is_paid_is_larger_on_the_full_image(image):
    """24 x 32 pixels in 8 x 8 cells: each cell has 12 pixels, hence 12 times the area to pay for."""

    def walk(area: float, regularized: str) -> Tensor:
        method = MeaningfulPerturbation(
            8, steps=8, area=area, smoothness=0.0, jitter=0, regularized=regularized
        )
        return method(MaskedScore(image, 2, Linear(), Gray()))

    torch.testing.assert_close(walk(12e-3, "coarse"), walk(1e-3, "full"), rtol=0, atol=1e-4)
    assert not torch.allclose(walk(1e-3, "coarse"), walk(1e-3, "full"), atol=1e-2)


def test_without_jitter_the_composite_is_the_images_own(image):
    steps = []
    method = MeaningfulPerturbation(8, steps=3, jitter=0)
    score = MaskedScore(image, 2, Linear(), Gray())
    outcome = method.optimize(score, steps.append)
    assert [step.hole.shape for step in steps] == [(1, 1, 24, 32)] * 3
    torch.testing.assert_close(outcome.curves["removed"][0], torch.cat([score(step.hole) for step in steps]))


@pytest.mark.parametrize("jittered", ["composite", "image"])
def test_the_view_is_moved_over_hole_and_image_or_over_the_image_alone(image, jittered):
    steps, views = [], []
    network = Linear()

    def classifier(images: Tensor) -> Tensor:
        views.append(images.detach().clone())
        return network(images)

    black = Gray((0.0, 0.0, 0.0))
    white = torch.ones_like(image)
    score = MaskedScore(white, 2, classifier, black)
    MeaningfulPerturbation(8, steps=6, jitters=2, jittered=jittered).optimize(score, steps.append)
    # White is left, black is removed; the first three look at the image itself.
    holes = [1 - images[:, :1] for images in views[3:] if len(images) == 2]
    start = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    still = F.interpolate(start, (24, 32), mode="nearest")
    assert len(holes) == 6
    if jittered == "image":
        torch.testing.assert_close(holes[0], still.expand(2, -1, -1, -1))
        assert all(torch.allclose(*pair, atol=1e-6) for pair in holes)
    else:
        assert not all(torch.allclose(*pair, atol=1e-6) for pair in holes)
        wide = F.interpolate(start, (28, 36), mode="nearest")
        views = [wide[..., top : top + 24, left : left + 32] for top in range(4) for left in range(4)]
        assert all(any(torch.allclose(one, view[0], atol=1e-6) for view in views) for one in holes[0])
    assert steps[0].hole.shape == (1, 1, 28, 36)
    assert steps[0].fill.shape == (1, 3, 28, 36)


def test_shifts_and_start_follow_the_seed(image):
    score = MaskedScore(image, 2, Linear(), Gray())
    heatmaps = [MeaningfulPerturbation(8, steps=4, seed=seed)(score) for seed in (0, 0, 1)]
    assert torch.equal(heatmaps[0], heatmaps[1])
    assert not torch.equal(heatmaps[0], heatmaps[2])


def test_several_shifts_a_step_are_averaged(image):
    method = MeaningfulPerturbation(8, steps=3, jitters=5)
    assert method.composites == 15
    outcome = method.optimize(MaskedScore(image, 2, Linear(), Gray()))
    assert outcome.looks.tolist() == [15 + 3]
    one = MeaningfulPerturbation(8, steps=3).optimize(MaskedScore(image, 2, Linear(), Gray()))
    assert not torch.equal(one.heatmap, outcome.heatmap)


@pytest.mark.parametrize("filler", [Gray(), Telea()], ids=["gray", "telea"])
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_a_planted_square_is_found(filler, upsampling):
    score = MaskedScore(square_image(), 1, BrightSquare(), filler)
    method = MeaningfulPerturbation(10, steps=60, area=1e-2, upsampling=upsampling)
    outcome = method.optimize(score)
    square = torch.zeros(40, 48, dtype=torch.bool)
    square[20:28, 30:38] = True
    assert outcome.heatmap[0][square].mean() > outcome.heatmap[0][~square].mean() + 0.3
    assert outcome.reached.all()
    assert torch.equal(outcome.hole, (outcome.heatmap[:, None] >= 0.5).float())
    expected = composite(score.image, outcome.hole, filler(score.image, outcome.hole))
    torch.testing.assert_close(outcome.counterfactual, expected)
    torch.testing.assert_close(outcome.left, BrightSquare()(expected).softmax(1)[:, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 0}, "cells must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"jitters": 0}, "jitters must be at least 1, got 0"),
        ({"refresh": 0}, "refresh must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0"),
        ({"power": 0.5}, "power must be at least 1, got 0.5"),
        ({"area": -1.0}, "area must be at least 0, got -1"),
        ({"smoothness": -1.0}, "smoothness must be at least 0, got -1"),
        ({"jitter": -1}, "jitter must be at least 0, got -1"),
        ({"jittered": "hole"}, "jittered must be one of .*composite.*, got 'hole'"),
        ({"upsampling": "bicubic"}, "upsampling must be one of .*, got 'bicubic'"),
        ({"regularized": "fine"}, "regularized must be one of .*, got 'fine'"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_parameters_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        MeaningfulPerturbation(**change)


def test_cells_larger_than_the_image_are_refused(image):
    with pytest.raises(ValueError, match="cells must be 1 to 24 in a 24 x 32 image, got 28"):
        MeaningfulPerturbation()(MaskedScore(image, 2, Linear()))


def test_shifts_lie_around_the_view_of_a_score_with_a_margin(smooth_image, monkeypatch):
    """The clean view of a margin of 8 begins at 4; the shifts of 4 are counted from there."""
    asked, call = [], CachedScore.__call__

    def noted(score, hole, shift=None, *more, **named):
        asked.append(shift)
        return call(score, hole, shift, *more, **named)

    monkeypatch.setattr(CachedScore, "__call__", noted)
    score = MaskedScore(smooth_image(24, 24), 1, curved, Gray(), margin=8)
    MeaningfulPerturbation(4, steps=12, jitters=3, jitter=4)(score)
    shifts = torch.cat([each for each in asked if each is not None])
    assert (int(shifts.min()), int(shifts.max())) == (4, 7)
