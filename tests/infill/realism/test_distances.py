"""Distances of sets of features against torchmetrics, closed forms and loops; the probe and its chance."""

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.format import open_memmap
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid
from torchmetrics.image.kid import poly_mmd

from infill.realism import distances as feature_distances
from infill.realism.distances import frechet_distance, kernel_distance, two_sample_accuracy
from infill.realism.resampling import bootstrap, mean, split

DISTANCES = pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def sets(count, width, seed=0):
    """Features of real images and of composites that have something in common with them."""
    real = normal(count, width, seed=seed) @ normal(width, width, seed=seed + 1)
    spread = 1 + 0.3 * normal(width, seed=seed + 2)
    return (real + normal(count, width, seed=seed + 3)) * spread + 0.5, real


def value(distance, features, real):
    return distance(features, real, rng()).value


def root_trace(one, other):
    """The trace of the root of the product of two covariances, by roots of symmetric matrices only."""
    eigenvalues, axes = np.linalg.eigh(one)
    root = axes * np.sqrt(np.maximum(eigenvalues, 0)) @ axes.T
    return np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()


@pytest.mark.parametrize(("count", "width", "tolerance"), [(200, 12, 1e-9), (21, 12, 1e-8), (15, 40, 1e-5)])
def test_frechet_distance_equals_torchmetrics_and_scipy(count, width, tolerance):
    features, real = sets(count, width)
    moments = [moment for rows in (features, real) for moment in (rows.mean(0), rows.T.cov())]
    ours = value(frechet_distance, features, real)
    assert ours == pytest.approx(float(_compute_fid(*moments)), rel=tolerance)
    (mean_1, cov_1), (mean_2, cov_2) = ((m.numpy(), c.numpy()) for m, c in (moments[:2], moments[2:]))
    rest = ((mean_1 - mean_2) ** 2).sum() + np.trace(cov_1) + np.trace(cov_2)
    assert ours == pytest.approx(rest - 2 * root_trace(cov_1, cov_2), rel=max(tolerance / 10, 1e-9))
    if count > width:
        assert ours == pytest.approx(rest - 2 * np.trace(scipy.linalg.sqrtm(cov_1 @ cov_2)).real, rel=1e-8)


@pytest.mark.filterwarnings("ignore:Metric .* will save all:UserWarning")
def test_frechet_distance_equals_torchmetrics_class():
    features, real = sets(90, 8)
    identity = nn.Identity()
    identity.num_features = 8
    theirs = FrechetInceptionDistance(feature=identity).set_dtype(torch.float64)
    theirs.update(real, real=True)
    for batch in features.split(40):
        theirs.update(batch, real=False)
    assert value(frechet_distance, features, real) == pytest.approx(float(theirs.compute()), rel=1e-8)


def cross(center, deviation):
    """Images of exactly this mean and these deviations, uncorrelated: two on each axis."""
    arms = torch.diag(deviation * ((2 * len(center) - 1) / 2) ** 0.5)
    return center + torch.cat([arms, -arms])


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 9))
def test_frechet_distance_of_diagonal_normals_is_closed_form(seed, width):
    centers, deviations = normal(2, width, seed=seed), normal(2, width, seed=seed + 1).exp()
    ours, theirs = (cross(*moments) for moments in zip(centers, deviations, strict=True))
    torch.testing.assert_close(ours.T.cov().view(width, width), deviations[0].square().diag())
    expected = (centers.diff(dim=0).square() + deviations.diff(dim=0).square()).sum()
    assert value(frechet_distance, ours, theirs) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)


def kernel_loop(features, real):
    """Gretton et al. 2012, eq. 4, image by image."""
    n, d = features.shape

    def k(x, y):
        return (float(x @ y) / d + 1) ** 3

    total = 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                total += k(features[i], features[j]) + k(real[i], real[j])
                total -= k(features[i], real[j]) + k(features[j], real[i])
    return total / (n * (n - 1))


