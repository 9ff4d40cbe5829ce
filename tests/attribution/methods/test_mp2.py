"""MP2: the exact order on linear classifiers, when it stops, and what it gives back."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from planted import BrightSquare, Linear, Network, square_image
from torch import Tensor

from attribution import MP2, MaskedScore, log_odds, logit, probability
from attribution.methods.mp2 import Greedy
from infill import Gray, Noise, Telea

COLOR = (0.3, 0.6, 0.1)

descent = partial(MP2, rank="descent")


def contributions(weight: Tensor, image: Tensor, cells: int = 8) -> Tensor:
    """What each cell of an image, row by row, adds to a linear score, over what the fill would."""
    each = (weight * (image[0] - torch.tensor(COLOR)[:, None, None])).sum(dim=0)
    height, width = (side // cells for side in each.shape)
    return each.unfold(0, height, height).unfold(1, width, width).sum(dim=(2, 3)).flatten().detach()


def removed(heatmap: Tensor, cells: int = 8) -> list[int]:
    """The cells of a graded heatmap of 24 x 24 pixels in order; the grade of each is that of its middle."""
    middle = 24 // cells // 2
    grades = heatmap[0, middle :: 24 // cells, middle :: 24 // cells].flatten()
    order = grades.argsort(descending=True)[: int((grades > 1e-3).sum())]
    expected = 1 - torch.arange(len(order)) / cells**2
    torch.testing.assert_close(grades[order], expected, rtol=0, atol=1e-6)
    return order.tolist()


def above_chance(image: Tensor, classes: int, seed: int) -> tuple[Linear, int]:
    """A linear classifier and the class that it sees in the image."""
    network = Linear(height=24, width=24, classes=classes, seed=seed)
    return network, int(network(image).argmax())


@pytest.mark.parametrize("added", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_cells_go_in_the_order_of_their_contributions(smooth_image, added, seed):
    image = smooth_image(24, 24)
    network, target = above_chance(image, 2, seed)
    difference = network.weight[target] - network.weight[1 - target]
    gain = contributions(difference, image)
    score = MaskedScore(image, target, network, Gray(COLOR))
    outcome = descent(8, added, graded=True).optimize(score)
    order = removed(outcome.heatmap)
    expected = gain.argsort(descending=True)
    assert order == expected[: len(order)].tolist()
    left = log_odds(network(image), torch.tensor([target])).detach() - gain[expected].cumsum(dim=0)
    needed = int((left <= 0).float().argmax()) + 1
    assert 1 < needed < 32, "the test needs several steps, and must not run into cells that add"
    assert needed <= len(order) < needed + added
    assert len(order) % added == 0
    assert outcome.steps.tolist() == [len(order) // added + 1]
    assert outcome.reached.all()
    curve = torch.cat([score.clean, left[added - 1 : len(order) : added].sigmoid()])
    torch.testing.assert_close(outcome.curves["removed"][0], curve, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_a_logit_falls_in_the_order_of_its_own_contributions(smooth_image, seed):
    image = smooth_image(24, 24)
    network = Linear(height=24, width=24, classes=2, seed=seed)
    target = int(network(image).argmax())
    gain = contributions(network.weight[target], image)
    network.bias.data[target] += gain.clamp_min(0).sum() / 2 - network(image)[0, target].detach()
    score = MaskedScore(image, target, network, Gray(COLOR), link=logit)
    outcome = descent(8, added=1, graded=True).optimize(score)
    order = removed(outcome.heatmap)
    assert len(order) > 3
    assert order == gain.argsort(descending=True)[: len(order)].tolist()
    assert float(outcome.left) <= float(outcome.chance) == 0 < float(outcome.curves["removed"][0, -2])


def test_the_slope_of_a_logit_does_not_see_other_classes(smooth_image):
    image = smooth_image(24, 24)
    network, target = above_chance(image, 3, 0)
    score = MaskedScore(image, target, network, Gray(COLOR))
    outcome = descent(8, added=1, slope="logit", graded=True).optimize(score)
    order = removed(outcome.heatmap)
    own = contributions(network.weight[target], image).argsort(descending=True)
    assert order == own[: len(order)].tolist()
    assert order != removed(descent(8, added=1, graded=True)(score))[: len(order)]
    torch.testing.assert_close(outcome.curves["removed"][:, 0], score.clean)
    assert (outcome.curves["removed"][0, :-1] > score.chance).all(), "when to stop is still up to the score"


def test_the_norm_takes_what_would_raise_the_score_too(smooth_image):
    image = smooth_image(24, 24)
    network, target = above_chance(image, 2, 0)
    gain = contributions(network.weight[target] - network.weight[1 - target], image)
    order = removed(MP2(8, added=1, graded=True)(MaskedScore(image, target, network, Gray(COLOR))))
    assert order == gain.abs().argsort(descending=True)[: len(order)].tolist()
    assert (gain[order] < 0).any()


@pytest.mark.parametrize("blend", [0.3, 0.9])
def test_a_blended_slope_of_a_linear_score_orders_the_cells_alike(smooth_image, blend):
    image = smooth_image(24, 24)
    network, target = above_chance(image, 2, 0)
    score = MaskedScore(image, target, network, Gray(COLOR))
    plain = descent(8, graded=True).optimize(score)
    blended = descent(8, graded=True, blend=blend).optimize(score)
    torch.testing.assert_close(blended.heatmap, plain.heatmap)
    assert descent(8, blend=blend).composites == 2 * descent(8).composites
    torch.testing.assert_close(blended.curves["removed"], plain.curves["removed"])
    everything = score(torch.full((1, 1, 24, 24), blend))
    torch.testing.assert_close(blended.curves["blended"][:, 0], everything)


@pytest.mark.parametrize("blend", [0.3, 0.9])
def test_what_is_blended_is_what_would_take_its_place(blend):
    """However far the rest has faded, the filler is asked about nothing but what is removed."""
    areas = []

    class Asked(Telea):
        def __call__(self, image, hole, generator=None):
            areas.append(float(hole.mean()))
            return super().__call__(image, hole, generator)

    score = MaskedScore(square_image(), 1, BrightSquare(), Asked())
    outcome = descent(10, blend=blend).optimize(score)
    assert outcome.reached.all()
    steps = areas[2 : 2 + 2 * int(outcome.steps)]
    assert steps[::2] == steps[1::2]
    assert max(steps) < 0.5


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_what_is_looked_at_is_binary(upsampling):
    steps, score = [], MaskedScore(square_image(), 1, BrightSquare(), Gray((0.0, 0.0, 0.0)))
    outcome = descent(7, upsampling=upsampling).optimize(score, steps.append)
    assert all(((step.hole == 0) | (step.hole == 1)).all() for step in steps)
    assert torch.equal(steps[-1].hole, outcome.hole)
    torch.testing.assert_close(outcome.curves["removed"][:, -1], outcome.left)
    assert outcome.reached.all()
    assert torch.equal(outcome.heatmap, outcome.hole[:, 0])


def test_nothing_is_removed_at_first_and_two_cells_a_step():
    steps, score = [], MaskedScore(square_image(), 1, BrightSquare(), Gray((0.0, 0.0, 0.0)))
    descent(8).optimize(score, steps.append)
    cells = [round(float(step.hole.mean()) * 64) for step in steps]
    assert cells == [2 * n for n in range(len(steps))]
    assert all((later.hole >= step.hole).all() for step, later in pairwise(steps))
    assert [step.number for step in steps] == list(range(len(steps)))


def test_chance_may_be_another_score():
    score = MaskedScore(square_image(), 1, BrightSquare(), Gray((0.0, 0.0, 0.0)))
    early, late = (descent(20, 1, chance=chance).optimize(score) for chance in (0.8, 0.1))
    assert float(early.left) <= 0.8
    assert float(early.curves["removed"][0, -2]) > 0.8
    assert early.reached.all(), "the class is gone where the method was told that it is"
    assert early.chance.tolist() == pytest.approx([0.8])
    assert float(late.left) <= 0.1
    assert late.steps > early.steps


def test_an_image_below_that_score_is_refused_and_one_below_chance_is_not():
    score = MaskedScore(square_image(), 1, BrightSquare(), Gray((0.0, 0.0, 0.0)))
    with pytest.raises(ValueError, match=r"target must be scored above 0\.9999, got"):
        descent(20, 1, chance=0.9999).optimize(score)
    low = MaskedScore(square_image(), 0, BrightSquare(), Gray((1.0, 1.0, 1.0)))
    assert float(low.clean) < 0.5
    with pytest.raises(ValueError, match="target must be a class above chance"):
        descent(20, 1).optimize(low)
    descent(20, 1, chance=float(low.clean) / 2).optimize(low)


def test_a_probability_of_one_has_an_order_nevertheless(smooth_image):
    """Log-odds are never rounded to 1, where no derivative would be left."""
    image = smooth_image(24, 24)
    network, target = above_chance(image, 2, 0)
    network.weight.data *= 1000
    network.bias.data.zero_()
    score = MaskedScore(image, int(network(image).argmax()), network, Gray(COLOR))
    assert float(score.clean) == 1
    target = int(network(image).argmax())
    gain = contributions(network.weight[target] - network.weight[1 - target], image)
    order = removed(descent(8, added=1, graded=True)(score))
    assert order == gain.argsort(descending=True)[: len(order)].tolist()


@pytest.mark.parametrize("refresh", [1, 3])
def test_with_a_fill_that_keeps_the_class_everything_goes(refresh):
    bright = Telea(empty=(0.9, 0.9, 0.9)) if refresh > 1 else Gray((0.9, 0.9, 0.9))
    score = MaskedScore(0.5 + square_image() / 2, 1, BrightSquare(), bright)
    method = descent(4, added=3, refresh=refresh)
    outcome = method.optimize(score)
    assert not outcome.removable.any()
    assert not outcome.reached.any()
    assert float(outcome.floor) > float(outcome.chance)
    assert torch.equal(outcome.hole, torch.ones(1, 1, 40, 48))
    assert int(outcome.steps) <= method.composites
    if refresh == 1:
        assert int(outcome.steps) == method.composites == 7


@pytest.mark.parametrize("filler", [Gray((0.0, 0.0, 0.0)), Telea()], ids=["gray", "telea"])
def test_pruning_gives_back_what_is_not_needed(filler):
    score = MaskedScore(square_image(), 1, BrightSquare(), filler)
    full = descent(8, added=7).optimize(score)
    pruned = descent(8, added=7, prune=True).optimize(score)
    assert (pruned.hole <= full.hole).all()
    assert pruned.hole.sum() < full.hole.sum()
    assert pruned.reached.all()
    cells = round(float(full.hole.mean()) * 64)
    assert pruned.looks == full.looks + cells
    if filler.per_hole:
        assert pruned.fills == full.fills + cells
    for row in range(0, 40, 5):
        for column in range(0, 48, 6):
            fewer = pruned.hole.clone()
            fewer[..., row : row + 5, column : column + 6] = 0
            assert torch.equal(fewer, pruned.hole) or float(score(fewer)) > float(score.chance)


def test_pruning_keeps_everything_where_the_class_stays():
    score = MaskedScore(square_image(), 1, BrightSquare(), Gray((0.9, 0.9, 0.9)))
    outcome = descent(4, prune=True).optimize(score)
    assert outcome.hole.all()


@pytest.mark.parametrize("filler", [Gray(COLOR), Noise()], ids=["gray", "noise"])
def test_each_image_stops_on_its_own(filler):
    images = torch.cat([square_image(), square_image() * 0.75, square_image(top=4, left=4)])
    score = MaskedScore(images, 1, BrightSquare(), filler)
    outcome = descent(12, added=1).optimize(score)
    assert len(set(outcome.steps.tolist())) > 1
    for i in range(3):
        alone = descent(12, added=1).optimize(score[i])
        assert alone.steps == outcome.steps[i]
        assert torch.equal(alone.hole[0], outcome.hole[i])
        curve = outcome.curves["removed"][i]
        steps = int(outcome.steps[i])
        torch.testing.assert_close(alone.curves["removed"][0], curve[:steps], rtol=0, atol=1e-6)
        assert curve[steps:].isnan().all()
        assert (curve[: steps - 1] > 0.5).all()
        assert curve[steps - 1] <= 0.5


def test_greedy_takes_the_steepest_descent_that_is_left():
    grades = torch.tensor([[[[0.0, 1.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
    greedy = Greedy([grades], 2, "descent")
    grades.grad = torch.tensor([[[[0.5, -9.0], [-1.0, -0.5]]], [[[3.0, 2.0], [1.0, -0.1]]]])
    greedy.step()
    assert grades.tolist() == [[[[0.0, 1.0], [0.75, 0.5]]], [[[0.0, 0.0], [0.75, 1.0]]]]
    greedy.step()
    greedy.step()
    assert grades.tolist() == [[[[0.25, 1.0], [0.75, 0.5]]], [[[0.25, 0.5], [0.75, 1.0]]]]


def test_greedy_may_go_by_the_norm():
    grades = torch.zeros(1, 1, 2, 2)
    grades.grad = torch.tensor([[[[0.5, -3.0], [4.0, 0.0]]]])
    Greedy([grades], 2, "norm").step()
    assert grades.tolist() == [[[[0.0, 0.75], [1.0, 0.0]]]]


@pytest.mark.parametrize("link", [probability, log_odds])
def test_a_probability_and_its_log_odds_are_removed_alike(image, link):
    network = Network()
    target = int(network.eval()(image).argmax())
    score = MaskedScore(image, target, network, Gray(), link=link)
    outcome = descent(8).optimize(score)
    assert torch.equal(outcome.hole, descent(8)(replace(score, link=probability))[:, None])
    torch.testing.assert_close(outcome.curves["removed"][:, 0], score.clean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 0}, "cells must be at least 1, got 0"),
        ({"added": 0}, "added must be at least 1, got 0"),
        ({"refresh": 0}, "refresh must be at least 1, got 0"),
        ({"rank": "ascent"}, "rank must be one of .*, got 'ascent'"),
        ({"slope": "hole"}, "slope must be one of .*, got 'hole'"),
        ({"blend": 1.0}, r"blend must be in \[0, 1\), got 1"),
        ({"blend": -0.1}, r"blend must be in \[0, 1\), got -0\.1"),
        ({"upsampling": "bicubic"}, "upsampling must be one of .*, got 'bicubic'"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_parameters_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        MP2(**change)


def test_cells_larger_than_the_image_are_refused(image):
    with pytest.raises(ValueError, match="cells must be 1 to 24 in a 24 x 32 image, got 28"):
        MP2()(MaskedScore(image, 2, Linear()))
