"""FIDO: relaxed coins, both regions, a plain loop beside it, and what is refused."""

import pytest
import torch
import torch.nn.functional as F
from planted import BrightSquare, Linear, flat, square_image
from torch import Tensor

from attribution import Execution, Fido, MaskedScore, log_odds, probability
from attribution.methods.fido import concrete
from infill import Gray, Telea

SQUARE = torch.zeros(40, 48, dtype=torch.bool)
SQUARE[20:28, 30:38] = True
BLACK = Gray((0.0, 0.0, 0.0))


def draws(count: int) -> Tensor:
    return torch.rand(count, 1, 1, 5, generator=torch.Generator().manual_seed(0))


def test_cold_coins_are_bernoulli():
    logits = torch.tensor([-2.0, -0.5, 0.0, 1.0, 3.0]).view(1, 1, 5)
    coins = concrete(logits, draws(20_000), 1e-3)
    assert ((coins < 0.01) | (coins > 0.99)).float().mean() > 0.99
    torch.testing.assert_close(coins.mean(dim=0), logits.sigmoid(), rtol=0, atol=0.015)


def test_coins_of_any_temperature_fall_on_the_side_of_their_draw():
    """The median of a relaxed coin is on the side of its logit, for every temperature."""
    logits, uniform = torch.tensor([-2.0, -0.5, 0.0, 1.0, 3.0]).view(1, 1, 5), draws(1000)
    for temperature in (0.1, 1.0, 10.0):
        coins = concrete(logits, uniform, temperature)
        sure = (uniform - (1 - logits.sigmoid())).abs() > 1e-3
        assert torch.equal((coins > 0.5)[sure], (uniform > 1 - logits.sigmoid())[sure])
    soft, hard = (concrete(logits, uniform, temperature) for temperature in (1.0, 0.1))
    assert ((hard - 0.5).abs() >= (soft - 0.5).abs() - 1e-6).all()


def test_extreme_draws_stay_finite():
    uniform = torch.tensor([0.0, 1.0]).view(1, 1, 2)
    logits = torch.zeros(1, 1, 2, requires_grad=True)
    coins = concrete(logits, uniform, 0.1)
    coins.sum().backward()
    assert coins.isfinite().all()
    assert logits.grad.isfinite().all()