@pytest.mark.parametrize(("count", "width"), [(2, 3), (9, 1), (26, 4), (45, 60)])
def test_kernel_distance_equals_a_double_loop(count, width):
    features, real = sets(count, width)
    expected = kernel_loop(features, real)
    assert value(kernel_distance, features, real) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_equals_torchmetrics_up_to_the_pairs():
    # Ours leaves out of the cross term C = sum_ij k(x_i, y_j) what an image's two versions have in common,
    # D = sum_i k(x_i, y_i): theirs = (S_x + S_y) / (n (n - 1)) - 2 C / n^2, and
    # ours = (S_x + S_y) / (n (n - 1)) - 2 (C - D) / (n (n - 1)).
    features, real = sets(60, 7)
    n, d = features.shape
    cross_term = (features @ real.T / d + 1) ** 3
    total, paired = float(cross_term.sum()), float(cross_term.trace())
    theirs = float(poly_mmd(real, features))
    expected = theirs + 2 * total / n**2 - 2 * (total - paired) / (n * (n - 1))
    ours = value(kernel_distance, features, real)
    assert ours == pytest.approx(expected, rel=1e-9)
    assert abs(ours - theirs) > 0.01 * abs(ours), "what the pairs have in common counts"


@pytest.mark.parametrize(("count", "width"), [(2, 3), (41, 6), (15, 60)])
def test_a_set_is_not_apart_from_itself(count, width):
    features, _ = sets(count, width)
    kernel = kernel_distance(features, features.clone(), rng())
    assert kernel.value == 0
    assert torch.equal(kernel.replicates, torch.zeros(len(kernel.replicates), dtype=torch.float64))
    scale = float(features.T.cov().trace())
    assert 0 <= value(frechet_distance, features, features.clone()) < 1e-12 * scale


def test_the_kernel_distance_of_one_distribution_is_not_surely_above_zero():
    same = kernel_distance(normal(300, 5, seed=1), normal(300, 5, seed=2), rng())
    assert not same.sure
    assert kernel_distance(normal(300, 5, seed=1) + 0.5, normal(300, 5, seed=2), rng()).sure


@DISTANCES
@pytest.mark.parametrize(("count", "width"), [(50, 6), (12, 30)])
def test_distances_are_symmetric(distance, count, width):
    features, real = sets(count, width)
    there, back = distance(features, real, rng()), distance(real, features, rng())
    assert there.value == pytest.approx(back.value, rel=1e-9)
    torch.testing.assert_close(there.replicates, back.replicates, rtol=1e-9, atol=0)


@DISTANCES
@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), groups=st.integers(1, 30))
def test_the_order_of_images_and_their_groups_do_not_matter(distance, seed, groups):
    features, real = sets(25, 6)
    expected = value(distance, features, real)
    order = torch.randperm(25, generator=rng(seed))
    again = distance(features[order], real[order], rng(seed), groups).value
    assert again == pytest.approx(expected, rel=1e-9)
    if distance is frechet_distance:  # which knows no pairs
        assert distance(features[order], real, rng(), groups).value == pytest.approx(expected, rel=1e-9)


@DISTANCES
@pytest.mark.parametrize(("count", "width", "groups"), [(43, 6, 10), (15, 30, 20), (3, 2, 20)])
def test_replicates_are_the_distances_of_the_images_left_in(distance, count, width, groups):
    features, real = sets(count, width)
    estimate = distance(features, real, rng(3), groups)
    expected = []
    for part in split(count, rng(3), groups):
        rest = torch.ones(count, dtype=torch.bool)
        rest[part] = False
        expected.append(value(distance, features[rest], real[rest]))
    assert estimate.kind == "jackknife"
    assert estimate.replicates.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    low, high = estimate.interval
    assert low < estimate.value < high


