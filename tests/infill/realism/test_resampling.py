"""Intervals against scipy and closed forms, their coverage, and what makes differences sure."""

from collections import Counter

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import BinaryCalibrationError, MulticlassCalibrationError

from infill.realism.resampling import (
    Estimate,
    best,
    bootstrap,
    calibration_error,
    group_places,
    jackknife,
    leave_out,
    mean,
    share,
    split,
    together,
    top_share,
)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def bootstrapped_share(hits, place=None):
    """A share of hits with Wilson's interval; each image of a group of its own if no place is given."""
    place = torch.arange(len(hits)) if place is None else place
    statistic = {"": together(mean(hits), place)}
    estimate = bootstrap(statistic, int(place.max()) + 1, rng())[""]
    return share(estimate, hits, place)


@pytest.mark.parametrize(("hits", "count"), [(0, 12), (1, 50), (30, 100), (216, 216)])
def test_a_share_has_the_interval_of_wilson(hits, count):
    found = bootstrapped_share((torch.arange(count) < hits).double()).interval
    exact = scipy.stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert found == pytest.approx((exact.low, exact.high))


def test_a_share_is_as_sure_as_its_groups_are_alike():
    hits, place = (torch.rand(400, generator=rng(1)) < 0.3).double(), torch.arange(400) // 2
    alike = bootstrapped_share(hits[place], place)
    assert alike.size == pytest.approx(200)
    assert bootstrapped_share(hits, place).size == pytest.approx(400, rel=0.15)
    spread = float(alike.replicates.var())
    assert alike.value * (1 - alike.value) / spread == pytest.approx(200, rel=0.1), "as the bootstrap has it"
    none = bootstrapped_share(torch.zeros(400, dtype=torch.float64), place)
    assert none.size == pytest.approx(200), "nothing is known of how alike they are"
    assert none.interval[0] == 0 < none.interval[1]
    assert alike.minus(none).size is None, "a difference is no share"


def width(estimate):
    low, high = estimate.interval
    return high - low


def scipy_interval(values):
    found = scipy.stats.bootstrap(
        (values.numpy(),), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    )
    return found.confidence_interval


def test_the_bootstraps_interval_is_scipys():
    values = normal(60).exp()
    estimate = bootstrap({"it": mean(values)}, 60, rng(), draws=20_000)["it"]
    assert estimate.kind == "bootstrap"
    assert estimate.value == pytest.approx(float(values.mean()), rel=1e-12)
    tolerance = 0.03 * width(estimate)
    assert estimate.interval == pytest.approx(scipy_interval(values), abs=tolerance)
    assert float(estimate.replicates.std()) == pytest.approx(
        float(values.std(correction=0)) / 60**0.5, rel=0.03
    )


def test_what_is_measured_four_times_on_an_image_is_as_sure_as_once():
    once = normal(30).exp()
    names = [f"{number}.jpg" for number in range(30) for _ in range(4)]
    place = group_places(names)
    assert place.tolist() == [number for number in range(30) for _ in range(4)]
    four = bootstrap({"it": together(mean(once.repeat_interleave(4)), place)}, 30, rng())["it"]
    assert four.interval == pytest.approx(bootstrap({"it": mean(once)}, 30, rng())["it"].interval)
    assert group_places(["b", "a", "b"]).tolist() == [0, 1, 0]


def test_the_interval_is_that_of_the_quantiles():
    replicates = normal(999).exp()
    expected = np.quantile(replicates.numpy(), [0.025, 0.975])
    assert Estimate(1.0, replicates).interval == pytest.approx(expected, rel=1e-12)


def test_the_generators_seed_is_all_that_counts():
    def drawn(seed):
        return bootstrap({"it": mean(values)}, 30, rng(seed), draws=120)["it"].replicates

    values = normal(30)
    global_state = torch.get_rng_state()
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert torch.equal(torch.get_rng_state(), global_state)
    assert len(set(drawn(1).tolist())) == 120, "no draw comes twice, in whichever chunk"


def test_all_statistics_see_the_same_resamples():
    values, c = normal(40).round(decimals=3), 8.0
    statistics = {"x": mean(values), "again": mean(values.clone()), "more": mean(values + c)}
    for resampled in (bootstrap, leave_out):
        found = resampled(statistics, 40, rng())
        nothing = found["x"].minus(found["again"])
        assert (nothing.value, nothing.interval, nothing.sure) == (0, (0, 0), False)
        constant = found["more"].minus(found["x"])
        assert constant.interval == pytest.approx((c, c), abs=1e-12)
        assert constant.sure


