"""Extremal perturbation: the area to the pixel, the smooth maximum, a plain loop, and what is refused."""

import pytest
import torch
import torch.nn.functional as F
from planted import BrightSquare, Linear, square_image
from torch import Tensor

from attribution import ExtremalPerturbation, MaskedScore, log_odds
from attribution.methods.extremal import largest, smooth_maximum
from infill import Gray, Telea

SQUARE = torch.zeros(40, 48, dtype=torch.bool)
SQUARE[20:28, 30:38] = True
BLACK = Gray((0.0, 0.0, 0.0))


def square_score(**settings) -> MaskedScore:
    return MaskedScore(square_image(), 1, BrightSquare(), settings.pop("filler", BLACK), **settings)


@pytest.mark.parametrize(
    ("variant", "area"),
    [("preserve", 0.05), ("preserve", 0.1), ("preserve", 0.3), ("delete", 0.05), ("dual", 0.1)],
)
def test_the_evidence_has_the_area_that_was_asked_for(variant, area):
    method = ExtremalPerturbation(area, variant, step=4, sigma=4.0, steps=60, lr=0.03)
    outcome = method.optimize(square_score())
    assert float(outcome.hole.mean()) == pytest.approx(area, abs=0.01)
    assert float(outcome.heatmap.mean()) == pytest.approx(area, abs=0.01)
    assert set(outcome.hole.unique().tolist()) == {0.0, 1.0}
    assert outcome.heatmap.min() >= 0
    assert outcome.heatmap.max() <= 1
    top, left = divmod(int(outcome.heatmap[0].argmax()), 48)
    assert SQUARE[top, left]
    inside = float(outcome.hole[0, 0][SQUARE].mean())
    assert inside > 0.75, "a square of 3 % has room in every one of these areas"
    assert outcome.reached.all()
    assert float(outcome.kept) > 0.9


@pytest.mark.parametrize(("share", "count"), [(0.05, 24), (0.5, 240), (0.999, 480), (1e-6, 1)])
def test_the_largest_are_counted_to_the_pixel(share, count):
    evidence = torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(0))
    hole = largest(evidence, share)
    assert hole.sum(dim=(1, 2, 3)).tolist() == [count, count]
    for one, binary in zip(evidence, hole, strict=True):
        if count < 480:
            assert one[binary > 0].min() > one[binary == 0].max()
    assert largest(torch.ones(1, 1, 20, 24), share).sum() == count


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


def plainly(image: Tensor, chances, variant: str, steps: int) -> Tensor:
    bumps = torch.ones(1, 1, 6, 8, requires_grad=True)
    speed = torch.zeros_like(bumps)
    order = 1e-5 * torch.rand(24 * 32, generator=torch.Generator().manual_seed(0))
    ideal = (torch.arange(768) >= round(768 * 0.8)).float()
    for step in range(steps):
        evidence = smooth_maximum(bumps, (24, 32), 2.0)
        values = evidence.flatten()
        ranked = values[(values.detach() + order).argsort()]
        loss = 300 * 16.4 ** (step / (steps - 1)) * (ranked - ideal).square().mean()
        kept = log_odds(chances(evidence * image), torch.tensor([2])).sum()
        left = log_odds(chances((1 - evidence) * image), torch.tensor([2])).sum()
        loss = loss + {"preserve": -kept, "delete": left, "dual": left - kept}[variant]
        gradient = torch.autograd.grad(loss, bumps)[0]
        speed = gradient if step == 0 else 0.9 * speed + 0.1 * gradient
        bumps = (bumps.detach() - 0.01 * speed).clamp(0, 1).requires_grad_()
    return smooth_maximum(bumps.detach(), (24, 32), 2.0)[:, 0]


@pytest.mark.parametrize("variant", ["preserve", "delete", "dual"])
def test_a_plain_loop_finds_the_same(image, variant):
    network = Linear().requires_grad_(False)
    network.weight.mul_(8)
    network.bias[2] += 3
    expected = plainly(image, network, variant, 20)
    method = ExtremalPerturbation(0.2, variant, step=4, sigma=8.0, steps=20)
    heatmap = method(MaskedScore(image, 2, network, BLACK))
    torch.testing.assert_close(heatmap, expected, rtol=0, atol=1e-3)
    assert heatmap.std() > 0.05, "it must have gone somewhere"


@pytest.mark.parametrize("variant", ["preserve", "delete", "dual"])
def test_a_filler_that_depends_on_the_hole_will_do(variant):
    score = square_score(filler=Telea())
    outcome = ExtremalPerturbation(0.05, variant, step=2, sigma=6.0, steps=60, lr=0.03).optimize(score)
    assert float(outcome.left) < 0.1
    assert outcome.hole[0, 0][SQUARE].mean() > 0.75


def test_what_is_looked_at_has_a_name():
    score = square_score()
    for variant, names in (("preserve", ["kept"]), ("delete", ["removed"]), ("dual", ["removed", "kept"])):
        method = ExtremalPerturbation(0.1, variant, step=4, sigma=8.0, steps=4)
        outcome = method.optimize(score)
        assert list(outcome.curves) == names
        assert method.composites == 4 * len(names)
        assert outcome.looks.tolist() == [4 * len(names) + 3]
        for name in names:
            expected = score.clean if name == "kept" else outcome.floor
            torch.testing.assert_close(outcome.curves[name][:, 0], expected, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"area": 0.0}, "area must be between 0 and 1, got 0"),
        ({"area": 1.0}, "area must be between 0 and 1, got 1"),
        ({"area": -0.5}, r"area must be between 0 and 1, got -0\.5"),
        ({"variant": "both"}, "variant must be one of .*, got 'both'"),
        ({"step": 0}, "step must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"refresh": 0}, "refresh must be at least 1, got 0"),
        ({"sigma": 0.0}, "sigma must be positive, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0"),
        ({"weight": 0.0}, "weight must be positive, got 0"),
        ({"growth": 0.0}, "growth must be positive, got 0"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_parameters_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        ExtremalPerturbation(**change)


def test_cells_larger_than_the_image_are_refused(image):
    with pytest.raises(ValueError, match="step must be at most the image's 24 px, got 25"):
        ExtremalPerturbation(step=25)(MaskedScore(image, 2, Linear()))


def test_bumps_lie_on_a_grid_of_their_own(image):
    """A side that is no multiple of the step has one cell more."""
    assert 32 % 7 != 0
    outcome = ExtremalPerturbation(steps=2, step=7).optimize(MaskedScore(image, 2, Linear()))
    assert outcome.heatmap.shape == (1, 24, 32)
    assert F.interpolate(outcome.hole, (24, 32)).sum() == round(0.1 * 768)
