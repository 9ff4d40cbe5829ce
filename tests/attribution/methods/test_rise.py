"""RISE: its closed form on a linear classifier, its normalizations, its streaming."""

import numpy as np
import pytest
import skimage.transform
import torch
from planted import Linear, Network

from attribution import Execution, MaskedScore, Rise, logit
from attribution.estimate import GROUPS, QUANTILE, ROUND, quantile
from attribution.holes import RandomGridHoles
from infill import Blur, Gray

BLACK = Gray((0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def small(smooth_image) -> MaskedScore:
    """The score of an image that has few pixels, for what takes many masks."""
    return MaskedScore(smooth_image(12, 16), 1, Network(), Blur(), execution=Execution(batch_size=500))


@pytest.fixture(scope="module")
def truth(small) -> torch.Tensor:
    """What very many masks say of it."""
    return Rise(30_000, 4, 0.5, "covariance", seed=99)(small)[0]


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


def closed_form(
    network: Linear, image: torch.Tensor, cells: int, keep: float, mode: str, estimator: str = "paper"
) -> torch.Tensor:
    """E[score * kept] / keep when black is filled in and the score is linear in the pixels; or its slope.

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
    if estimator != "paper":
        return (overlap @ evidence / overlap.diagonal()).view(height, width)
    moments = keep**2 + keep * (1 - keep) * overlap
    return (network.bias[1].detach() + moments @ evidence / keep).view(height, width)


@pytest.mark.parametrize(
    ("border", "mode", "estimator"),
    [
        ("mirrored", "reflect", "paper"),
        ("constant", "edge", "paper"),
        ("mirrored", "reflect", "covariance"),
        ("constant", "edge", "controlled"),
    ],
)
@pytest.mark.parametrize(("height", "width", "cells", "keep"), [(8, 10, 2, 0.5), (9, 7, 3, 0.3)])
def test_expectation_on_a_linear_classifier_is_the_closed_form(
    smooth_image, height, width, cells, keep, border, mode, estimator
):
    image, network = smooth_image(height, width), Linear(height=height, width=width)
    score = MaskedScore(image, 1, network, BLACK, link=logit, execution=Execution(batch_size=2000))
    expected = closed_form(network, image, cells, keep, mode, estimator)
    masks = 8000 if (cells, estimator) == (2, "paper") else 2000  # few cells, all of them in the mean score
    repeats = torch.stack(
        [Rise(masks, cells, keep, estimator, border=border, seed=seed)(score)[0] for seed in range(30)]
    )
    error = (repeats.mean(dim=0) - expected).abs()
    spread = repeats.std(dim=0) / len(repeats) ** 0.5
    assert (error < 5 * spread).all()
    assert float(spread.max()) < 0.1 * float(expected.std()), "the test must be able to fail"


def test_the_covariance_is_that_of_a_plain_loop(image):
    score = MaskedScore(image, 1, Network(), Blur())
    explainer = Rise(masks=50, cells=3, keep=0.4, estimator="covariance", seed=4)
    holes = explainer.holes(score)[0:50]
    values = score.with_execution(batch_size=1)(holes).double().numpy()
    kept = 1 - holes[:, 0].double().numpy()
    expected = np.empty((24, 32))
    for y, x in np.ndindex(expected.shape):
        covariance = np.cov(values, kept[:, y, x], bias=True)
        expected[y, x] = covariance[0, 1] / covariance[1, 1]
    np.testing.assert_allclose(explainer(score)[0].numpy(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("estimator", ["paper", "covariance", "controlled"])
def test_the_error_is_what_other_seeds_make_of_the_map(small, estimator):
    found = [Rise(400, 4, 0.5, estimator, seed=seed).estimate(small) for seed in range(40)]
    spread = torch.stack([each.heatmap[0] for each in found]).std(dim=0)
    told = torch.stack([each.error[0] for each in found]).square().mean(dim=0).sqrt()
    assert 0.85 < float((told / spread).median()) < 1.15


@pytest.mark.parametrize("estimator", ["covariance", "controlled"])
def test_intervals_hold_the_truth(small, truth, estimator):
    found = [Rise(300, 4, 0.5, estimator, seed=seed).estimate(small) for seed in range(40)]
    inside = torch.stack([(each.heatmap[0] - truth).abs() <= QUANTILE * each.error[0] for each in found])
    assert 0.90 <= float(inside.float().mean()) <= 0.98


def test_what_is_known_of_masks_makes_the_same_map_of_fewer(small, truth):
    """A new map from as many masks, by its error to what very many give."""
    plain, controlled = (
        torch.stack([Rise(400, 4, 0.5, each, seed=seed)(small)[0] for seed in range(10)]) - truth
        for each in ("covariance", "controlled")
    )
    assert float(controlled.square().mean()) < 0.6 * float(plain.square().mean())


def test_until_ends_after_the_same_masks_whatever_the_batch_size(image):
    score = MaskedScore(image, 1, Network(), Blur())
    explainer = Rise(5000, 3, 0.5, "covariance", until=0.9, seed=2)
    found = [explainer.estimate(score.with_execution(batch_size=size)) for size in (7, 64, 1000)]
    counts = {int(each.samples) for each in found}
    assert len(counts) == 1
    (count,) = counts
    assert 0 < count < 5000
    told = []
    explainer(score.with_execution(progress=lambda done, total: told.append((done, total))))
    assert told[-1] == (5000, 5000), "fewer are enough, so all is done"
    assert count % ROUND == 0
    assert float(found[0].reliability) >= 0.9
    stricter = Rise(5000, 3, 0.5, "covariance", until=0.98, seed=2).estimate(score)
    assert int(stricter.samples) > count
    torch.testing.assert_close(found[0].heatmap, found[1].heatmap, rtol=1e-3, atol=1e-5)
    # What was not looked at has no part in it: the same masks, one by one.
    holes = explainer.holes(score)[0:count]
    values, kept = score(holes), 1 - holes[:, 0]
    centered = kept - kept.mean(dim=0)
    expected = torch.einsum("n,nhw->hw", values, centered) / centered.square().sum(dim=0)
    torch.testing.assert_close(found[0].heatmap[0], expected, rtol=1e-3, atol=1e-5)


def test_each_image_of_a_batch_ends_by_itself(smooth_image):
    images = torch.cat([smooth_image(24, 32), smooth_image(24, 32).flip(3) * 0.2])
    explainer = Rise(3000, 3, 0.5, "covariance", until=0.9)
    together = explainer.estimate(MaskedScore(images, [1, 1], Network(), Blur()))
    for i in range(2):
        alone = explainer.estimate(MaskedScore(images[i : i + 1], 1, Network(), Blur()))
        assert int(alone.samples) == int(together.samples[i])
        torch.testing.assert_close(alone.heatmap[0], together.heatmap[i], rtol=1e-3, atol=1e-5)


def test_one_mask_tells_nothing_of_its_error(image):
    found = Rise(masks=1, cells=2).estimate(MaskedScore(image, 1, Network()))
    assert bool(found.error.isinf().all())
    assert not bool(found.told.any())
    assert float(found.reliability) == 0
    assert int(found.samples) == 1


def test_pixels_are_told_by_the_slope_whatever_is_shown(small):
    """The mean score of a pixel that does not matter is not 0, its slope is."""
    paper, slope = (Rise(400, 4, 0.5, each, seed=1).estimate(small) for each in ("paper", "covariance"))
    assert torch.equal(paper.told, slope.told)
    assert torch.equal(slope.told, slope.heatmap.abs() > quantile(GROUPS) * slope.error)
    assert 0.1 < float(paper.told.float().mean()) < 0.9


@pytest.mark.parametrize("until", [0.0, 1.0, float("nan"), -0.5])
def test_a_reliability_that_is_none_is_refused(until):
    with pytest.raises(ValueError, match="until"):
        Rise(until=until)


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


def test_what_is_left_of_weights_is_no_evidence(image):
    explainer = Rise(masks=4, cells=7, keep=0.1, estimator="paper", normalize="mass")
    score = MaskedScore(image, 0, Network(), BLACK)
    kept = 1 - explainer.holes(score)[:]
    never = kept.sum(0)[0] < 1e-6
    assert 0 < never.float().mean() < 1
    assert (explainer(score)[0][never] == 0).all()


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


@pytest.mark.parametrize("estimator", ["paper", "covariance", "controlled"])
@pytest.mark.parametrize("masks", [2, 3])
def test_of_very_few_masks_nothing_much_is_told(small, estimator, masks):
    told = [
        Rise(masks, 4, 0.5, estimator, seed=seed).estimate(small).told.float().mean().item()
        for seed in range(20)
    ]
    assert sum(told) / len(told) < 0.25
