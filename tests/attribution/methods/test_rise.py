"""RISE: its closed form on a linear classifier, its normalizations, its streaming."""

import numpy as np
import pytest
import skimage.transform
import torch
from planted import Linear, Network

from attribution import Execution, MaskedScore, Rise, logit
from attribution.holes import RandomGridHoles
from infill import Blur, Gray

BLACK = Gray((0.0, 0.0, 0.0))


@pytest.mark.parametrize("normalize", ["probability", "mass"])
def test_heatmap_is_the_weighted_mean_of_the_masks(image, normalize):
    score = MaskedScore(image, 1, Network(), Blur())
    explainer = Rise(masks=50, cells=3, keep=0.4, normalize=normalize, seed=4)
    holes = explainer.holes(score)[0:50]
    values = score.with_execution(batch_size=1)(holes)
    kept = 1 - holes[:, 0]
    total = sum(value * mask for value, mask in zip(values, kept, strict=True))
    expected = total / (50 * 0.4 if normalize == "probability" else kept.sum(dim=0))
    torch.testing.assert_close(explainer(score)[0], expected, rtol=1e-5, atol=1e-6)


def closed_form(network: Linear, image: torch.Tensor, cells: int, keep: float, mode: str) -> torch.Tensor:
    """E[score * kept] / keep when black is filled in and the score is linear in the pixels.

    A mask is ``kept_q = sum_c B_qc g_c`` with independent cells g and bilinear weights B that sum to 1, so
    ``E[kept_p kept_q] = keep^2 + keep (1 - keep) sum_c B_pc B_qc``, averaged over the offsets.
    """
    height, width = image.shape[2:]
    high, wide = -(-height // cells), -(-width // cells)
    unit = torch.eye(cells * cells).view(-1, cells, cells).numpy()
    size = ((cells + 1) * high, (cells + 1) * wide)
    resized = [skimage.transform.resize(one, size, order=1, mode=mode, anti_aliasing=False) for one in unit]
    large = torch.from_numpy(np.stack(resized))
    offsets = [(down, across) for down in range(high) for across in range(wide)]
    overlap = torch.zeros(height * width, height * width)
    for down, across in offsets:
        weights = large[:, down : down + height, across : across + width].flatten(1)
        overlap += weights.T @ weights / len(offsets)
    evidence = (network.weight[1].detach() * image[0]).sum(dim=0).flatten()
    moments = keep**2 + keep * (1 - keep) * overlap
    return (network.bias[1].detach() + moments @ evidence / keep).view(height, width)


@pytest.mark.parametrize(("border", "mode"), [("mirrored", "reflect"), ("constant", "edge")])
@pytest.mark.parametrize(("height", "width", "cells", "keep"), [(8, 10, 2, 0.5), (9, 7, 3, 0.3)])
def test_expectation_on_a_linear_classifier_is_the_closed_form(
    smooth_image, height, width, cells, keep, border, mode
):
    image, network = smooth_image(height, width), Linear(height=height, width=width)
    score = MaskedScore(image, 1, network, BLACK, link=logit, execution=Execution(batch_size=2000))
    expected = closed_form(network, image, cells, keep, mode)
    repeats = torch.stack([Rise(8000, cells, keep, border=border, seed=seed)(score)[0] for seed in range(30)])
    error = (repeats.mean(dim=0) - expected).abs()
    spread = repeats.std(dim=0) / len(repeats) ** 0.5
    assert (error < 5 * spread).all()
    assert float(spread.max()) < 0.1 * float(expected.std()), "the test must be able to fail"


def test_one_cell_keeps_all_or_nothing(image):
    network = Linear()
    score = MaskedScore(image, 1, network, BLACK, link=logit)
    heatmap = Rise(masks=200, cells=1, normalize="mass")(score)
    torch.testing.assert_close(heatmap, score.clean[:, None, None].expand(1, 24, 32), rtol=1e-4, atol=1e-5)


def test_a_pixel_that_is_never_kept_has_no_evidence(image):
    explainer = Rise(masks=1, cells=1, keep=0.001, normalize="mass")
    score = MaskedScore(image, 1, Network())
    assert explainer.holes(score)[0:1].min() == 1
    assert torch.equal(explainer(score), torch.zeros(1, 24, 32))


@pytest.mark.parametrize("border", ["mirrored", "constant"])
def test_masks_end_at_the_border_as_asked(image, border):
    explainer = Rise(masks=20, cells=5, border=border)
    holes = explainer.holes(MaskedScore(image, 1, Network()))
    assert torch.equal(holes[0:20], RandomGridHoles(20, (24, 32), 5, border=border)[0:20])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": 0}, "masks must be at least 1, got 0"),
        ({"cells": 0}, "cells must be at least 1, got 0"),
        ({"keep": 0.0}, "keep must be between 0 and 1, got 0"),
        ({"keep": 1.0}, "keep must be between 0 and 1, got 1"),
        ({"normalize": "sum"}, "normalize must be one of .*mass.*, got 'sum'"),
        ({"border": "black"}, "border must be one of .*mirrored.*, got 'black'"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Rise(**change)