def test_a_paired_difference_is_narrower_than_an_unpaired_one():
    hardness = 5 * normal(200, seed=1)
    ours, theirs = hardness + 0.3 + 0.5 * normal(200, seed=2), hardness + 0.5 * normal(200, seed=3)
    paired = bootstrap({"ours": mean(ours), "theirs": mean(theirs)}, 200, rng(), draws=4000)
    difference = paired["ours"].minus(paired["theirs"])
    assert difference.interval == pytest.approx(scipy_interval(ours - theirs), abs=0.06 * width(difference))
    other = bootstrap({"theirs": mean(theirs)}, 200, rng(9), draws=4000)["theirs"]
    unpaired = paired["ours"].minus(other)
    assert width(difference) < 0.2 * width(unpaired)
    assert (difference.sure, unpaired.sure) == (True, False)


@pytest.mark.parametrize("draws", [1, 49, 120, 300])
def test_weights_are_drawn_few_at_a_time(draws):
    seen = []

    def statistic(weights):
        seen.append(weights.clone())
        return weights[:, 0]

    estimate = bootstrap({"it": statistic}, 17, rng(), draws=draws)["it"]
    whole, *resamples = seen
    assert torch.equal(whole, torch.ones(1, 17, dtype=torch.float64))
    assert max(len(weights) for weights in resamples) <= 50
    weights = torch.cat(resamples)
    assert weights.shape == (draws, 17)
    assert torch.equal(weights.sum(1), torch.full((draws,), 17.0, dtype=torch.float64))
    assert torch.equal(weights, weights.round().clamp(min=0))
    assert torch.equal(weights[:, 0], estimate.replicates)


def test_leaving_out_asks_for_one_resample_at_a_time():
    seen = []
    leave_out({"it": lambda weights: seen.append(weights.clone()) or weights.sum(1)}, 50, rng(), groups=8)
    assert {weights.shape for weights in seen} == {(1, 50)}
    left_out = torch.cat(sorted(seen, key=lambda weights: float(weights.sum()))[:-1]) == 0
    assert len(seen) == 9
    assert torch.equal(left_out.sum(0), torch.ones(50, dtype=torch.long)), "each image is left out once"
    assert sorted(left_out.sum(1).tolist()) == [6] * 6 + [7] * 2


def repeated(statistic, rows, weights):
    """A statistic of data in which images come as often as they weigh."""
    again = [row.repeat_interleave(weights, dim=0) for row in rows]
    return statistic(*again)(torch.ones(1, int(weights.sum()), dtype=torch.float64))


@settings(max_examples=30)
@given(weights=st.lists(st.integers(0, 4), min_size=1, max_size=40), seed=st.integers(0, 10**6))
def test_weights_are_repetitions(weights, seed):
    count = torch.tensor([*weights, 1])
    confidence = torch.rand(len(count), generator=rng(seed), dtype=torch.float64)
    correct = torch.rand(len(count), generator=rng(seed + 1)) < confidence
    labels = torch.randint(9, (len(count),), generator=rng(seed + 2))
    for statistic, rows in (
        (mean, (confidence,)),
        (calibration_error, (confidence, correct)),
        (top_share, (labels,)),
    ):
        ours = statistic(*rows)(torch.stack([count, count.flip(0)]).double())
        assert ours.shape == (2,)
        torch.testing.assert_close(ours[:1], repeated(statistic, rows, count), rtol=1e-12, atol=1e-12)


def of_all(statistic, count):
    return float(statistic(torch.ones(1, count, dtype=torch.float64)))


@pytest.mark.parametrize("power", [0.3, 1.0, 3.0])
def test_calibration_error_equals_torchmetrics(power):
    scores = (3 * normal(500, 6)).softmax(1)
    labels = torch.multinomial(scores**power, 1, generator=rng(1))[:, 0]
    confidence, guess = scores.max(1)
    ours = of_all(calibration_error(confidence, guess == labels), 500)
    assert ours > 0.02
    theirs = MulticlassCalibrationError(num_classes=6, n_bins=15, norm="l1")(scores, labels)
    assert ours == pytest.approx(float(theirs), abs=1e-6)
    binary = BinaryCalibrationError(n_bins=15, norm="l1")(confidence, (guess == labels).long())
    assert ours == pytest.approx(float(binary), abs=1e-6)


