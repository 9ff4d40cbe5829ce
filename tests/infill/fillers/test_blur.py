"""Blurs against SciPy's, the stages that a soft hole leads through, and what is refused."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import Linear

from attribution import MaskedScore
from infill import Blur, composite
from infill.filler import Staged, staged
from infill.fillers.static import IMAGENET_MEAN


@settings(max_examples=15)
@given(height=st.integers(1, 60), width=st.integers(1, 60), sigma=st.floats(0.05, 20))
def test_blur_is_scipys(height, width, sigma, smooth_image):
    """Of any size: SciPy's ``mirror`` goes on mirrored as often as the kernel needs it, too."""
    image = smooth_image(height, width)
    fill = Blur(sigma)(image, torch.zeros(1, 1, height, width))
    planes = image[0].double().numpy()
    expected = [scipy.ndimage.gaussian_filter(plane, sigma, mode="mirror", truncate=4.0) for plane in planes]
    assert np.allclose(fill[0], np.stack(expected), atol=1e-5)


def test_blur_leaves_a_flat_image_flat(holes):
    flat = torch.full((1, 3, 24, 32), 1.0)
    assert torch.allclose(Blur()(flat, holes), flat, atol=1e-6)


@settings(max_examples=10)
@given(height=st.integers(1, 40), width=st.integers(1, 40), sigma=st.floats(0.05, 20))
def test_what_lies_beyond_can_be_gray(height, width, sigma, smooth_image):
    """As where zeros surround a normalized image."""
    image = smooth_image(height, width)
    fill = Blur(sigma, beyond="gray")(image, torch.zeros(1, 1, height, width))
    for plane, mean, found in zip(image[0].double().numpy(), IMAGENET_MEAN, fill[0], strict=True):
        blurred = scipy.ndimage.gaussian_filter(plane - mean, sigma, mode="constant", truncate=4.0)
        assert np.allclose(found, blurred + mean, atol=1e-5)


def test_a_soft_hole_leads_through_ever_wider_blurs(image):
    """Pixel by pixel: of 5 levels, 3/8 lies between the second and the third."""
    image = image.expand(1, -1, -1, -1) if image.ndim == 4 else image[None]
    filler = Blur(8.0, levels=5)
    everything = torch.ones(1, 1, *image.shape[2:])
    stages = filler.stages(image)
    assert torch.equal(stages[0], image)
    for stage, sigma in zip(stages[1:], (2.0, 4.0, 6.0, 8.0), strict=True):
        assert torch.equal(stage, Blur(sigma)(image, everything))
    for value, first, second, share in (
        (0.375, 1, 2, 0.5),
        (0.0, 0, 1, 0.0),
        (1.0, 4, 4, 0.0),
        (0.5, 2, 3, 0.0),
    ):
        expected = torch.lerp(stages[first], stages[second], share)
        torch.testing.assert_close(staged(stages, value * everything), expected, rtol=0, atol=1e-6)
    hole = torch.rand(1, 1, *image.shape[2:], generator=torch.Generator().manual_seed(0))
    shown = staged(stages, hole)
    for row, column in ((0, 0), (5, 7), (20, 30)):
        at = float(hole[0, 0, row, column]) * 4
        first, second = (stages[int(at) + step, 0, :, row, column] for step in (0, 1))
        expected = torch.lerp(first, second, at - int(at))
        torch.testing.assert_close(shown[0, :, row, column], expected, rtol=0, atol=1e-5)


def test_two_stages_are_a_composite(images, holes):
    soft = torch.rand_like(holes)
    fill = images.flip(3)
    stages = torch.stack([images, fill])
    assert torch.equal(staged(stages, holes), composite(images, holes, fill))
    torch.testing.assert_close(staged(stages, soft), composite(images, soft, fill))
    rows = torch.tensor([2, 0, 2])[: len(holes)]
    expected = composite(images[rows], soft[: len(rows)], fill[rows])
    torch.testing.assert_close(staged(stages, soft[: len(rows)], rows), expected)


def test_the_slope_is_that_between_two_stages(image):
    image = image if image.ndim == 4 else image[None]
    stages = Blur(8.0, levels=5).stages(image)
    hole = torch.full((1, 1, *image.shape[2:]), 0.3, requires_grad=True)
    (slope,) = torch.autograd.grad(staged(stages, hole).sum(), hole)
    expected = 4 * (stages[2] - stages[1]).sum(dim=1, keepdim=True)
    torch.testing.assert_close(slope, expected, rtol=0, atol=1e-4)


def test_the_score_sees_the_stages(image):
    """With and without a gradient, in batches, and of several images; a full hole shows the blur."""
    image = image if image.ndim == 4 else image[None]
    images, filler = torch.cat([image, image.flip(2)]), Blur(8.0, levels=4)
    score = MaskedScore(images, 2, Linear(), filler)
    holes = torch.rand(5, 1, *image.shape[2:], generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([0, 1, 1, 0, 1])
    shown = torch.stack(
        [
            staged(filler.stages(images[row][None]), hole[None])[0]
            for row, hole in zip(rows, holes, strict=True)
        ]
    )
    expected = Linear()(shown).softmax(dim=1)[:, 2]
    for batch_size in (64, 2):
        some = score.with_execution(batch_size=batch_size)
        torch.testing.assert_close(some(holes, rows), expected.detach())
        torch.testing.assert_close(some(holes.clone().requires_grad_(), rows), expected, check_stride=False)
        torch.testing.assert_close(some.perturbed(holes, rows), shown)
    plain = MaskedScore(images, 2, Linear(), Blur(8.0))
    full = torch.ones(2, 1, *image.shape[2:])
    torch.testing.assert_close(score(full), plain(full))
    assert (score(holes, rows) - plain(holes, rows)).abs().max() > 1e-5


def test_two_levels_mix(image):
    assert isinstance(Blur(), Staged)
    assert Blur().stages(image if image.ndim == 4 else image[None]) is None


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1001.0])
def test_widths_are_positive_and_finite(value):
    with pytest.raises(ValueError, match=r"sigma must be (positive|at most 1000), got"):
        Blur(value)


@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_settings_are_named(image):
    for levels, rule in ((1, "at least 2"), (65, "at most 64")):
        with pytest.raises(ValueError, match=f"levels must be {rule}, got {levels}"):
            Blur(levels=levels)
    with pytest.raises(ValueError, match=r"beyond must be one of .*, got 'black'"):
        Blur(beyond="black")
    with pytest.raises(ValueError, match="color must be of 1 channels"):
        Blur(beyond="gray")(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8))
