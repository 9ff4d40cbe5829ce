"""Agreement of heatmaps: against numpy, scipy and torchmetrics, and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from skimage.feature import hog
from torchmetrics.functional.image import structural_similarity_index_measure

from attribution.evaluation.agreement import (
    AGREEMENTS,
    agreement,
    agreement_across,
    hog_correlation,
    pixel_deviation,
    rank_correlation,
    ssim,
)


def heatmaps(count: int, seed: int = 0, size: tuple[int, int] = (64, 80)) -> torch.Tensor:
    return torch.rand(count, *size, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 99), scale=st.floats(0.1, 50), shift=st.floats(-3, 3))
@settings(max_examples=20)
def test_scale_and_shift_do_not_matter(seed, scale, shift):
    a, b = heatmaps(2, seed)
    for name, alike in AGREEMENTS.items():
        assert alike(a * scale + shift, b) == pytest.approx(alike(a, b), abs=1e-3), name
        assert alike(a, a * scale + shift) == pytest.approx(1, abs=1e-3), name


def test_spearman_is_pearson_of_ranks():
    a, b = heatmaps(2, 1)
    b = (b * 5).round()  # with ties
    ranks = [rankdata(each.numpy().ravel()) for each in (a, b)]
    assert rank_correlation(a, b) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert rank_correlation(a, -a) == pytest.approx(-1)


def test_ssim_is_that_of_torchmetrics_with_the_same_window():
    from skimage.metrics import structural_similarity

    a, b = heatmaps(2, 2)
    a, b = ((each - each.min()) / (each.max() - each.min()) for each in (a, b))
    gaussian = structural_similarity(
        a.numpy(), b.numpy(), data_range=1.0, gaussian_weights=True, use_sample_covariance=False, sigma=1.5
    )
    other = structural_similarity_index_measure(a[None, None], b[None, None], data_range=1.0)
    assert gaussian == pytest.approx(float(other), abs=0.01)
    assert ssim(a, b) == pytest.approx(structural_similarity(a.numpy(), b.numpy(), data_range=1.0), abs=1e-6)


def test_hog_is_pearson_of_the_features():
    a, b = heatmaps(2, 3)
    features = [hog(each.double().numpy(), pixels_per_cell=(16, 16)) for each in (a, b)]
    assert hog_correlation(a, b) == pytest.approx(np.corrcoef(*features)[0, 1], abs=0.02)


def test_a_heatmap_of_one_value_agrees_with_nothing():
    flat = torch.full((64, 64), 0.3)
    other = heatmaps(1, 4, (64, 64))[0]
    assert rank_correlation(flat, other) == hog_correlation(flat, other) == 0
    assert rank_correlation(flat, flat) == 0
    assert ssim(flat, flat) == pytest.approx(1)
    assert np.isfinite(ssim(flat, other))


def test_all_pairs_count():
    maps = heatmaps(4, 5)
    expected = np.mean([rank_correlation(maps[i], maps[j]) for i in range(4) for j in range(i)])
    assert agreement(maps)["spearman"] == pytest.approx(expected)
    across = agreement_across(maps[:1], maps[1:])
    assert across["ssim"] == pytest.approx(np.mean([ssim(maps[0], each) for each in maps[1:]]))
    assert set(across) == set(AGREEMENTS)


def test_deviation():
    maps = torch.stack([torch.zeros(5, 6), torch.full((5, 6), 2.0)])
    assert pixel_deviation(maps) == pytest.approx(1)
    assert pixel_deviation(heatmaps(7)) == pytest.approx(heatmaps(7).numpy().std(axis=0).mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: agreement(heatmaps(1)), "heatmaps must be at least two to be compared, got 1"),
        (lambda: pixel_deviation(heatmaps(1)), "at least two"),
        (lambda: agreement_across(heatmaps(0), heatmaps(1)), "at least one on either side"),
        (lambda: ssim(torch.zeros(8, 8), torch.zeros(8, 9)), "of one size"),
        (lambda: ssim(torch.full((8, 8), torch.nan), torch.zeros(8, 8)), "finite"),
        (lambda: ssim(torch.zeros(5, 5), torch.zeros(5, 5)), "at least 7 pixels"),
        (lambda: hog_correlation(torch.zeros(40, 64), torch.zeros(40, 64)), "at least 48 pixels"),
    ],
)
def test_refused(call, message, unchecked_shapes):
    with pytest.raises(ValueError, match=message):
        call()