@settings(max_examples=40)
@given(
    pairs=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
    bins=st.integers(1, 20),
)
def test_calibration_error_equals_a_plain_loop(pairs, bins):
    total = 0.0
    for bin_number in range(bins):
        inside = [(c, hit) for c, hit in pairs if min(int(c * bins), bins - 1) == bin_number]
        if inside:
            gap = np.mean([c for c, _ in inside]) - np.mean([hit for _, hit in inside])
            total += len(inside) / len(pairs) * abs(gap)
    confidence = torch.tensor([c for c, _ in pairs], dtype=torch.float64)
    correct = torch.tensor([hit for _, hit in pairs])
    assert of_all(calibration_error(confidence, correct, bins), len(pairs)) == pytest.approx(total, abs=1e-12)


def test_calibration_error_of_known_answers():
    sure = torch.ones(4)
    assert of_all(calibration_error(sure, torch.tensor([True] * 4)), 4) == 0
    assert of_all(calibration_error(sure, torch.tensor([True, False] * 2)), 4) == 0.5
    assert of_all(calibration_error(0 * sure, torch.tensor([True] * 4)), 4) == 1


@settings(max_examples=40)
@given(labels=st.lists(st.integers(-5, 5), min_size=1, max_size=60), most=st.integers(1, 6))
def test_top_share_equals_a_counter(labels, most):
    expected = sum(count for _, count in Counter(labels).most_common(most)) / len(labels)
    assert of_all(top_share(torch.tensor(labels), most), len(labels)) == pytest.approx(expected, rel=1e-12)


def test_top_share_is_of_three_labels():
    assert of_all(top_share(torch.tensor([5, 1, 1, 5, 2, 3])), 6) == pytest.approx(5 / 6)


@pytest.mark.parametrize("count", [3, 12, 40])
def test_leaving_each_image_out_has_the_means_standard_error(count):
    values = normal(count).exp()
    estimate = leave_out({"it": mean(values)}, count, rng(), groups=count)["it"]
    assert estimate.kind == "jackknife"
    error = float(values.std()) / count**0.5
    expected = scipy.stats.t.interval(0.95, count - 1, loc=float(values.mean()), scale=error)
    assert estimate.interval == pytest.approx(expected, rel=1e-9)


def test_replicates_are_the_figure_of_the_images_left_in():
    labels = torch.randint(30, (47,), generator=rng(4))
    estimate = leave_out({"it": top_share(labels)}, 47, rng(5), groups=10)["it"]
    expected = []
    for part in split(47, rng(5), 10):
        rest = torch.ones(47, dtype=torch.bool)
        rest[part] = False
        expected.append(of_all(top_share(labels[rest]), int(rest.sum())))
    assert estimate.value == of_all(top_share(labels), 47)
    assert estimate.replicates.tolist() == pytest.approx(expected, rel=1e-12)
    spread = 9 / 10 * ((np.array(expected) - np.mean(expected)) ** 2).sum()
    reach = scipy.stats.t.ppf(0.975, 9) * spread**0.5
    assert estimate.interval == pytest.approx((estimate.value - reach, estimate.value + reach), rel=1e-9)


@pytest.mark.parametrize(
    ("resampled", "count"), [(bootstrap, 100), (leave_out, 100), (leave_out, 30), (leave_out, 8)]
)
def test_intervals_cover_the_truth_in_95_of_100_cases(resampled, count):
    cases = {str(i): mean(2 + values) for i, values in enumerate(normal(300, count, seed=7))}
    options = {"draws": 1000} if resampled is bootstrap else {}
    intervals = [estimate.interval for estimate in resampled(cases, count, rng(), **options).values()]
    assert 0.92 <= np.mean([low <= 2 <= high for low, high in intervals]) <= 0.98


@settings(max_examples=30)
@given(count=st.integers(1, 70), groups=st.integers(1, 25), seed=st.integers(0, 100))
def test_splitting_deals_out_all_images_evenly(count, groups, seed):
    parts = split(count, rng(seed), groups)
    assert len(parts) == min(count, groups)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all((part.diff() > 0).all() for part in parts)


def test_splitting_is_at_random():
    assert not torch.equal(split(40, rng(0), 2)[0], split(40, rng(1), 2)[0])


def test_one_image_tells_a_figure_but_no_interval():
    for resampled in (bootstrap, leave_out):
        found = resampled({"one": mean(torch.tensor([3.0])), "two": mean(torch.tensor([1.0]))}, 1, rng())
        gap = found["one"].minus(found["two"])
        assert (gap.value, gap.interval, gap.sure) == (2, None, False)
        assert best(list(found.values()), lower=True) is None
    assert leave_out({"it": mean(torch.tensor([3.0, 4.0]))}, 2, rng())["it"].interval is None
    assert leave_out({"it": mean(torch.tensor([3.0, 4.0, 5.0]))}, 3, rng())["it"].interval is not None


