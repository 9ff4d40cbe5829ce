"""The filler that leaves thick holes to patches of the image."""

import pytest
import torch
from torch import Tensor

from infill import Adaptive, Exemplar, Learned


def gray_network(image: Tensor, hole: Tensor) -> Tensor:
    return torch.full_like(image, 0.5)


def squares(*sides: int) -> Tensor:
    """One hole for each side, in the middle of 40 x 44 pixels."""
    holes = torch.zeros(len(sides), 1, 40, 44)
    for hole, side in zip(holes, sides, strict=True):
        hole[:, 20 - side // 2 : 20 - side // 2 + side, 22 - side // 2 : 22 - side // 2 + side] = 1
    return holes


IMAGE = torch.rand(1, 3, 40, 44, generator=torch.Generator().manual_seed(0))


def test_thin_holes_are_the_networks_and_thick_ones_the_patches() -> None:
    filler, holes = Adaptive(gray_network, by="auto", thick=5), squares(3, 9, 10, 11, 21)
    fill = filler(IMAGE, holes)
    # with 10 pixels a side the innermost are 5 from the rim, with 11 the one in the middle 6
    assert torch.equal(fill[:3], Learned(gray_network)(IMAGE, holes[:3]))
    assert torch.equal(fill[3:], Exemplar()(IMAGE, holes[3:]))
    assert filler.filled == {"network": 3, "exemplar": 2}


def test_a_hole_is_as_thick_at_the_border_as_observed_pixels_are_far() -> None:
    holes = torch.zeros(2, 1, 40, 44)
    holes[0, :, :, :5], holes[1, :, :, :6] = 1, 1
    filler = Adaptive(gray_network, by="auto", thick=5)
    filler(IMAGE, holes)
    assert filler.filled == {"network": 1, "exemplar": 1}


@pytest.mark.parametrize("by", ["network", "exemplar"])
def test_one_of_them_fills_all(by) -> None:
    holes = squares(2, 20)
    alone = {"network": Learned(gray_network), "exemplar": Exemplar()}[by]
    filler = Adaptive(gray_network, by=by)
    assert torch.equal(filler(IMAGE, holes), alone(IMAGE, holes))
    assert filler.filled == {"network": 0, "exemplar": 0, by: 2}


def test_patches_fill_what_the_network_would_be_shown_as_hidden() -> None:
    holes = squares(12, 16)
    wide = squares(16, 20)
    for by in ("exemplar", "auto"):
        fill = Adaptive(gray_network, by=by, thick=5, dilation=2)(IMAGE, holes)
        assert torch.equal(fill, Exemplar()(IMAGE, wide))
        assert not torch.equal(fill, Exemplar()(IMAGE, holes))


def test_images_of_their_own_and_soft_holes() -> None:
    images = torch.rand(3, 3, 40, 44, generator=torch.Generator().manual_seed(1))
    holes, filler = 0.7 * squares(4, 24, 6), Adaptive(gray_network, by="auto")
    together = filler(images, holes)
    one_by_one = [filler(images[i : i + 1], holes[i : i + 1]) for i in range(3)]
    assert torch.equal(together, torch.cat(one_by_one))
    assert torch.equal(together[1:2], Exemplar()(images[1:2], holes[1:2]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"by": "chance"}, "by must be one of"),
        ({"thick": 0}, "thick must be at least 1, got 0"),
        ({"by": "auto", "stochastic": True}, "by must be for a stochastic network \"network\", got 'auto'"),
        ({"threshold": 0.0}, "threshold must be in"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message, unchecked_shapes) -> None:
    with pytest.raises(ValueError, match=message):
        Adaptive(gray_network, **settings)
