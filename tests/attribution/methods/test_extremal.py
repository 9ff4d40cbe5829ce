"""Extremal perturbation: the area to the pixel, plain loops, and what is refused."""

import pytest
import torch
import torch.nn.functional as F
from planted import BrightSquare, Linear, square_image
from torch import Tensor

from attribution import ExtremalPerturbation, MaskedScore, log_odds
from attribution.methods.extremal import largest
from attribution.optimize.bumps import MarginBumps, smooth_maximum
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


def published(image: Tensor, network, variant: str, steps: int) -> Tensor:
    """The published code's loop: activations, flips, a map with a margin, everything but the blur."""
    size, sigma, step = (24, 32), 8.0, 4
    bumps = torch.ones(1, 1, 6, 8, requires_grad=True)
    speed, weight = torch.zeros_like(bumps), 300.0
    whole = MarginBumps(size, step, sigma)
    for number in range(steps):
        larger = whole(bumps)
        evidence = larger[:, :, 8 : 8 + 24, 8 : 8 + 32]
        values = larger.flatten()
        # What is alike is sorted as ours is: sorting leaves that open, and all tops are alike.
        ties = 1e-5 * torch.rand(len(values), generator=torch.Generator().manual_seed(0))
        values = values[(values.detach() + ties).argsort()]
        ideal = torch.ones_like(values)
        ideal[: round(len(values) * 0.8)] = 0
        shown = {"kept": evidence * image, "left": (1 - evidence) * image}
        if number % 2 == 0:
            shown = {name: each.flip(3) for name, each in shown.items()}
        kept, left = (network(shown[name])[0, 2] for name in ("kept", "left"))
        reward = {"preserve": kept, "delete": -left, "dual": kept - left}[variant]
        loss = weight * (values - ideal).square().mean() - reward
        gradient = torch.autograd.grad(loss, bumps)[0]
        speed = gradient if number == 0 else 0.9 * speed + 0.1 * gradient
        bumps = (bumps.detach() - 0.01 * speed).clamp(0, 1).requires_grad_()
        weight *= 16.4 ** (1 / (steps - 1))
    return whole(bumps.detach())[:, 0, 8 : 8 + 24, 8 : 8 + 32]


@pytest.mark.parametrize("variant", ["preserve", "delete", "dual"])
def test_the_published_codes_conventions(image, variant):
    network = Linear().requires_grad_(False)
    network.weight.mul_(8)
    network.bias[2] += 3
    expected = published(image, network, variant, 20)
    settings = {"followed": "activation", "border": "margin", "mirrored": True}
    method = ExtremalPerturbation(0.2, variant, step=4, sigma=8.0, steps=20, **settings)
    outcome = method.optimize(MaskedScore(image, 2, network, BLACK))
    torch.testing.assert_close(outcome.heatmap, expected, rtol=0, atol=1e-3)
    assert expected.std() > 0.05, "it must have gone somewhere"
    for curve in outcome.curves.values():
        assert 0 <= curve.min() <= curve.max() <= 1, "curves show probabilities, not activations"
    for name, other in (("followed", "odds"), ("border", "continued"), ("mirrored", False)):
        changed = ExtremalPerturbation(0.2, variant, step=4, sigma=8.0, steps=20, **{**settings, name: other})
        assert (changed(MaskedScore(image, 2, network, BLACK)) - expected).abs().max() > 1e-3, name


def test_with_a_margin_the_area_is_a_share_of_the_larger_map():
    method = ExtremalPerturbation(0.05, step=4, sigma=4.0, steps=60, lr=0.03, border="margin")
    outcome = method.optimize(square_score())
    whole = MarginBumps((40, 48), 4, 4.0)
    cells = whole(torch.ones(1, 1, 10, 12)).numel()
    assert outcome.hole.sum() <= round(0.05 * cells) + 1e-6
    assert outcome.hole[0, 0][SQUARE].mean() > 0.75
    assert outcome.heatmap.shape == (1, 40, 48)


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
        ({"followed": "logit"}, "followed must be one of .*, got 'logit'"),
        ({"border": "none"}, "border must be one of .*, got 'none'"),
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
