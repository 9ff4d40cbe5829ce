"""Telea, Navier-Stokes and biharmonic inpainting: what they fill, and what they never read."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.restoration import inpaint_biharmonic
from torch import Tensor

from infill import Biharmonic, NavierStokes, Telea, composite
from infill.fillers.static import IMAGENET_MEAN

OPENCV = {"telea": (Telea, cv2.INPAINT_TELEA), "navier-stokes": (NavierStokes, cv2.INPAINT_NS)}
every_kind = pytest.mark.parametrize("kind", [Telea, NavierStokes, Biharmonic])
opencv = pytest.mark.parametrize(("kind", "method"), OPENCV.values(), ids=OPENCV)


def square(top: int, left: int, side: int, size: int = 40) -> Tensor:
    hole = torch.zeros(1, 1, size, size)
    hole[..., top : top + side, left : left + side] = 1
    return hole


def ramp(size: int = 40) -> Tensor:
    """An image that is linear in x and y, in steps of whole 8-bit values."""
    rows, columns = torch.arange(size)[:, None], torch.arange(size)
    return torch.stack([rows + 0 * columns, columns + 0 * rows, 2 * rows + columns])[None] / 255.0


@opencv
@pytest.mark.parametrize("radius", [1, 3, 6])
def test_inside_the_image_the_fill_is_opencvs(kind, method, radius, smooth_image):
    image, hole = smooth_image(40, 40), square(12, 14, 11)
    fill = kind(radius)(image, hole)[0].permute(1, 2, 0).numpy()
    pixels = np.rint(image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    mask = hole[0, 0].numpy().astype(np.uint8)
    expected = cv2.inpaint(np.where(mask[..., None] == 1, 0, pixels).astype(np.uint8), mask, radius, method)
    assert np.array_equal(np.rint(fill * 255)[mask == 1], expected[mask == 1])
    assert not np.array_equal(expected[mask == 1], pixels[mask == 1])


def test_biharmonic_is_scikit_images(image, holes):
    fill = Biharmonic()(image.double(), holes)
    pixels = image[0].permute(1, 2, 0).double().numpy()
    for index in range(3):
        mask = holes[index, 0].numpy() == 1
        expected = inpaint_biharmonic(pixels, mask, channel_axis=-1)
        assert np.allclose(fill[index].permute(1, 2, 0).numpy(), expected, atol=1e-9)


def test_biharmonic_continues_a_ramp_exactly():
    """A plane solves the biharmonic equation."""
    image, hole = ramp(), square(10, 15, 12)
    assert torch.allclose(composite(image, hole, Biharmonic()(image, hole)), image, atol=1e-5)


@every_kind
@pytest.mark.parametrize("place", ["corner", "row", "border", "all but a pixel", "scattered"])
def test_a_flat_image_stays_flat(kind, place):
    """Nothing but the one observed value may come up, also along the border and in corners.

    By itself OpenCV leaves pixels of such holes unfilled, or mixes hidden pixels into them.
    """
    hole = torch.zeros(1, 1, 20, 20)
    if place == "corner":
        hole[..., :10, :10] = 1
    elif place == "row":
        hole[..., 0, :] = 1
    elif place == "border":
        hole[:] = 1
        hole[..., 1:-1, 1:-1] = 0
    elif place == "all but a pixel":
        hole[:] = 1
        hole[..., 7, 3] = 0
    else:
        hole = (torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0)) < 0.6).float()
    flat = torch.full((1, 3, 20, 20), 128 / 255)
    lying = torch.where(hole.bool(), 1.0, flat)
    assert torch.allclose(kind()(lying, hole), flat, atol=1e-6)


@opencv
@settings(max_examples=60)
@given(
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    radius=st.sampled_from([1, 3, 50]),
    share=st.sampled_from([0.1, 0.5, 0.9]),
    seed=st.integers(0, 10**6),
)
def test_opencv_reads_no_hidden_pixel(kind, method, height, width, radius, share, seed):
    """Whatever stands in for the hidden pixels (zero in the filler) must not matter."""
    generator = np.random.default_rng(seed)
    hidden = generator.random((height, width)) < share
    pixels = generator.random((height, width, 3))
    solve = kind(radius)._inpaint
    if not hidden.all():
        black, white = (solve(np.where(hidden[..., None], value, pixels), hidden) for value in (0.0, 1.0))
        assert np.array_equal(black, white)


@every_kind
def test_with_nothing_observed_the_fill_is_the_empty_color(kind, images):
    hole = torch.ones(3, 1, 24, 32)
    expected = torch.tensor(IMAGENET_MEAN).view(3, 1, 1).expand_as(images)
    assert torch.equal(kind()(images, hole), expected)
    red = kind(empty=(1.0, 0.0, 0.0))(images, hole)
    assert torch.equal(red[:, :, 0, 0], torch.tensor([[1.0, 0.0, 0.0]] * 3))


@every_kind
def test_with_nothing_hidden_the_fill_is_the_image(kind, images):
    assert torch.equal(kind()(images, torch.zeros(3, 1, 24, 32)), images)


@every_kind
def test_the_threshold_says_what_is_hidden(kind, image, holes):
    soft = holes * 0.4
    assert torch.equal(kind()(image, soft), image.expand(3, -1, -1, -1))
    assert torch.equal(kind(threshold=0.4)(image, soft), kind()(image, holes))


@every_kind
def test_better_than_gray(kind, assets):
    """On photographs, a continued surrounding is nearer to the truth than a constant color."""
    names = sorted((assets / "imagenet_val" / "images").iterdir())[:12]
    photos = [
        cv2.resize(cv2.imread(str(name))[..., ::-1], (96, 96), interpolation=cv2.INTER_AREA) for name in names
    ]
    images = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2) / 255.0
    hole = square(40, 36, 12, size=96).expand(len(images), -1, -1, -1)
    gray = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    inside = hole.bool().expand_as(images)
    error = (kind()(images, hole) - images)[inside].abs().mean()
    assert error < 0.7 * (gray - images)[inside].abs().mean()


def test_biharmonic_at_reduced_size_is_near_the_exact_one():
    image, hole = ramp(), square(8, 10, 20)
    reduced = Biharmonic(side=20)(image, hole)
    assert (reduced - image).abs().max() <= 2.0 / 255
    assert not torch.equal(reduced, Biharmonic()(image, hole))


def test_biharmonic_reduces_only_what_is_larger(smooth_image):
    image, hole = smooth_image(20, 30), torch.zeros(1, 1, 20, 30)
    hole[..., 5:12, 6:20] = 1
    assert torch.equal(Biharmonic(side=20)(image, hole), Biharmonic()(image, hole))


def test_biharmonic_reduces_over_the_observed_pixels_alone(smooth_image):
    """Of every 2 x 2 cell one pixel is observed: nothing is left to solve, its color fills the cell."""
    image, hole = smooth_image(16, 16), torch.ones(1, 1, 16, 16)
    hole[..., ::2, ::2] = 0
    fill = Biharmonic(side=8)(image, hole)
    expected = torch.nn.functional.interpolate(image[..., ::2, ::2], (16, 16), mode="bilinear")
    assert torch.allclose(fill, expected, atol=1e-6)


@every_kind
def test_only_rgb(kind, image, holes):
    with pytest.raises(ValueError, match=r"image must be RGB \(3 channels\) for this filler"):
        kind()(image[:, :1], holes)


@every_kind
@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.5, float("nan")])
def test_thresholds_out_of_range_are_refused(kind, threshold):
    with pytest.raises(ValueError, match=r"threshold must be in \(0, 1\], got"):
        kind(threshold=threshold)


def test_other_parameters_out_of_range_are_refused():
    for kind in (Telea, NavierStokes):
        for radius in (0, 101):
            with pytest.raises(ValueError, match=f"radius must be at (least 1|most 100), got {radius}"):
                kind(radius)
    with pytest.raises(ValueError, match="side must be at least 1, got 0"):
        Biharmonic(side=0)
    with pytest.raises(ValueError, match="empty must be an RGB color"):
        Telea(empty=(0.5,))
    with pytest.raises(ValueError, match=r"empty must be values in \[0, 1\]"):
        Biharmonic(empty=(0.5, 2.0, 0.5))
