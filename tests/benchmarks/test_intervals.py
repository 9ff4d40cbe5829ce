"""Intervals are Wilson's of shares, and count scenes rather than their objects."""

import numpy as np
import pytest
from scipy.stats import binomtest

from attribution import Fido
from benchmarks import optimization
from benchmarks.intervals import interval, percent


def bounds(text: str) -> tuple[float, float, float]:
    value, low, high = (float(part.strip("[],")) for part in text.split())
    return value, low, high


def test_the_interval_of_a_mean_holds_it():
    mean, low, high = bounds(interval(np.arange(100.0)))
    assert low < mean < high
    assert mean == 49.5
    assert 43 <= low <= 45  # a standard error is 2.9


def test_of_few_images_there_is_no_interval():
    assert interval(np.arange(9.0), 1) == "4.0"
    assert percent(np.ones(9)) == "100.0"
    assert percent(np.ones(18), [number // 2 for number in range(18)]) == "100.0"  # of nine scenes


@pytest.mark.parametrize("hits", [0, 23, 24])
def test_the_interval_of_a_share_is_wilsons(hits):
    value, low, high = bounds(percent(np.array([1.0] * hits + [0.0] * (24 - hits))))
    known = binomtest(hits, 24).proportion_ci(method="wilson")
    assert value == pytest.approx(100 * hits / 24, abs=0.05)
    assert (low, high) == pytest.approx((100 * known.low, 100 * known.high), abs=0.05)
    assert high - low > 10


def test_objects_of_a_scene_are_drawn_together():
    values = np.repeat(np.arange(40) % 2, 2).astype(float)
    scenes = [number // 2 for number in range(80)]
    _, low, high = bounds(percent(values))
    _, lowest, highest = bounds(percent(values, scenes))
    assert highest - lowest > 1.2 * (high - low)
    _, low, high = bounds(percent(np.ones(80), scenes))
    assert low == pytest.approx(100 * binomtest(40, 40).proportion_ci(method="wilson").low, abs=0.05)


def test_fido_warms_up_within_its_few_steps():
    options = optimization.argparse.Namespace(steps=100, fido_steps=30, fido_samples=4, dssr_steps=60)
    fido, _ = optimization.methods(options)["FIDO SSR / inpaint"]
    assert isinstance(fido, Fido)
    assert fido.warmup == 3