def test_sure_is_an_interval_without_zero():
    for replicates, sure in (([1, 2], True), ([-2, -1], True), ([-1, 2], False), ([0, 1], False)):
        drawn = torch.tensor(replicates, dtype=torch.float64).repeat_interleave(50)
        assert Estimate(0.5, drawn).sure is sure
    near, far = torch.tensor([0.9, 1.0, 1.1]), torch.tensor([0.0, 1.0, 2.0])
    for value, replicates, sure in ((1, near, True), (-1, -near, True), (1, far, False), (0, near, False)):
        assert Estimate(float(value), replicates.double(), "jackknife").sure is sure


@pytest.mark.parametrize("kind", ["bootstrap", "jackknife"])
def test_nothing_is_sure_where_a_replicate_is_no_number(kind):
    assert not Estimate(5.0, torch.tensor([5.0, torch.nan, 5.1]), kind).sure


def test_the_best_is_surely_better_than_every_other():
    base = normal(80)
    shifts = {"middle": 1.0, "low": 0.0, "high": 2.0}
    found = bootstrap({name: mean(base + shift) for name, shift in shifts.items()}, 80, rng(), draws=200)
    figures = [found[name] for name in shifts]
    assert best(figures, lower=True) == 1
    assert best(figures, lower=False) == 2
    assert best(figures[:2], lower=False) == 0
    assert best([*figures, found["low"]], lower=True) is None, "a tie"
    assert best(figures[1:2], lower=True) is None, "nothing to compare with"
    assert best([], lower=True) is None


def test_the_first_of_many_is_not_best_if_one_difference_is_unsure():
    base, other = normal(80), normal(80, seed=1)
    close = base - 0.01 + 0.5 * (other - other.mean())
    found = bootstrap({"a": mean(base + 1), "b": mean(close), "c": mean(base)}, 80, rng(), draws=400)
    assert found["b"].value < found["c"].value < found["a"].value
    assert found["b"].minus(found["a"]).sure
    assert best([found["a"], found["b"], found["c"]], lower=True) is None
    assert best([found["a"], found["b"]], lower=True) == 1
    assert best([found["c"], found["b"], found["a"]], lower=False) == 2


def test_unlike_estimates_have_no_difference():
    statistics = {"it": mean(normal(30))}
    ours = bootstrap(statistics, 30, rng(), draws=20)["it"]
    with pytest.raises(
        ValueError, match="other must be a bootstrap of 20 replicates, got 'a jackknife of 20"
    ):
        ours.minus(leave_out(statistics, 30, rng(), groups=20)["it"])
    with pytest.raises(
        ValueError, match="other must be a bootstrap of 20 replicates, got 'a bootstrap of 30"
    ):
        ours.minus(bootstrap(statistics, 30, rng(), draws=30)["it"])


def test_the_jackknife_is_told_which_groups_are_left_in():
    asked = []
    estimate = jackknife(lambda kept: asked.append(kept) or float(sum(kept)), 4)
    assert (estimate.value, estimate.replicates.tolist()) == (6, [6, 5, 4, 3])
    assert sorted(asked) == [[0, 1, 2], [0, 1, 2, 3], [0, 1, 3], [0, 2, 3], [1, 2, 3]]


def test_what_is_no_figure_is_refused():
    with pytest.raises(ValueError, match="broken must be a finite number, got nan"):
        bootstrap({"broken": lambda weights: weights.sum(1) * torch.nan}, 3, rng())
    for resampled in (bootstrap, leave_out):
        with pytest.raises(ValueError, match="count must be at least 1 image, got 0"):
            resampled({}, 0, rng())
    for values in (torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.inf]), torch.tensor([])):
        with pytest.raises(ValueError, match="values must be at least one, all finite"):
            mean(values)
        with pytest.raises(ValueError, match="confidence must be at least one, all finite"):
            calibration_error(values, torch.ones(len(values), dtype=torch.bool))
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"confidence must be in \[0, 1\]"):
            calibration_error(torch.tensor([0.5, wrong]), torch.tensor([True, False]))
    with pytest.raises(ValueError, match="labels must be at least 1, got 0"):
        top_share(torch.tensor([], dtype=torch.long))
