"""Intervals and comparisons: against scipy and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from studio.report.compare import exchanged, holm
from studio.report.figures import _tuned


def test_holm_is_that_of_the_book() -> None:
    # Holm (1979): .01 * 4, .02 * 3, .03 * 2 (not below the one before), .05 * 1
    assert holm([0.03, 0.01, 0.05, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_corrected_chances_keep_their_order_and_are_never_smaller(chances: list[float]) -> None:
    corrected = holm(chances)
    assert all(after >= before for before, after in zip(chances, corrected, strict=True))
    ranked = [corrected[place] for place in np.argsort(chances, kind="stable")]
    assert ranked == sorted(ranked)
    assert min(corrected) == pytest.approx(min(1.0, min(chances) * len(chances)))


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_exchanging_signs_is_scipys_paired_permutation_test(shift: float) -> None:
    rng = np.random.default_rng(0)
    change = rng.normal(shift, 1, 40)
    options = {"permutation_type": "samples", "n_resamples": 9999, "rng": np.random.default_rng(1)}
    expected = permutation_test(
        (change, np.zeros(40)), lambda a, b: np.mean(a) - np.mean(b), **options
    ).pvalue
    assert exchanged(change, 0) == pytest.approx(float(expected), abs=0.02)
    assert exchanged(change, 0) == exchanged(change, 0)


def test_no_change_is_no_difference() -> None:
    assert exchanged(np.zeros(20), 0) == 1


def test_a_threshold_is_never_tuned_on_the_images_it_is_used_on() -> None:
    alphas = [0.0, 0.5, 1.0]
    # Even images are best at 0.5, odd ones at 1.0: each half is judged at the other's best.
    even, odd = [1.0, 0.0, 0.7], [1.0, 0.6, 0.0]
    values = {n: np.array([alphas, even if n % 2 == 0 else odd]).T for n in range(6)}
    of_image, (for_even, for_odd) = _tuned(values)
    assert (for_even, for_odd) == (1.0, 0.5)
    assert of_image == {n: 0.7 if n % 2 == 0 else 0.6 for n in range(6)}
    # Of equally good ones the smallest is taken.
    flat = {n: np.array([alphas, [0.5, 0.5, 0.5]]).T for n in range(2)}
    assert _tuned(flat)[1] == (0.0, 0.0)
