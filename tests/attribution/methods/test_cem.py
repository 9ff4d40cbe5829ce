"""CEM: closed forms on a linear classifier, what is told of the class, units, and what is refused."""

from dataclasses import replace

import pytest
import torch
from planted import Linear
from torch import Tensor

from attribution import (
    Against,
    Execution,
    MaskedScore,
    Outcome,
    PertinentNegative,
    PertinentPositive,
    Sampling,
    Value,
    log_odds,
    logit,
    sigmoid,
)
from infill import Gray, Noise

COLOR = (0.3, 0.6, 0.1)
SPARSITY = 0.3
SETTINGS = {
    "cells": None,
    "sparsity": SPARSITY,
    "searches": 9,
    "steps": 40,
    "lr": 0.1,
    "shrinkage": "scaled",
}
POSITIVE, NEGATIVE = PertinentPositive(**SETTINGS), PertinentNegative(**SETTINGS)
FEW = {"cells": 4, "searches": 2, "steps": 4, "lr": 0.1}

both_methods = pytest.mark.parametrize("method", [POSITIVE, NEGATIVE], ids=["positive", "negative"])


@pytest.fixture
def linear(smooth_image) -> tuple[Tensor, Linear, Tensor]:
    """An image, a classifier that sees 1 in it and 0 in gray, and what each pixel adds to the margin."""
    image, network = smooth_image(8, 8), Linear(height=8, width=8, classes=2, seed=1).requires_grad_(False)
    seen = image[0] - torch.tensor(COLOR)[:, None, None]
    network.weight.data *= 8
    network.weight.data[1] += 0.5 * seen.sign()
    gains = ((network.weight[1] - network.weight[0]) * seen).sum(dim=0).detach()
    network.bias.data = network.bias.data * 0
    between = network(image)[0].detach() @ torch.tensor([-1.0, 1.0]) - gains.sum() / 2
    network.bias.data = torch.tensor([float(between), 0.0])
    return image, network, gains


def least(gains: Tensor, needed: float) -> Tensor:
    """The evidence of the least elastic net that is worth as much as is needed, from its multiplier."""
    low, high = 0.0, 1e4
    for _ in range(100):
        multiplier = (low + high) / 2
        evidence = ((multiplier * gains - SPARSITY) / 2).clamp(0, 1)
        low, high = (low, multiplier) if (evidence * gains).sum() >= needed else (multiplier, high)
    return evidence


@both_methods
def test_the_least_evidence_of_a_linear_classifier_is_found(linear, method):
    """It is sufficient, or necessary, by construction; and a little less of it is not."""
    image, network, gains = linear
    score = MaskedScore(image, 1, network, Gray(COLOR))
    outcome = method.optimize(score)
    assert_the_hole_is_the_largest_evidence_that_is_enough(outcome, gains)
    needed = float(gains.sum()) / 2  # the margin is that much above 0, and as much below it in gray
    expected, found = least(gains, needed), outcome.heatmap[0]
    assert 5 < int((expected > 0).sum()) < 50
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)
    assert 0 <= float((found * gains).sum()) - needed < 0.02 * needed

    def seen(evidence: Tensor) -> int:
        hole = (1 - evidence if method is POSITIVE else evidence)[None, None]
        return int(score.logits(hole)[0].argmax())

    assert (seen(found), seen(0.97 * found)) == ((1, 0) if method is POSITIVE else (0, 1))
    assert outcome.heatmap.amax() > outcome.heatmap.amin()


def assert_the_hole_is_the_largest_evidence_that_is_enough(outcome: Outcome, gains: Tensor) -> None:
    hole, evidence = outcome.hole[0, 0] > 0, outcome.heatmap[0]
    assert float((gains * hole).sum()) >= float(gains.sum()) / 2
    assert evidence[hole].min() >= evidence[~hole].max()
    assert int(hole.sum()) < int((evidence > 0).sum())
    if outcome.enough is None:
        assert outcome.changed.tolist() == outcome.reached.tolist() == [True]
        assert float(outcome.left) < 0.5
    else:
        assert (outcome.enough.tolist(), outcome.changed) == ([True], None)
        assert float(outcome.kept) > 0.5
    assert int(outcome.steps) == 9 * 40
    assert 9 * 40 < int(outcome.looks) < 9 * 40 + 20


