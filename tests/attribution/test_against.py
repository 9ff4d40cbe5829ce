"""Why one class rather than another: the link, and what methods make of it."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import BLACK, Linear
from torch import Tensor, nn

from attribution import (
    DSSR,
    MP2,
    SDR,
    Against,
    ExtremalPerturbation,
    Fido,
    MaskedScore,
    MeaningfulPerturbation,
    PredictionDifference,
    Rise,
    SlidingPatch,
    Value,
    log_odds,
    logit,
    probability,
    sigmoid,
)
from attribution.engine.link import activation
from attribution.optimize.problem import UNTOUCHED, as_log_odds, as_probability
from infill import Gray, Noise


class TwoSquares(nn.Module):
    """Class 0 is seen in the left half, class 1 in the right, by how bright 8 x 8 pixels are there."""

    def forward(self, images: Tensor) -> Tensor:
        mean = F.avg_pool2d(images.mean(dim=1, keepdim=True), 8, stride=1)
        left, right = mean[..., : mean.shape[3] // 2], mean[..., mean.shape[3] // 2 :]
        logits = [10 * half.amax(dim=(1, 2, 3)) for half in (left, right)]
        return torch.stack([*logits, 0 * logits[0]], dim=1)


LEFT, RIGHT = (slice(8, 16), slice(4, 12)), (slice(8, 16), slice(32, 40))


@pytest.fixture
def two() -> Tensor:
    """A dark image with a bright square on the left, and a less bright one on the right."""
    image = 0.1 * torch.rand(1, 3, 24, 48, generator=torch.Generator().manual_seed(0))
    image[0, :, *LEFT], image[0, :, *RIGHT] = 0.95, 0.35
    return image


@settings(max_examples=50)
@given(
    logits=st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=4),
    target=st.integers(0, 2),
    other=st.integers(0, 2),
)
def test_the_link_is_the_difference_of_logits(logits, target, other):
    rows, targets = torch.tensor(logits), torch.full((len(logits),), target)
    if target == other:
        with pytest.raises(ValueError, match=f"other must be another class than the target, got {other}"):
            Against(other)(rows, targets)
        return
    score = Against(other)(rows, targets)
    assert torch.equal(score, rows[:, target] - rows[:, other])
    likely = rows.double().softmax(1)
    share = likely[:, target] / (likely[:, target] + likely[:, other])
    torch.testing.assert_close(Against(other).probability(rows, targets).double(), share, rtol=0, atol=1e-6)
    pair, first = rows[:, [target, other]], torch.zeros_like(targets)
    torch.testing.assert_close(Against(1)(pair, first), log_odds(pair, first))


@pytest.mark.parametrize("link", [Against(7), Against(3)])
def test_a_class_that_there_is_not_is_refused(image, link):
    with pytest.raises(ValueError, match=f"other must be below the 3 classes, got {link.other}"):
        _ = MaskedScore(image, 0, Linear(), BLACK, link=link).clean


def test_a_negative_class_is_refused():
    with pytest.raises(ValueError, match="other must be at least 0, got -1"):
        Against(-1)


def test_chance_is_where_both_are_as_likely(image):
    score = MaskedScore(image, 0, Linear(), BLACK, link=Against(2))
    assert torch.equal(score.chance, torch.zeros(1))
    logits = score.clean_logits
    assert torch.equal(score.clean, logits[:, 0] - logits[:, 2])


def test_a_comparison_is_followed_by_both_logits():
    logits = torch.randn(2, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    target = torch.tensor([0, 3])
    link = Against(2)
    assert activation(link) is link
    (slope,) = torch.autograd.grad(activation(probability)(logits, target).sum(), logits)
    assert torch.equal(slope, F.one_hot(target, 4).float())
    (slope,) = torch.autograd.grad(activation(link)(logits, target).sum(), logits)
    assert torch.equal(slope, F.one_hot(target, 4).float() - F.one_hot(torch.tensor([2, 2]), 4))


def test_sliding_patches_tell_both_sides(two):
    """Where the patch covers one square alone, the drop is what that square is worth."""
    score = MaskedScore(two, 0, TwoSquares(), BLACK, link=Against(1))
    heatmap = SlidingPatch(8, 4)(score)[0]
    hole = torch.zeros(2, 1, 24, 48)
    hole[0, 0, *LEFT], hole[1, 0, *RIGHT] = 1, 1
    fall = score.clean - score(hole)
    assert fall[0] > 0 > fall[1]
    assert heatmap[LEFT].amax() == heatmap.amax()
    assert heatmap[RIGHT].amin() == heatmap.amin()
    torch.testing.assert_close(heatmap.amax(), fall[0], rtol=0.2, atol=0)
    swapped = MaskedScore(two, 1, TwoSquares(), BLACK, link=Against(0))
    torch.testing.assert_close(SlidingPatch(8, 4)(swapped)[0], -heatmap)


def test_rise_and_its_opposite_are_one_map(two):
    method = Rise(masks=40, estimator="covariance")
    score = MaskedScore(two, 0, TwoSquares(), BLACK, link=Against(1))
    opposite = MaskedScore(two, 1, TwoSquares(), BLACK, link=Against(0))
    torch.testing.assert_close(method(score), -method(opposite), rtol=0, atol=1e-5)


def test_prediction_difference_is_in_bits_of_the_two(image):
    """The formula with ``p / (p + q)``, pooled over fills before the logarithm, and with two classes."""
    network, n = Linear(classes=4), 1000
    score = MaskedScore(image, 1, network, Noise(), link=Against(3))
    method = PredictionDifference(24, 24, samples=5, instances=n)
    heatmap = method(score)

    def bits(p: Tensor) -> Tensor:
        corrected = (p * n + 1) / (n + 2)
        return (corrected / (1 - corrected)).log2()

    filled = score(method.holes(score)[:].repeat(5, 1, 1, 1)).view(5, 2).sigmoid().mean(0)
    expected = bits(score.clean.sigmoid()) - bits(filled)
    torch.testing.assert_close(heatmap[0, 3, [3, 30]], expected, rtol=0, atol=1e-4)


OPTIMIZING = {
    "mp": MeaningfulPerturbation(8, steps=40, jitter=0, area=1e-3),
    "mp2": MP2(8, rank="descent"),
    "mp2, logit": MP2(8, rank="descent", slope="logit", blend=0.25, prune=True),
    "sdr": SDR(steps=60, lr=0.3),
    "dssr": DSSR(steps=40),
    "fido": Fido("sdr", cells=6, steps=30, samples=4, lr=0.3),
    "fido, as it is": Fido("sdr", cells=6, steps=30, samples=4, lr=0.3, odds=False),
    "extremal": ExtremalPerturbation(0.08, "delete", step=4, sigma=6.0, steps=40, lr=0.05),
}


@pytest.mark.parametrize("name", OPTIMIZING)
def test_what_is_removed_is_the_targets_side(two, name):
    """Enough of it, and no more than half of the image: the score has no lower bound, but an end."""
    score = MaskedScore(two, 0, TwoSquares(), BLACK, link=Against(1))
    outcome = OPTIMIZING[name].optimize(score)
    evidence = outcome.heatmap[0]
    assert evidence[LEFT].mean() > evidence[RIGHT].mean() + 0.1
    assert outcome.reached.item() is bool(outcome.left <= 0)
    assert outcome.hole.mean() < 0.5
    if name != "dssr":
        assert outcome.reached.all()


def test_mp2_stops_as_soon_as_the_other_is_as_likely(image):
    """On a linear classifier: the cells in the order of what they add to the difference."""
    network = Linear(classes=3, seed=1)
    network.weight.data *= 8
    logits = network(image)[0]
    first, other = logits.argmax(), logits.argmin()
    color = (0.3, 0.6, 0.1)
    score = MaskedScore(image, int(first), network, Gray(color), link=Against(int(other)))
    outcome = MP2(8, added=1, rank="descent").optimize(score)
    weight = network.weight[first] - network.weight[other]
    each = (weight * (image[0] - torch.tensor(color)[:, None, None])).sum(0)
    gains = each.unfold(0, 3, 3).unfold(1, 4, 4).sum(dim=(2, 3)).flatten().detach()
    left = score.clean - gains.sort(descending=True).values.cumsum(0)
    needed = int((left <= 0).float().argmax()) + 1
    assert bool((left <= 0).any())
    assert outcome.reached.all()
    assert int(outcome.hole.sum()) == needed * 12
    torch.testing.assert_close(outcome.left, left[needed - 1 : needed].detach(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", OPTIMIZING)
def test_a_target_less_likely_than_the_other_is_refused(two, name):
    rule = r"target must be more likely than the class it is compared with \(log-odds above 0\), got -\d"
    with pytest.raises(ValueError, match=rule):
        OPTIMIZING[name].optimize(MaskedScore(two, 1, TwoSquares(), BLACK, link=Against(0)))


def test_a_comparison_is_followed_between_its_ends(two):
    """As a probability that is 0.9 for the image and 0.1 where both are as likely; others as they are."""
    score = MaskedScore(two, 0, TwoSquares(), BLACK, link=Against(1))
    scale, rows = as_probability(score), torch.zeros(4).long()
    share = torch.tensor([1.0, 0.0, 0.5, -3.0])
    followed = scale(share * score.clean, rows)
    expected = [UNTOUCHED, 1 - UNTOUCHED, 0.5, 1 / (1 + math.exp(7 * math.log(9)))]
    torch.testing.assert_close(followed, torch.tensor(expected), rtol=0, atol=1e-6)
    for link in (probability, sigmoid, logit):
        assert as_probability(replace(score, link=link)) is None
    odds = replace(score, link=log_odds)
    ends = as_probability(odds)(torch.cat([odds.clean, odds.chance]), torch.zeros(2).long())
    torch.testing.assert_close(ends, torch.tensor([UNTOUCHED, 1 - UNTOUCHED]), rtol=0, atol=1e-6)


def test_a_value_has_a_goal_of_its_own(two):
    """Half of it, so far below if it is negative; log-odds have 0. Its unit does not matter to a search."""
    links = {0.5: Value(), 0.25: Value(0.25), 0.0: Value(odds=True)}
    for share, link in links.items():
        score = MaskedScore(two, 0, TwoSquares(), BLACK, link=link)
        torch.testing.assert_close(score.chance, share * score.clean)
        assert torch.equal(score.clean, score.clean_logits[:, 0])
    below = MaskedScore(two, 0, lambda images: -TwoSquares()(images), BLACK, link=Value())
    torch.testing.assert_close(below.chance, 1.5 * below.clean)
    scale = as_log_odds(below)
    ends = scale(torch.cat([below.clean, below.chance]), torch.zeros(2).long())
    torch.testing.assert_close(ends, torch.tensor([1.0, -1.0]) * math.log(9), rtol=1e-5, atol=0)
    for link in (Value(odds=True), Against(1), probability, logit):
        assert as_log_odds(MaskedScore(two, 0, TwoSquares(), BLACK, link=link)) is None
    for left in (-0.1, 1.0):
        with pytest.raises(ValueError, match="left must be in"):
            Value(left)


@pytest.mark.parametrize("name", OPTIMIZING)
def test_the_unit_of_a_value_does_not_matter(two, name):
    """Neither to what is found, nor to whether it is enough."""
    found = []
    for unit in (1.0, 1000.0):
        network = partial(_times, unit)
        score = MaskedScore(two, 0, network, BLACK, link=Value())
        found.append(OPTIMIZING[name].optimize(score))
        assert found[-1].heatmap[0][LEFT].mean() > found[-1].heatmap[0][RIGHT].mean() + 0.1
    assert (found[0].heatmap - found[1].heatmap).abs().mean() < 1e-3
    assert torch.equal(found[0].reached, found[1].reached)
    torch.testing.assert_close(found[1].left, 1000 * found[0].left, rtol=0.02, atol=0)


def _times(unit: float, images: Tensor) -> Tensor:
    return unit * TwoSquares()(images)


def test_a_value_at_its_goal_is_refused(two):
    score = MaskedScore(two, 2, TwoSquares(), BLACK, link=Value())
    with pytest.raises(ValueError, match=r"target must be scored above where it counts as gone \(0\), got 0"):
        MP2(4).optimize(score)


def test_a_value_has_no_bits(two):
    with pytest.raises(ValueError, match="link must be probability, sigmoid or Against, got "):
        PredictionDifference(8, 8)(MaskedScore(two, 0, TwoSquares(), BLACK, link=Value()))
