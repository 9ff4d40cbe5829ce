"""The inpainter that ships: what keeps it from filling holes with a regular screen."""

from pathlib import Path

import pytest
import skimage
import torch

from infill import Learned, composite
from infill.realism.artifacts import SCREEN, periodicity
from models.inpainters import small
from studio.data.image import read_picture


def test_where_all_places_are_alike_enlarging_keeps_them_alike() -> None:
    torch.manual_seed(0)
    up = small.Up(6, 3, 5, even=True)
    with torch.no_grad():
        larger = up(torch.ones(1, 6, 8, 9), torch.ones(1, 3, 16, 18))[..., 1:-1, 1:-1]
    assert larger.shape == (1, 5, 14, 16)
    torch.testing.assert_close(larger, larger[..., :1, :1].expand_as(larger))


def recalling(seed: int = 0) -> small.Recall:
    torch.manual_seed(seed)
    recall = small.Recall(6, 4)
    torch.nn.init.normal_(recall.added.weight)
    return recall


def test_only_observed_places_are_recalled() -> None:
    recall, x = recalling(), torch.randn(1, 6, 4, 5)
    observed = torch.ones(1, 1, 4, 5)
    observed[..., 1:3, 1:4] = 0
    other = torch.where((observed == 0) & (torch.arange(5) == 2), torch.randn_like(x), x)
    with torch.no_grad():
        one, two = recall(x, observed), recall(other, observed)
    same = ((observed > 0) | (torch.arange(5) != 2)).expand_as(one)
    torch.testing.assert_close(one[same], two[same], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(one[~same], two[~same], atol=1e-2)


def test_what_is_recalled_is_a_mean_of_observed_places() -> None:
    recall, x = recalling(1), torch.randn(1, 6, 3, 3)
    observed = torch.zeros(1, 1, 3, 3)
    observed[..., 0, 2] = 1
    with torch.no_grad():
        held = recall.added(recall.held(x))[..., 0, 2]
        added = recall(x, observed) - x
    torch.testing.assert_close(added, held[..., None, None].expand_as(added), atol=1e-4, rtol=1e-4)


def test_with_nothing_observed_all_is_finite() -> None:
    with torch.no_grad():
        assert recalling()(torch.randn(2, 6, 3, 3), torch.zeros(2, 1, 3, 3)).isfinite().all()


@pytest.mark.parametrize("name", ["grass", "gravel", "brick"])
@pytest.mark.parametrize("side", [48, 80])
@pytest.mark.parametrize("file", [small.FILE, small.EVEN])
def test_a_large_hole_in_a_texture_shows_no_screen(name: str, side: int, file: Path) -> None:
    image = read_picture(Path(skimage.__file__).parent / "data" / f"{name}.png").image[None, :, :224, :224]
    hole = torch.zeros(1, 1, 224, 224)
    hole[..., 70 : 70 + side, 60 : 60 + side] = 1
    filler = Learned(small.load(file), multiple=small.MULTIPLE, context=small.CONTEXT)
    assert periodicity(composite(image, hole, filler(image, hole)), hole).item() < SCREEN


def test_an_even_network_begins_where_another_has_come_to() -> None:
    shipped = small.load()
    even = small.evened(shipped)
    assert small.evened(even) is even
    image = read_picture(Path(skimage.__file__).parent / "data" / "chelsea.png").image[None, :, :224, :224]
    hole = torch.zeros(1, 1, 224, 224)
    hole[..., 90:120, 90:120] = 1
    with torch.no_grad():
        one, other, surface = shipped(image, hole), even(image, hole), small.SmallInpainter()(image, hole)
    inside = hole.bool().expand_as(image)
    # not the same, but much nearer to it than what an untrained network starts from
    assert (one - other)[inside].abs().mean() < 0.7 * (one - surface)[inside].abs().mean()


@pytest.mark.parametrize("file", [small.FILE, small.EVEN])
def test_a_gray_photograph_stays_gray_beside_one_with_colors(file: Path) -> None:
    colored = torch.from_numpy(skimage.data.astronaut())[200:328, 100:228].permute(2, 0, 1)[None] / 255
    images = torch.cat([colored, colored.mean(1, keepdim=True).expand(-1, 3, -1, -1)])
    hole = torch.zeros(2, 1, 128, 128)
    hole[..., 32:96, 32:96] = 1
    images = torch.where(
        hole > 0, torch.rand(images.shape, generator=torch.Generator().manual_seed(0)), images
    )
    with torch.no_grad():
        chroma = (fill := small.load(file)(images, hole)).amax(1) - fill.amin(1)
    assert chroma[1].max() < 1e-6
    assert chroma[0].mean() > 0.05