def plainly(image: Tensor, chances, region: str, steps: int, penalty: float, warmup: int = 0) -> Tensor:
    """The evidence of one 24 x 32 image in 8 x 8 cells, filled with black; coins for every pixel."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.zeros(1, 1, 8, 8, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.05)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 0.05 * (1 - step / steps)
        dropped = F.interpolate(logits.sigmoid(), (24, 32), mode="bilinear", align_corners=False)
        weight = penalty if step >= warmup else penalty * step / warmup
        loss = weight * (1 - dropped if region == "ssr" else dropped).sum()
        noise = torch.rand(4, 1, 24, 32, generator=generator)
        holes = ((dropped / (1 - dropped)).log() + (noise / (1 - noise)).log()).div(0.1).sigmoid()
        odds = log_odds(chances((1 - holes) * image), torch.full((4,), 2)).mean()
        loss = loss + (-odds if region == "ssr" else odds)
        adam.zero_grad()
        loss.backward()
        adam.step()
    dropped = F.interpolate(logits.detach().sigmoid(), (24, 32), mode="bilinear", align_corners=False)[:, 0]
    return 1 - dropped if region == "ssr" else dropped


@pytest.mark.parametrize("warmup", [0, 10, 40])
@pytest.mark.parametrize("region", ["ssr", "sdr"])
def test_a_plain_loop_finds_the_same(image, region, warmup):
    network = Linear().requires_grad_(False)
    network.weight.mul_(4)
    expected = plainly(image, network, region, 25, 1e-2, warmup)
    method = Fido(region, cells=8, steps=25, samples=4, penalty=1e-2, warmup=warmup)
    heatmap = method(MaskedScore(image, 2, network, BLACK))
    torch.testing.assert_close(heatmap, expected, rtol=0, atol=1e-3)
    assert heatmap.std() > 0.05, "it must have gone somewhere"


@pytest.mark.parametrize("filler", [BLACK, Telea()], ids=["black", "telea"])
def test_both_regions_find_a_planted_square(filler):
    score = MaskedScore(square_image(), 1, BrightSquare(), filler)
    outcomes = [
        Fido(region, cells=12, steps=25, samples=4, lr=0.2).optimize(score) for region in ("ssr", "sdr")
    ]
    for outcome in outcomes:
        top, left = divmod(int(outcome.heatmap[0].argmax()), 48)
        assert SQUARE[top, left]
        assert outcome.reached.all()
        assert float(outcome.kept) > float(outcome.chance)
    kept, dropped = (outcome.hole[0, 0] > 0 for outcome in outcomes)
    assert (kept & dropped).sum() > 0.5 * (kept | dropped).sum()


@pytest.mark.parametrize("penalized", ["coarse", "full"])
@pytest.mark.parametrize("region", ["ssr", "sdr"])
def test_evidence_is_paid_for(image, region, penalized):
    method = Fido(region, cells=6, steps=30, samples=1, lr=0.5, warmup=5, penalized=penalized)
    heatmap = method(MaskedScore(image, 1, flat))
    assert float(heatmap.max()) < 0.05


def test_the_penalty_is_warmed_up(image):
    """The classifier is blind: only the penalty moves anything, and in the first step it is 0."""
    score = MaskedScore(image, 1, flat)
    first, second, cold = (
        Fido(cells=6, steps=steps, samples=1, warmup=warmup)(score).mean()
        for steps, warmup in ((1, 30), (2, 30), (1, 0))
    )
    assert float(first) == pytest.approx(0.5)
    assert float(second) < 0.5
    assert float(cold) < 0.5


@pytest.mark.parametrize("drawn", ["coarse", "full"])
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_coins_are_thrown_where_they_are_asked_for(images, drawn, upsampling):
    steps, score = [], MaskedScore(images, 1, flat, BLACK)
    method = Fido(cells=8, steps=2, samples=3, drawn=drawn, upsampling=upsampling, temperature=1e-3)
    method.optimize(score, steps.append)
    hole = steps[0].hole
    assert torch.equal(hole[0], hole[1]), "the same draws for every image"
    cells = F.interpolate(F.interpolate(hole, (8, 8), mode="nearest"), (24, 32), mode="nearest")
    assert torch.equal(hole, cells) == (drawn == "coarse" and upsampling == "nearest")
    binary = ((hole < 1e-3) | (hole > 1 - 1e-3)).float().mean()
    assert (binary > 0.97) == (drawn == "full" or upsampling == "nearest")
    assert 0.3 < float(hole.mean()) < 0.7


def test_a_probability_may_be_followed_as_it_is(image):
    network = Linear()
    score = MaskedScore(image, 2, network, BLACK)
    odds, chances = (
        Fido(cells=8, steps=5, samples=2, odds=odds, penalty=0.0).optimize(score) for odds in (True, False)
    )
    assert not torch.allclose(odds.heatmap, chances.heatmap)
    for outcome in (odds, chances):
        assert ((outcome.curves["kept"] > 0) & (outcome.curves["kept"] < 1)).all()
    # The mean of log-odds is nearly that of probabilities, where these are close together.
    torch.testing.assert_close(odds.curves["kept"][0, 0], chances.curves["kept"][0, 0], rtol=0, atol=0.01)
    assert score.link is probability


def test_holes_follow_the_seed(image):
    score = MaskedScore(image, 2, Linear(), BLACK)
    heatmaps = [Fido(cells=8, steps=3, samples=2, seed=seed)(score) for seed in (0, 0, 1)]
    assert torch.equal(heatmaps[0], heatmaps[1])
    assert not torch.equal(heatmaps[0], heatmaps[2])


def test_composites_are_counted(images):
    method = Fido("sdr", cells=8, steps=5, samples=4)
    outcome = method.optimize(
        MaskedScore(images, 2, lambda some: Linear()(some), Telea(), execution=Execution(batch_size=6))
    )
    assert method.composites == 20
    assert outcome.looks.tolist() == [20 + 3] * 3
    assert outcome.fills.tolist() == [2 + 20 + 3] * 3
    assert outcome.curves["removed"].shape == (3, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region": "both"}, "region must be one of .*ssr.*, got 'both'"),
        ({"cells": 0}, "cells must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0"),
        ({"temperature": 0.0}, "temperature must be positive, got 0"),
        ({"penalty": -1.0}, "penalty must be at least 0, got -1"),
        ({"warmup": -1}, "warmup must be at least 0, got -1"),
        ({"penalized": "fine"}, "penalized must be one of .*, got 'fine'"),
        ({"drawn": "fine"}, "drawn must be one of .*, got 'fine'"),
        ({"upsampling": "bicubic"}, "upsampling must be one of .*, got 'bicubic'"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_parameters_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Fido(**change)


def test_cells_larger_than_the_image_are_refused(image):
    with pytest.raises(ValueError, match="cells must be 1 to 24 in a 24 x 32 image, got 56"):
        Fido()(MaskedScore(image, 2, Linear()))
