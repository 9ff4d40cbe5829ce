"""Randomized networks: which layers lost what they knew, and that the caller's did not."""

import copy

import pytest
import torch
from planted import Network
from torch import nn

from attribution import MaskedScore, SlidingPatch
from attribution.evaluation.agreement import rank_correlation
from attribution.evaluation.sanity import layers, randomized, shifted
from infill import Blur, Given, Gray


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def changed(before: nn.Module, after: nn.Module) -> set[str]:
    old, new = before.state_dict(), after.state_dict()
    return {name.rpartition(".")[0] for name in old if not torch.equal(old[name], new[name])}


def test_layers_come_from_behind():
    assert layers(Network()) == ["head", "features.3", "features.0"]


def test_cascading_keeps_what_is_lost():
    network = Network()
    before = copy.deepcopy(network)
    steps = list(randomized(network, chance()))
    assert [name for name, _ in steps] == ["head", "features.3", "features.0"]
    assert [changed(before, after) for _, after in steps] == [
        {"head"},
        {"head", "features.3"},
        {"head", "features.3", "features.0"},
    ]
    assert changed(before, network) == set()


def test_independent_takes_one_at_a_time():
    network = Network()
    steps = list(randomized(network, chance(), "independent"))
    assert [changed(network, after) for _, after in steps] == [{"head"}, {"features.3"}, {"features.0"}]


def test_weights_keep_their_scale_and_depend_on_the_generator_alone():
    network = nn.Linear(100, 100).requires_grad_(False)
    torch.manual_seed(1)
    (_, first), (_, second) = (next(randomized(network, chance(2))) for _ in range(2))
    torch.manual_seed(2)
    _, third = next(randomized(network, chance(2)))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.weight, third.weight)
    assert float(first.weight.std() / network.weight.std()) == pytest.approx(1, abs=0.05)
    correlation = torch.corrcoef(torch.stack([first.weight.flatten(), network.weight.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.05


def test_stops_choose_among_the_same_networks():
    network = Network()
    whole = [each for _, each in randomized(network, chance())]
    ((name, last),) = randomized(network, chance(), stops=[3])
    assert name == "features.0"
    assert changed(whole[2], last) == set()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers(nn.Sequential(nn.ReLU())), "at least one layer of weights"),
        (lambda: list(randomized(Network(), chance(), stops=[4])), "1 to the number of layers 3"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


TINT = torch.tensor([1.0, 0.5, 0.0])


def asked(filler: object) -> MaskedScore:
    image = torch.rand(3, 48, 64, generator=chance(3))
    return MaskedScore(image, 1, Network().eval(), filler)


def test_a_tinted_image_is_classified_as_it_was_before():
    score = asked(Gray())
    tinted = shifted(score, score.classifier, TINT, 0.3)
    torch.testing.assert_close(tinted.image, 0.7 * score.image + 0.3 * TINT[:, None, None])
    torch.testing.assert_close(tinted.clean_logits, score.clean_logits, atol=1e-5, rtol=1e-5)


def test_what_is_around_the_image_is_tinted_too():
    around = torch.rand(1, 3, 52, 68, generator=chance(3))
    score = MaskedScore(around[..., 2:50, 2:66], 1, Network().eval(), Gray(), around=around)
    tinted = shifted(score, score.classifier, TINT, 0.3)
    torch.testing.assert_close(tinted.enlarged(4).image, 0.7 * around + 0.3 * TINT[:, None, None])


def test_a_fill_from_the_image_follows_the_tint_and_gray_does_not():
    method = SlidingPatch(patch=16, stride=8)
    alike = {}
    for filler in (Blur(sigma=4.0), Gray()):
        score = asked(filler)
        before, after = method(score)[0], method(shifted(score, score.classifier, TINT, 0.3))[0]
        alike[type(filler)] = rank_correlation(before, after)
        if isinstance(filler, Blur):
            torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-3)
    assert alike[Blur] > 0.999 > alike[Gray]


@pytest.mark.parametrize(
    ("color", "amount", "said"),
    [([1.0, 0.5, 1.5], 0.2, "color"), ([1.0, 0.5, 0.0], 1.0, "amount"), ([1.0, 0.5, 0.0], -0.1, "amount")],
)
def test_a_tint_that_is_none_is_refused(color: list[float], amount: float, said: str):
    score = asked(Gray())
    with pytest.raises(ValueError, match=said):
        shifted(score, score.classifier, torch.tensor(color), amount)


def test_a_fill_that_is_made_for_the_image_cannot_follow():
    score = asked(Given(torch.zeros(3, 48, 64)))
    with pytest.raises(ValueError, match="filler"):
        shifted(score, score.classifier, TINT)
