"""The filler that takes patches from elsewhere in the image."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from infill import Exemplar, NavierStokes, composite


def square(size: int, side: int) -> Tensor:
    """A hole of ``side`` pixels in the middle of an image of ``size``."""
    hole = torch.zeros(1, 1, size, size)
    low = (size - side) // 2
    hole[..., low : low + side, low : low + side] = 1
    return hole


def stripes(size: int) -> Tensor:
    return (torch.arange(size) % 8 < 4).float().expand(1, 3, size, size) * 0.6 + 0.2


def checks(size: int) -> Tensor:
    line = torch.arange(size) // 8 % 2
    return (line[:, None] ^ line).float().expand(1, 3, size, size) * 0.6 + 0.2


def waves(size: int) -> Tensor:
    """A smooth texture that repeats every 12 rows and 20 columns, in three colors."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    phases = torch.tensor([0.0, 0.7, 1.9])[:, None, None]
    return (0.5 + 0.3 * torch.sin(2 * torch.pi * (y / 12 + x / 20) + phases))[None]


@pytest.mark.parametrize("texture", [stripes, checks, waves])
def test_what_repeats_is_continued_in_the_middle_of_a_hole_of_64_px(texture) -> None:
    image, hole = texture(160), square(160, 64)
    away = (Exemplar()(image, hole) - image)[..., 72:88, 72:88].abs()
    assert away.max() < 1e-2


def test_an_edge_goes_on_straight() -> None:
    image = torch.full((1, 3, 96, 96), 0.2)
    image[..., 48:] = 0.8
    fill = Exemplar()(image, square(96, 24))
    assert (fill - image)[..., :44].abs().max() < 0.02
    assert (fill - image)[..., 52:].abs().max() < 0.02


def test_the_hidden_pixels_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    image, hole = torch.rand(1, 3, 50, 61, generator=generator), torch.zeros(1, 1, 50, 61)
    hole[..., 20:38, 9:30] = 1
    other = torch.where(hole > 0, 1 - image, image)
    assert torch.equal(Exemplar()(image, hole), Exemplar()(other, hole))


def test_holes_of_one_image_are_filled_as_each_alone_and_as_of_many_images() -> None:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 3, 48, 40, generator=generator)
    holes = torch.zeros(3, 1, 48, 40)
    holes[0, :, 4:30, 6:20], holes[1, :, 40:, :], holes[2, :, ::7, ::5] = 1, 1, 1
    together = Exemplar()(image, holes)
    assert torch.equal(together, torch.cat([Exemplar()(image, hole[None]) for hole in holes]))
    assert torch.equal(together, Exemplar()(image.expand(3, -1, -1, -1), holes))


def test_without_a_whole_patch_it_continues_as_navier_stokes() -> None:
    image, hole = (
        torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(2)),
        torch.ones(1, 1, 20, 20),
    )
    hole[..., 3, 4:7] = 0
    assert torch.equal(Exemplar()(image, hole), NavierStokes()(image, hole))


def test_holes_at_the_border_and_images_of_odd_sides() -> None:
    image = waves(97)[..., :83]
    hole = torch.zeros(1, 1, 97, 83)
    hole[..., 70:, 50:] = 1
    away = (Exemplar()(image, hole) - image) * hole
    assert away.abs().sum() / (3 * hole.sum()) < 0.03


def test_no_seam_is_left_where_nothing_outside_is_as_bright() -> None:
    """A ramp: every patch that can be taken is too dark or too bright for its place."""
    image = torch.linspace(0.1, 0.9, 96).expand(1, 3, 96, 96).contiguous()
    hole = square(96, 32)
    filled = composite(image, hole, Exemplar()(image, hole))
    assert filled.diff(dim=3).abs().max() < 0.05
    assert filled.diff(dim=2).abs().max() < 0.05


def sharpness(picture: Tensor) -> float:
    inside = picture[..., 60:100, 60:100]
    return float(inside.diff(dim=3).abs().mean() + inside.diff(dim=2).abs().mean())


def test_real_photographs_keep_their_sharpness(assets) -> None:
    """The mean steepness inside is nearer to what was there than with a smooth continuation."""
    hole, ours, smooth = square(160, 56), [], []
    for path in sorted((assets / "photos").glob("*.jpg"))[:200:20]:
        pixels = np.array(Image.open(path).convert("RGB").resize((160, 160)))
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        filled = composite(image, hole, Exemplar()(image, hole))
        assert torch.equal(filled * (1 - hole), image * (1 - hole))
        ours.append(abs(np.log(sharpness(filled) / sharpness(image))))
        smooth.append(abs(np.log(sharpness(NavierStokes()(image, hole)) / sharpness(image))))
    assert np.mean(ours) < 0.7 * np.mean(smooth)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 4}, "patch must be odd and between 3 and 15, got 4"),
        ({"patch": 17}, "patch must be odd and between 3 and 15, got 17"),
        ({"texture": -1.0}, "texture must be at least 0"),
        ({"texture": float("nan")}, "texture must be at least 0"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"exhaustive": 0}, "exhaustive must be at least 1"),
        ({"feather": -1}, "feather must be at least 0"),
        ({"rounds": (1, 0, 2)}, "rounds must be at least 1"),
        ({"rounds": (1, 2)}, "rounds must be 3 numbers"),
        ({"threshold": 0.0}, "threshold must be in"),
        ({"empty": (0.5,)}, "empty must be an RGB color"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_settings_out_of_range_are_refused(settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        Exemplar(**settings)


def test_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="image must be RGB"):
        Exemplar()(torch.rand(1, 1, 9, 9), torch.zeros(1, 1, 9, 9))
