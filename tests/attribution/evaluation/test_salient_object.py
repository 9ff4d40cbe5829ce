"""Salient objects against scikit-learn, closed forms, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score, mean_absolute_error, precision_score, recall_score

from attribution.evaluation.salient_object import salient_object

ZEROS = torch.zeros(1, 8, 8)


@settings(max_examples=20)
@given(seed=st.integers(0, 999), share=st.floats(0.02, 0.98))
def test_scikit_learn_says_the_same(seed, share):
    generator = torch.Generator().manual_seed(seed)
    heatmap = torch.randn(3, 9, 11, generator=generator) ** 3
    silhouettes = torch.rand(3, 9, 11, generator=generator) < share
    silhouettes[:, 4, 5] = True
    found = salient_object(heatmap, silhouettes)
    for i in range(3):
        scaled = (heatmap[i] - heatmap[i].min()) / (heatmap[i].max() - heatmap[i].min())
        truth = silhouettes[i].flatten().numpy()
        threshold = min(2 * float(scaled.mean()), 1.0)
        assume(threshold == 1 or float((scaled / threshold - 1).abs().min()) > 1e-4)  # rounding decides
        chosen = (scaled >= threshold).flatten().numpy()
        assert float(found.precision[i]) == pytest.approx(precision_score(truth, chosen), abs=1e-6)
        assert float(found.recall[i]) == pytest.approx(recall_score(truth, chosen), abs=1e-6)
        expected = fbeta_score(truth, chosen, beta=np.sqrt(0.3), zero_division=0.0)
        assert float(found.f[i]) == pytest.approx(expected, abs=1e-6)
        error = mean_absolute_error(truth.astype(float), scaled.flatten().numpy())
        assert float(found.mae[i]) == pytest.approx(error, abs=1e-6)


def test_the_silhouette_itself_is_perfect_and_its_opposite_is_not():
    silhouettes = torch.zeros(1, 8, 8, dtype=torch.bool)
    silhouettes[0, 2:4, 2:5] = True
    best, worst = (
        salient_object(silhouettes.float(), silhouettes),
        salient_object(-silhouettes.float(), silhouettes),
    )
    for figure in (best.precision, best.recall, best.f):
        assert float(figure) == pytest.approx(1)
    assert float(best.mae) == 0
    assert (float(worst.f), float(worst.mae)) == (0, 1)


def test_a_constant_map_finds_everything():
    silhouettes = torch.zeros(1, 8, 8, dtype=torch.bool)
    silhouettes[0, :2] = True
    found = salient_object(torch.full((1, 8, 8), 0.7), silhouettes)
    assert (float(found.precision), float(found.recall), float(found.mae)) == (0.25, 1, 0.25)


@pytest.mark.parametrize(
    ("heatmap", "silhouettes", "message"),
    [
        (
            torch.zeros(1, 8, 8),
            torch.ones(1, 8, 9, dtype=torch.bool),
            r"silhouettes must be of shape \(1, 8, 8\)",
        ),
        (torch.zeros(1, 8, 8), torch.zeros(1, 8, 8, dtype=torch.bool), "silhouettes must be of some pixels"),
        (torch.full((1, 8, 8), torch.inf), torch.ones(1, 8, 8, dtype=torch.bool), "heatmap must be finite"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_what_cannot_be_is_named(heatmap, silhouettes, message):
    with pytest.raises(ValueError, match=message):
        salient_object(heatmap, silhouettes)


def test_a_plateau_that_resizing_left_uneven_is_found_whole():
    """The object takes most of the image, so that twice the mean is above the largest value."""
    silhouettes = torch.zeros(1, 20, 20, dtype=torch.bool)
    silhouettes[0, 2:18, 1:19] = True
    uneven = 1e-6 * torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(0))
    found = salient_object(silhouettes.float() + uneven, silhouettes)
    assert (float(found.precision), float(found.recall)) == (1, 1)


def test_what_the_heatmap_does_not_speak_of_has_no_part_in_the_threshold():
    """As of the part that is seen alone; what of the object lies elsewhere is missed."""
    generator = torch.Generator().manual_seed(4)
    heatmap = torch.rand(2, 10, 12, generator=generator)
    silhouettes = torch.rand(2, 10, 12, generator=generator) < 0.4
    seen = torch.zeros(2, 10, 12, dtype=torch.bool)
    seen[..., 4:9] = True
    found = salient_object(heatmap, silhouettes, seen)
    alone = salient_object(heatmap[..., 4:9], silhouettes[..., 4:9])
    torch.testing.assert_close(found.precision, alone.precision)
    whole, part = (each.sum((1, 2)).float() for each in (silhouettes, silhouettes[..., 4:9]))
    torch.testing.assert_close(found.recall * whole, alone.recall * part)
    torch.testing.assert_close(found.mae * 120, alone.mae * 50 + whole - part)
