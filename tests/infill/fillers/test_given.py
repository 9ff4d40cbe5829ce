"""Fills that are given."""

import pytest
import torch

from attribution import MaskedScore
from infill import Blur, Given


def test_it_shows_what_is_given(images, holes):
    one, all_of_them = images[0], images.flip(3)
    assert torch.equal(Given(one)(images, holes), one.expand_as(images))
    assert torch.equal(Given(all_of_them)(images, holes), all_of_them)
    assert Given(one.double())(images, holes).dtype == images.dtype


def test_given_the_blur_a_score_is_that_of_the_blur(images):
    def brightness(shown):
        bright = shown.mean((1, 2, 3))
        return torch.stack([bright, -bright], dim=1)

    everything = torch.ones_like(images[:, :1])
    blurred = MaskedScore(images, 0, brightness, Blur(2.0))
    given = MaskedScore(images, 0, brightness, Given(Blur(2.0)(images, everything)))
    soft = torch.rand(len(images), 1, *images.shape[2:], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(given(soft), blurred(soft), rtol=0, atol=0)
    torch.testing.assert_close(given[1](soft[1:2]), blurred[1](soft[1:2]), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.zeros(8, 8), r"pixels must be of shape c h w or b c h w, got \(8, 8\)"),
        (torch.full((3, 8, 8), 1.5), r"pixels must be in \[0, 1\], without NaN, got '1\.5 to 1\.5'"),
        (torch.full((3, 8, 8), torch.nan), r"pixels must be in \[0, 1\], without NaN, got 'nan to nan'"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_pixels_are_named(pixels, message):
    with pytest.raises(ValueError, match=message):
        Given(pixels)


def test_other_images_are_refused(images, holes):
    for pixels in (torch.zeros(3, 8, 8), torch.zeros(2, *images.shape[1:])):
        with pytest.raises(ValueError, match="pixels must be of the images' shape"):
            Given(pixels)(images, holes)
