"""What repeats deep in a hole is found; whatever else is there is not."""

import pytest
import torch

from models.inpainters.screen import PERIOD, screen


def square(side: int, size: int = 128) -> torch.Tensor:
    hole = torch.zeros(1, 1, size, size)
    start = (size - side) // 2
    hole[..., start : start + side, start : start + side] = 1
    return hole


def pattern(seed: int = 0, size: int = 128) -> torch.Tensor:
    cell = torch.randn(1, 3, PERIOD, PERIOD, generator=torch.Generator().manual_seed(seed))
    return 0.1 * (cell - cell.mean((2, 3), keepdim=True)).repeat(1, 1, size // PERIOD, size // PERIOD)


def middle(values: torch.Tensor) -> torch.Tensor:
    return values[..., 32:96, 32:96]


@pytest.mark.parametrize("side", [112, 128])
def test_a_screen_is_found(side: int) -> None:
    left = middle(pattern() - screen(pattern(), square(side)))
    assert left.std() < 0.25 * middle(pattern()).std()


def test_a_slope_is_no_screen() -> None:
    slope = torch.linspace(-1, 1, 128).expand(1, 3, 128, 128).contiguous()
    assert screen(slope, square(112)).abs().max() < 1e-5


def test_of_texture_that_does_not_repeat_hardly_any_is_found() -> None:
    texture = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    assert screen(texture, square(112)).square().mean() < 0.1 * texture.square().mean()


def test_a_hole_gets_the_same_beside_others() -> None:
    detail = torch.cat([pattern(0), pattern(1), pattern(2)])
    holes = torch.cat([square(112), square(9), square(70)])
    alone = [screen(detail[[one]], holes[[one]]) for one in range(3)]
    torch.testing.assert_close(screen(detail, holes), torch.cat(alone), atol=1e-6, rtol=0)
