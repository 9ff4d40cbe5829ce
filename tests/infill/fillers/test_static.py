"""Gray, mean and noise against what they are defined to be, computed independently."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lime.lime_image import LimeImageExplainer
from torch import Tensor

from infill import Gray, Mean, Noise


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_gray_is_zero_after_normalization(image, holes):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalized = (Gray()(image, holes) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.equal(normalized, torch.zeros_like(normalized))


def test_gray_paints_any_color_on_every_image(images, holes):
    fill = Gray((1.0, 0.0, 0.25))(images, holes)
    assert fill.shape == images.shape
    assert torch.equal(fill[2, :, 5, 7], torch.tensor([1.0, 0.0, 0.25]))


def test_gray_takes_no_memory_of_its_own(image, holes):
    assert Gray()(image, holes).untyped_storage().nbytes() == 3 * 4


def test_gray_has_one_value_per_channel(image, holes):
    one_channel = image[:, :1]
    assert Gray((0.5,))(one_channel, holes).unique().tolist() == [0.5]
    with pytest.raises(ValueError, match="color must be of 1 channels as the image"):
        Gray()(one_channel, holes)


@pytest.mark.parametrize("color", [(), 0.5, (0.5, 1.1, 0.5), (-0.1,), (float("nan"), 0.0, 0.0)], ids=str)
def test_gray_refuses_what_is_no_color(color):
    with pytest.raises(ValueError, match=r"color must be values in \[0, 1\]"):
        Gray(color)


def test_mean_of_the_image(images, holes):
    fill = Mean()(images, holes)
    expected = images.double().numpy().mean((2, 3))
    assert fill.shape == images.shape
    assert np.allclose(fill[:, :, 3, 4], expected, atol=1e-6)
    assert torch.equal(fill, fill[:, :, :1, :1].expand_as(fill))


def test_mean_of_segments_is_what_lime_fills_with(image, holes):
    """The ``lime`` package hides a segment by its mean color; reproduce its fudged image."""
    generator = np.random.default_rng(0)
    segments = generator.integers(0, 6, (24, 32))
    pixels = image[0].permute(1, 2, 0).double().numpy()
    seen = []

    def classifier(batch: np.ndarray) -> np.ndarray:
        seen.extend(batch)
        return np.ones((len(batch), 2))

    LimeImageExplainer(random_state=0).explain_instance(
        pixels,
        classifier,
        num_samples=40,
        num_features=2,
        top_labels=1,
        segmentation_fn=lambda _: segments,
    )
    fill = (
        Mean("segment", segments=torch.from_numpy(segments))(image.double(), holes)[0]
        .permute(1, 2, 0)
        .numpy()
    )
    removed = [(sample != pixels).any(-1) for sample in seen]
    assert sum(gone.any() for gone in removed) > 30
    for sample, gone in zip(seen, removed, strict=True):
        assert np.allclose(sample[gone], fill[gone], atol=1e-12)


def test_mean_of_segments_per_image(images, holes):
    segments = torch.stack(
        [torch.full((24, 32), 9), torch.arange(24)[:, None].expand(24, 32), torch.eye(24, 32).long()]
    )
    fill = Mean("segment", segments=segments)(images, holes)
    assert torch.allclose(fill[0], images[0].mean((1, 2), keepdim=True).expand(3, 24, 32), atol=1e-6)
    assert torch.allclose(fill[1], images[1].mean(2, keepdim=True).expand(3, 24, 32), atol=1e-6)
    diagonal = images[2].diagonal(dim1=1, dim2=2).mean(1)
    assert torch.allclose(fill[2].diagonal(dim1=1, dim2=2), diagonal[:, None].expand(3, 24), atol=1e-6)


def test_mean_of_segments_keeps_labels_apart_that_are_far_apart(image, holes):
    labels = torch.where(image[0, 0] > image[0, 0].median(), 10**12, -7)
    fill = Mean("segment", segments=labels)(image, holes)
    assert len(fill[0].flatten(1).unique(dim=1).T) == 2


@pytest.mark.parametrize("shape", [(24, 31), (2, 24, 32)], ids=str)
def test_mean_refuses_segments_that_do_not_fit(shape, images, holes):
    with pytest.raises(ValueError, match="segments must be of"):
        Mean("segment", segments=torch.zeros(shape, dtype=torch.long))(images, holes)


def test_mean_refuses_contradictions():
    segments = torch.zeros(4, 4, dtype=torch.long)
    with pytest.raises(
        ValueError, match="segments must be given with kind 'segment', and with no other, got None"
    ):
        Mean("segment")
    with pytest.raises(ValueError, match="segments must be given with kind 'segment', and with no other"):
        Mean("image", segments=segments)
    with pytest.raises(ValueError, match="window must be odd and between 1 and 9999, got 4"):
        Mean("local", window=4)
    with pytest.raises(ValueError, match="window must be odd and between 1 and 9999, got -1"):
        Mean("local", window=-1)


@pytest.mark.parametrize("filler", [Mean, Noise])
def test_unknown_kinds_are_named(filler, unchecked_shapes):
    with pytest.raises(ValueError, match=r"kind must be one of \(.*\), got 'median'"):
        filler("median")


@settings(max_examples=10)
@given(height=st.integers(1, 30), width=st.integers(1, 30), window=st.sampled_from([1, 3, 15]))
def test_local_mean_counts_only_what_lies_inside(height, width, window, smooth_image):
    """Against SciPy: the box sum of the image over the box sum of ones."""
    image = smooth_image(height, width)
    fill = Mean("local", window=window)(image, torch.zeros(1, 1, height, width))

    def box(plane: np.ndarray) -> np.ndarray:
        return scipy.ndimage.uniform_filter(plane, window, mode="constant")

    ones = box(np.ones((height, width)))
    expected = np.stack([box(plane) / ones for plane in image[0].double().numpy()])
    assert np.allclose(fill[0], expected, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_widths_of_noise_are_positive_and_finite(value):
    with pytest.raises(ValueError, match=r"std must be (positive|at most 1000), got"):
        Noise("gaussian", std=value)


def draws(filler: Noise, count: int = 200) -> Tensor:
    """Many fills of one 16 x 16 image, from one generator."""
    return filler(torch.zeros(1, 3, 16, 16), torch.ones(count, 1, 16, 16), seeded(5))


def test_uniform_noise_is_uniform():
    noise = draws(Noise())
    assert scipy.stats.kstest(noise.flatten().numpy(), "uniform").pvalue > 1e-3
    assert correlation_of_neighbors(noise) < 0.02


def test_gaussian_noise_is_normal_around_the_middle():
    noise = draws(Noise("gaussian", std=0.1))
    assert scipy.stats.kstest(noise.flatten()[:20000].numpy(), "norm", (0.5, 0.1)).pvalue > 1e-3
    assert correlation_of_neighbors(noise) < 0.02


def test_color_noise_scatters_around_one_color_per_hole():
    noise = draws(Noise("color", std=0.02))
    colors = noise.mean((2, 3))
    assert scipy.stats.kstest(colors.flatten().numpy(), "uniform").pvalue > 1e-3
    inner = ((colors > 0.1) & (colors < 0.9)).all(1)  # away from 0 and 1, where clamping bites
    scatter = (noise - colors[:, :, None, None])[inner]
    assert scipy.stats.kstest(scatter.flatten()[:20000].numpy(), "norm", (0, 0.02)).pvalue > 1e-3


def test_wide_noise_is_clamped():
    noise = draws(Noise("gaussian", std=5.0), count=4)
    assert noise.min() == 0
    assert noise.max() == 1


def test_noise_differs_between_holes_and_between_generators(image, holes):
    fill = Noise()(image, holes, seeded(0))
    assert not torch.equal(fill[0], fill[1])
    assert not torch.equal(fill, Noise()(image, holes, seeded(1)))


def test_noise_leaves_the_global_generator_alone(image, holes):
    before = torch.random.get_rng_state()
    Noise("color")(image, holes, seeded())
    assert torch.equal(before, torch.random.get_rng_state())


def correlation_of_neighbors(noise: Tensor) -> float:
    left, right = noise[..., :-1].flatten(), noise[..., 1:].flatten()
    return float(torch.corrcoef(torch.stack([left, right]))[0, 1].abs())


def test_noise_with_a_seed_is_one_image_for_all_holes_and_images(image, holes):
    once = Noise(seed=3)
    assert (once.per_hole, once.stochastic) == (False, False)
    fill = once(image, holes)
    assert fill.shape == image.shape
    assert torch.equal(fill, once(torch.zeros_like(image), 1 - holes))
    assert not torch.equal(fill, Noise(seed=4)(image, holes))
    assert scipy.stats.kstest(fill.flatten().numpy(), "uniform").pvalue > 1e-3
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        Noise(seed=-1)


@pytest.mark.parametrize("kind", ["uniform", "gaussian", "color"])
def test_noise_does_not_follow_torchs_default_number_type(image, holes, kind):
    expected = Noise(kind, seed=3)(image, holes)
    torch.set_default_dtype(torch.float64)
    try:
        found = Noise(kind, seed=3)(image, holes)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, expected)