def test_a_tie_is_not_seen_as_the_class():
    """With everything black a network without biases finds all classes alike: that is no positive."""
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    network = Linear(height=16, width=16, classes=4, seed=2).requires_grad_(False)
    network.bias.data = torch.zeros(4)
    score = MaskedScore(image, network(image).argmax(1), network, Gray((0.0, 0.0, 0.0)))
    outcome = PertinentPositive(cells=4, steps=1, searches=1, lr=1e-6).optimize(score)
    assert not outcome.hole.any()
    assert float(outcome.kept) == 0.25, "chance"
    assert not outcome.enough.any()


def test_gray_that_is_the_class_already_needs_no_evidence(linear):
    image, network, _ = linear
    network.bias.data = torch.tensor([-100.0, 0.0])
    outcome = replace(POSITIVE, searches=1).optimize(MaskedScore(image, 1, network, Gray(COLOR)))
    assert not outcome.heatmap.any()
    assert outcome.enough.all()
    mean = replace(POSITIVE, start="everything", found="mean", searches=1).optimize(
        MaskedScore(image, 1, network, Gray(COLOR))
    )
    assert (bool(mean.heatmap.any()), bool(mean.hole.any()), mean.enough.tolist()) == (True, False, [True])
    outcome = replace(NEGATIVE, searches=2).optimize(MaskedScore(image, 1, network, Gray(COLOR)))
    assert outcome.changed.tolist() == outcome.reached.tolist() == [False]
    assert (outcome.heatmap[0].amax(), outcome.removable.all()) == (1, False), "it came as near as it could"


@both_methods
def test_a_mean_of_the_search_ranks_cells_by_what_they_add(linear, method):
    """With something to go for at every step, cells move as far as their slopes are steep."""
    image, network, gains = linear
    steps, method = [], replace(method, found="mean", reserve=1000.0, searches=2, steps=8, weight=1.0)
    outcome = method.optimize(MaskedScore(image, 1, network, Gray(COLOR)), steps.append)
    holes = torch.cat([step.hole[:, 0] for step in steps])
    assert len(holes) == 16
    sought = 1 - holes if method.__class__ is PertinentPositive else holes
    torch.testing.assert_close(outcome.heatmap[0], sought.mean(dim=0))
    assert (outcome.heatmap.flatten()[gains.flatten().argsort()].diff() >= -1e-6).all()
    assert len(outcome.heatmap.unique()) > 10
    hole = outcome.hole[0, 0] > 0
    assert gains[hole].min() >= gains[~hole].max()
    assert (outcome.changed if outcome.enough is None else outcome.enough).all()


def test_all_of_the_image_is_no_part_of_it(linear):
    """A class that any change takes away has no positive, though the whole image is seen as that."""
    image, _, _ = linear

    def exacting(images: Tensor) -> Tensor:
        far = (images - image).abs().amax(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(far), 1 - 100 * far], dim=1)

    method = replace(POSITIVE, start="everything", found="mean", searches=1, steps=4)
    outcome = method.optimize(MaskedScore(image, 1, exacting, Gray(COLOR)))
    assert (bool(outcome.hole.all()), outcome.enough.tolist()) == (True, [False])


def test_another_class_need_not_be_at_chance(linear):
    """One of many classes is gone at 1 / classes; changed it is as soon as another one is more likely."""
    image, network, _ = linear
    network.weight.data = torch.cat([network.weight.data, torch.zeros(6, 3, 8, 8)])
    network.bias.data = torch.cat([network.bias.data, torch.full((6,), -20.0)])
    outcome = replace(NEGATIVE, searches=4, steps=15).optimize(MaskedScore(image, 1, network, Gray(COLOR)))
    assert outcome.reached.all()
    assert float(outcome.left) > float(outcome.chance)


