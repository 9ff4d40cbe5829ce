"""Distances to other images, against plain loops and known sets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from infill.realism.distances import frechet_distance
from infill.realism.unpaired import frechet_to_others, kernel_to_others


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def rows(count: int, shift: float = 0, seed: int = 0) -> Tensor:
    return torch.randn(count, 6, generator=rng(seed)) + shift


def kernel(one: Tensor, other: Tensor) -> float:
    return float((one.double() @ other.double() / len(one) + 1) ** 3)


def mean_of_pairs(ours: Tensor, theirs: Tensor) -> float:
    """Over pairs of different images; a set with itself leaves out each one's pair with itself."""
    same = ours is theirs
    pairs = [kernel(a, b) for i, a in enumerate(ours) for j, b in enumerate(theirs) if not (same and i == j)]
    return sum(pairs) / len(pairs)


@settings(max_examples=20)
@given(st.integers(2, 8), st.integers(2, 12), st.integers(0, 99))
def test_the_kernel_distance_is_that_of_plain_loops(count: int, others: int, seed: int) -> None:
    ours, theirs = rows(count, 0.5, seed), rows(others, 0, seed + 1)
    found = kernel_to_others(ours, theirs, rng())
    expected = mean_of_pairs(ours, ours) + mean_of_pairs(theirs, theirs) - 2 * mean_of_pairs(ours, theirs)
    assert found.value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    if count > 2:  # each replicate leaves one image out
        left = torch.stack([ours[[j for j in range(count) if j != i]] for i in range(count)])
        again = sorted(kernel_to_others(each, theirs, rng()).value for each in left)
        assert sorted(found.replicates.tolist()) == pytest.approx(again, rel=1e-6, abs=1e-9)


def test_the_frechet_distance_is_the_paired_one_where_sizes_agree() -> None:
    ours, theirs = rows(40, 1), rows(40, 0, 1)
    assert frechet_to_others(ours, theirs, rng()).value == pytest.approx(
        frechet_distance(ours, theirs, rng()).value, rel=1e-9
    )
    assert frechet_to_others(ours, ours.repeat(3, 1), rng()).value == pytest.approx(0, abs=0.1)


def test_sets_of_one_kind_are_nothing_apart_in_the_mean() -> None:
    found = [kernel_to_others(rows(20, 0, seed), rows(50, 0, seed + 500), rng()).value for seed in range(30)]
    apart = [kernel_to_others(rows(20, 1, seed), rows(50, 0, seed + 500), rng()).value for seed in range(5)]
    error = torch.tensor(found).std() / len(found) ** 0.5
    assert abs(torch.tensor(found).mean()) < 3 * error
    assert min(apart) > max(found)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("measure", [frechet_to_others, kernel_to_others])
def test_bad_features_are_refused(measure) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="others must be of at least 2 images, got 1"):
        measure(rows(4), rows(1), rng())
    with pytest.raises(ValueError, match="features must be finite"):
        measure(rows(4) / 0, rows(3), rng())
    with pytest.raises(ValueError, match="others must be of 6 features as features, got 5"):
        measure(rows(4), rows(3)[:, :5], rng())