@DISTANCES
def test_the_generator_deals_out_the_groups(distance):
    features, real = sets(40, 5)
    one, same, other = (distance(features, real, rng(seed)).replicates for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@DISTANCES
def test_two_images_have_a_distance_but_no_interval(distance):
    features, real = sets(2, 4)
    assert distance(features, real, rng()).interval is None


@DISTANCES
def test_everything_is_computed_in_double_precision(distance):
    features, real = ((rows + 1000 / 3).float() for rows in sets(50, 6))
    assert value(distance, features, real) == value(distance, features.double(), real.double())


def on_disk(path, rows):
    mapped = open_memmap(path, mode="w+", dtype=np.float32, shape=tuple(rows.shape))
    mapped[:] = rows.numpy()
    return torch.from_numpy(mapped)


def test_features_may_be_on_disk(tmp_path):
    pair = [rows.float() for rows in sets(50, 6)]
    mapped = [on_disk(tmp_path / f"{i}.npy", rows) for i, rows in enumerate(pair)]
    for distance in (frechet_distance, kernel_distance):
        ours, expected = distance(*mapped, rng()), distance(*pair, rng())
        assert ours.value == expected.value
        assert torch.equal(ours.replicates, expected.replicates)
    assert torch.equal(two_sample_accuracy(*mapped), two_sample_accuracy(*pair))
    assert all(torch.equal(*both) for both in zip(mapped, pair, strict=True)), "and are left as they are"


def test_the_probe_tells_what_can_be_told():
    real = normal(80, 6)
    right = two_sample_accuracy(real + torch.tensor([5.0, 0, 0, 0, 0, 0]), real)
    assert right.shape == (80,)
    assert float(right.mean()) > 0.97


def test_the_probe_answers_identical_sets_by_chance():
    real = normal(53, 6)
    assert torch.equal(two_sample_accuracy(real.clone(), real), torch.full((53,), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_samples_of_one_distribution_are_told_by_chance(seed):
    right = two_sample_accuracy(normal(400, 8, seed=2 * seed), normal(400, 8, seed=2 * seed + 1), seed)
    assert set(right.tolist()) == {0, 0.5, 1}
    low, high = bootstrap({"it": mean(right)}, 400, rng(seed))["it"].interval
    assert low < 0.5 < high
    assert high - low < 0.1


def test_an_image_does_not_help_to_judge_its_other_version():
    """Images are far apart: whoever knows one version of an image takes the other for the same."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold, cross_val_score

    image = 30 * normal(60, 200)
    features, real = (image + normal(60, 200, seed=seed) for seed in (1, 2))
    rows = torch.cat([real, features]).numpy()
    folds = KFold(5, shuffle=True, random_state=0)
    leaky = cross_val_score(LogisticRegression(C=0.01, max_iter=1000), rows, np.repeat([0, 1], 60), cv=folds)
    assert leaky.mean() < 0.3
    right = two_sample_accuracy(features, real)
    assert float(right.mean()) == pytest.approx(0.5, abs=0.05)


def test_the_probe_is_a_function_of_the_seed():
    features, real = sets(60, 6)
    state = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert torch.equal(two_sample_accuracy(features, real, 1), two_sample_accuracy(features, real, 1))
    assert not torch.equal(two_sample_accuracy(features, real, 1), two_sample_accuracy(features, real, 2))
    assert state == (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002


def test_features_are_standardized():
    features, real = sets(60, 6)
    scale, shift = normal(6, seed=8).exp() * 1000, 100 * normal(6, seed=9)
    moved = two_sample_accuracy(features * scale + shift, real * scale + shift)
    assert torch.equal(moved, two_sample_accuracy(features, real))


def test_the_probe_looks_at_so_many_images_at_most(monkeypatch):
    # The first half can be told, the second is the same: the share of each in the sample is seen in the mean.
    real = normal(120, 4)
    features = real.clone()
    features[:60, 0] += 20
    monkeypatch.setattr(feature_distances, "PROBED", 50)
    drawn = [two_sample_accuracy(features, real, seed) for seed in (0, 1)]
    assert [len(right) for right in drawn] == [50, 50]
    for right in drawn:
        assert 0 < int((right == 0.5).sum()) < 50, "drawn from both halves"
    assert not torch.equal(*drawn)
    monkeypatch.setattr(feature_distances, "PROBED", 120)
    assert len(two_sample_accuracy(features, real)) == 120


ALL = [
    (lambda features, real: frechet_distance(features, real, rng()), 2),
    (lambda features, real: kernel_distance(features, real, rng()), 2),
    (two_sample_accuracy, 10),
    (lambda features, real: two_sample_accuracy(features, real, folds=3), 6),
]


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(("compared", "least"), ALL)
def test_sets_must_fit_be_finite_and_not_too_small(compared, least):
    real = normal(least, 3)
    assert compared(real, real) is not None
    with pytest.raises(ValueError, match=f"features must be of at least {least} images, got {least - 1}"):
        compared(real[1:], real[1:])
    for features in (normal(least + 1, 3), normal(least, 2)):
        with pytest.raises(ValueError, match=rf"features must be of shape \({least}, 3\) as real, got"):
            compared(features, real)
    for wrong in (torch.nan, torch.inf):
        broken = real.clone()
        broken[-1, 1] = wrong
        with pytest.raises(ValueError, match="features must be finite, got 'NaN or infinity'"):
            compared(broken, real)
        with pytest.raises(ValueError, match="real must be finite, got 'NaN or infinity'"):
            compared(real, broken)


def test_a_number_far_down_that_is_none_is_found():
    real = normal(3000, 2)
    broken = real.clone()
    broken[2999, 1] = torch.nan
    with pytest.raises(ValueError, match="features must be finite"):
        kernel_distance(broken, real, rng())