@both_methods
@pytest.mark.parametrize("link", [Against(0), Value(odds=True), Value(), sigmoid, log_odds])
def test_other_scores_have_margins_of_their_own(linear, method, link):
    image, network, _ = linear
    lowest = float(network(torch.tensor(COLOR)[None, :, None, None].expand(1, 3, 8, 8))[0, 1])
    network.bias.data[1] -= (
        float(network(image)[0, 1]) + lowest
    ) / 2  # class 1 by itself is between them, too
    network.bias.data[0] = -float(network(image)[0, 0]) + network.bias.data[0]
    score = MaskedScore(image, 1, network, Gray(COLOR), link=link)
    outcome = replace(method, searches=4, steps=15).optimize(score)
    answer = outcome.enough if method is POSITIVE else outcome.changed
    assert answer.all()
    if method is NEGATIVE and link is not log_odds:
        assert float(outcome.left) <= float(outcome.chance)
    if method is POSITIVE and link is not log_odds:
        assert float(outcome.kept) >= float(outcome.chance)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_curves_are_in_the_scores_own_units(images, batch_size):
    """Though margins are followed; also where a gradient is taken in batches."""
    network, steps = Linear(classes=4, seed=2), []
    network.weight.data *= 5
    seen = network(images[:2]).argmax(dim=1)
    sampling = Sampling(samples=3)
    score = MaskedScore(
        images[:2], seen, network, Noise(), execution=Execution(batch_size), sampling=sampling
    )
    PertinentPositive(**FEW, outlook="none").optimize(score, steps.append)
    first = [step for step in steps if step.number == 0]
    found = torch.cat([step.scores for step in first])
    expected = [one(first[0].hole[:1], generator=sampling.generator()) for one in score]
    torch.testing.assert_close(found, torch.cat(expected))


def test_a_class_that_is_not_seen_is_refused(linear):
    """Though it may be above chance."""
    image, network, _ = linear
    network.weight.data = torch.cat([network.weight.data] + 3 * [network.weight.data[:1] - 50])
    network.bias.data = torch.tensor([0.0, 0.0, -9.0, -9.0, -9.0])
    network.bias.data[0] = (network(image)[0, 1] - network(image)[0, 0]) - 1
    with pytest.raises(
        ValueError, match=r"target must be the class that the classifier sees first, got '0.2"
    ):
        POSITIVE.optimize(MaskedScore(image, 0, network, Gray(COLOR)))
    rule = r"target must be more likely than the class it is compared with \(log-odds above 0\), got -1 of"
    with pytest.raises(ValueError, match=rule):
        POSITIVE.optimize(MaskedScore(image, 0, network, Gray(COLOR), link=Against(1)))
    with pytest.raises(ValueError, match="cells must be 1 to 8 in a 8 x 8 image, got 28"):
        PertinentNegative().optimize(MaskedScore(image, 1, network, Gray(COLOR)))


def test_derivatives_that_are_no_numbers_are_the_classifiers(linear):
    image, network, _ = linear

    def broken(images: Tensor) -> Tensor:
        return network(images) + (images - images.detach()).abs().sqrt().sum(dim=(1, 2, 3))[:, None]

    method = PertinentNegative(**FEW)
    with pytest.raises(ValueError, match="classifier must be one whose derivatives are finite"):
        method(MaskedScore(image, 1, broken, Gray(COLOR)))


def test_a_single_logit_has_its_margin_to_zero(linear):
    image, network, _ = linear

    def margin_alone(images: Tensor) -> Tensor:
        logits = network(images)
        return logits[:, 1:] - logits[:, :1]

    found = [POSITIVE(MaskedScore(image, 0, margin_alone, Gray(COLOR), link)) for link in (logit, sigmoid)]
    torch.testing.assert_close(*found)
    assert float(found[0].max()) > 0
