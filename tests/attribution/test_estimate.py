"""How far samples can be trusted: reliability, the jackknife, rounds; and which methods tell."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from attribution import Lime, Rise, SlidingPatch
from attribution.estimate import FEW, EstimatingExplainer, jackknife, reliability, rounds


def chance(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_reliability_is_the_rank_correlation_stepped_up():
    first, noise = chance(20, 30), chance(20, 30, seed=1)
    second = first + noise
    r = spearmanr(first.numpy(), second.numpy(), axis=None).statistic
    assert reliability(first, second) == pytest.approx(2 * r / (1 + r))
    assert reliability(first, 3 * first + 1) == pytest.approx(1)


def test_halves_that_disagree_or_say_nothing_are_not_reliable():
    first = chance(8, 8)
    assert reliability(first, -first) == 0
    assert reliability(first, torch.ones(8, 8)) == 0


def test_reliability_foretells_how_new_samples_agree():
    signal = chance(4000, 1)
    noise = [chance(4000, 1, seed=seed) for seed in range(1, 5)]
    halves = [signal + each for each in noise[:2]]
    wholes = [signal + (noise[0] + noise[1]) / 2, signal + (noise[2] + noise[3]) / 2]
    whole = spearmanr(*(each.numpy().ravel() for each in wholes)).statistic
    assert reliability(*halves) == pytest.approx(whole, abs=0.02)


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=(12, 3))
    left_out = torch.tensor(np.stack([np.delete(values, i, axis=0).mean(0) for i in range(12)]))
    expected = values.std(axis=0, ddof=1) / np.sqrt(12)
    np.testing.assert_allclose(jackknife(left_out).numpy(), expected)
    assert bool(jackknife(left_out[:1]).isinf().all())


class Numbers:
    """Holes that are their own numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, part: slice) -> torch.Tensor:
        return torch.arange(self.count)[part].float()[:, None, None, None]


@given(count=st.integers(1, 60), size=st.integers(1, 70), each=st.integers(1, 25), last=st.integers(1, 5))
def test_rounds_are_the_same_however_they_are_cut(count: int, size: int, each: int, last: int):
    asked = []

    def enough() -> bool:
        asked.append(len(seen))
        return len(asked) == last

    seen: list[float] = []
    for batch in rounds(Numbers(count), size, enough, each):
        assert 0 < len(batch) <= size
        seen += batch.flatten().tolist()
    assert seen == list(range(min(count, last * each)))
    assert asked == [each * (number + 1) for number in range(len(asked))]
    whole = torch.cat(list(rounds(Numbers(count), size, None, each)))
    assert whole.flatten().tolist() == list(range(count))


def test_methods_that_estimate_are_told_from_those_that_do_not():
    assert isinstance(Rise(), EstimatingExplainer)
    assert isinstance(Lime(), EstimatingExplainer)
    assert not isinstance(SlidingPatch(), EstimatingExplainer)


@pytest.mark.parametrize("values", [1, 2, 3, 4, 5, 9])
def test_the_order_of_a_few_values_says_nothing(values: int) -> None:
    """Of two values every second pair of maps has the same order by chance."""
    parts = torch.arange(64).view(8, 8) * values // 64
    one = parts.float()
    assert reliability(one, 2 * one + 1) == pytest.approx(1.0 if values >= FEW else 0.0)
    assert reliability(one, -one) == 0.0
