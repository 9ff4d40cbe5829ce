"""What repeats deep in a hole is laid back out of step; whatever else is there stays."""

import pytest
import torch
from torch.nn import functional as F

from models.inpainters.screen import DEPTH, PERIOD, RAMP, drift, unscreened

SHIFT = drift(64)


def square(side: int, size: int = 128) -> torch.Tensor:
    hole = torch.zeros(1, 1, size, size)
    start = (size - side) // 2
    hole[..., start : start + side, start : start + side] = 1
    return hole


def pattern(seed: int = 0, size: int = 128) -> torch.Tensor:
    cell = torch.randn(1, 3, PERIOD, PERIOD, generator=torch.Generator().manual_seed(seed))
    return 0.1 * (cell - cell.mean((2, 3), keepdim=True)).repeat(1, 1, size // PERIOD, size // PERIOD)


def repeated(detail: torch.Tensor) -> torch.Tensor:
    """The mean over the cells in the middle of the hole."""
    return F.pixel_unshuffle(detail[..., 32:96, 32:96], PERIOD).mean((2, 3))


def test_a_screen_is_gone_and_its_strength_stays() -> None:
    detail = pattern()
    after = unscreened(detail, square(112), SHIFT)
    assert repeated(after).std() < 0.25 * repeated(detail).std()
    inside = (..., slice(32, 96), slice(32, 96))
    assert 0.85 < after[inside].std() / detail[inside].std() < 1.15


def test_a_slope_is_no_screen() -> None:
    slope = torch.linspace(-1, 1, 128).expand(1, 3, 128, 128).contiguous()
    torch.testing.assert_close(unscreened(slope, square(112), SHIFT), slope, atol=1e-5, rtol=0)


def test_texture_that_does_not_repeat_hardly_changes() -> None:
    texture = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    away = unscreened(texture, square(112), SHIFT) - texture
    assert away.square().mean() < 0.1 * texture.square().mean()


@pytest.mark.parametrize("side", [1, 9, 2 * (DEPTH - RAMP)])
def test_a_thin_hole_keeps_its_detail(side: int) -> None:
    assert torch.equal(unscreened(pattern(), square(side), SHIFT), pattern())


def test_near_the_rim_the_detail_stays() -> None:
    hole = square(96)
    changed = (unscreened(pattern(), hole, SHIFT) != pattern()).any(1, keepdim=True)
    far = -F.max_pool2d(-hole, 2 * (DEPTH - RAMP) + 1, 1, DEPTH - RAMP) > 0
    assert changed.any()
    assert not changed[~far].any()


def test_nothing_observed_is_a_hole_like_any_other() -> None:
    after = unscreened(pattern(), torch.ones(1, 1, 128, 128), SHIFT)
    assert repeated(after).std() < 0.25 * repeated(pattern()).std()


def test_a_hole_gets_the_same_beside_others() -> None:
    detail = torch.cat([pattern(0), pattern(1), pattern(2)])
    holes = torch.cat([square(112), square(9), square(70)])
    together = unscreened(detail, holes, SHIFT)
    alone = [unscreened(detail[[one]], holes[[one]], SHIFT) for one in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=0)


def test_the_drift_is_a_tile() -> None:
    across = SHIFT.repeat(1, 2, 2).float().diff(dim=2).abs()
    assert across[:, :, 63].max() <= across[:, :, :63].max() + 1
    assert SHIFT.float().std() > 2
