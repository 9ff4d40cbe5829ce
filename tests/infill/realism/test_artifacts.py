"""Traces of fillers, against pictures whose screens, seams and textures are made on purpose."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from infill import Telea, composite
from infill.realism.artifacts import FLOOR, SCREEN, periodicity, seam, texture

SIDE = 128
MEASURES = (periodicity, seam, texture)


def square(top: int = 30, left: int = 20, side: int = 64) -> Tensor:
    hole = torch.zeros(1, 1, SIDE, SIDE)
    hole[..., top : top + side, left : left + side] = 1
    return hole


def noise(seed: int = 0, deviation: float = 0.1) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return (0.5 + deviation * torch.randn(1, 3, SIDE, SIDE, generator=rng)).clamp(0, 1)


def grid(period: int) -> Tensor:
    """Lines across and down, from -1/2 to 1."""
    line = (torch.arange(SIDE) % period < 1).float()
    return (torch.maximum(line[:, None], line) * 1.5 - 0.5)[None, None]


@settings(max_examples=20)
@given(st.sampled_from([4, 5, 8, 12]), st.floats(0.08, 0.3), st.integers(0, 40), st.integers(0, 40))
def test_a_grid_in_the_hole_is_a_screen(period: int, strength: float, top: int, left: int) -> None:
    hole = square(top, left)
    smear = noise(deviation=0.02).lerp(torch.full((1, 3, SIDE, SIDE), 0.5), hole)
    assert periodicity(smear, hole) < 1.3
    assert periodicity(smear + strength * grid(period) * hole, hole) > SCREEN


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.floats(0.01, 0.3), st.integers(0, 60), st.integers(0, 60))
def test_what_the_rest_has_too_is_none(seed: int, deviation: float, top: int, left: int) -> None:
    hole, image = square(top, left), noise(seed, deviation)
    # of 1500 drawn: 0.94 to 1.66, 0.90 to 1.08, 0.96 to 1.04
    assert 0.6 < periodicity(image, hole) < 1.8
    assert 0.85 < seam(image, hole) < 1.15
    assert 0.95 < texture(image, hole) < 1.05
    # of 2500 drawn: 0.77 to 1.39
    assert 0.7 < periodicity(image + 0.2 * grid(8), hole) < 1.6


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.25])
def test_an_edge_is_no_period(angle: float) -> None:
    y, x = torch.meshgrid(*[torch.arange(SIDE) - 60.0] * 2, indexing="ij")
    edge = (x * torch.tensor(angle).cos() + y * torch.tensor(angle).sin() > 0).float()
    image = noise(deviation=0.02) + square() * (edge - 0.5) * 0.3
    assert periodicity(image, square()) < SCREEN


def test_a_flat_picture_has_nothing() -> None:
    flat = torch.full((1, 3, SIDE, SIDE), 0.3)
    for measure in MEASURES:
        assert measure(flat, square()).item() == pytest.approx(1, abs=1e-3)


@given(st.floats(0, 0.5))
def test_a_flat_hole_in_a_flat_picture_has_the_seam_of_its_step(step: float) -> None:
    image = 0.3 + step * square().expand(1, 3, -1, -1)
    assert seam(image, square()).item() == pytest.approx((step + FLOOR) / FLOOR, rel=1e-4)


@given(st.floats(0, 0.007))
def test_a_ramp_that_goes_on_has_no_seam(slope: float) -> None:
    image = (slope * torch.arange(SIDE)).expand(1, 3, SIDE, SIDE)
    hole = square()
    assert seam(image, hole).item() == pytest.approx(1, rel=0.02)


def test_the_seam_is_that_of_plain_loops() -> None:
    image, hole = noise(3)[..., :12, :14], square(0, 0, 128)[..., :12, :14].clone()
    hole[..., 5:, :] = hole[..., 9:] = 0
    inside, pixels = hole[0, 0] > 0, image[0]
    rim, near = [], []
    places = [(y, x) for y in range(12) for x in range(14)]

    def close(y: int, x: int) -> bool:
        around = inside[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5]
        return bool(around.any() and not around.all())

    for y, x in places:
        for down, right in ((y + 1, x), (y, x + 1)):
            if down < 12 and right < 14:
                step = (pixels[:, down, right] - pixels[:, y, x]).abs().mean().item()
                if inside[y, x] != inside[down, right]:
                    rim.append(step)
                elif close(y, x) and close(down, right):
                    near.append(step)
    expected = (sum(rim) / len(rim) + FLOOR) / (sum(near) / len(near) + FLOOR)
    assert seam(image, hole).item() == pytest.approx(expected, rel=1e-5)


@given(st.floats(0, 2))
def test_texture_says_how_much_detail_is_left(share: float) -> None:
    image = 0.5 + (noise(deviation=0.05) - 0.5) * (1 + (share - 1) * square())
    detail = 0.05 / 3**0.5  # of the mean of three channels
    expected = (share * detail + FLOOR) / (detail + FLOOR)
    assert texture(image, square()).item() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("measure", MEASURES)
def test_neighbors_in_the_batch_and_mirrors_change_nothing(
    measure: Callable[..., Tensor], smooth_image: Callable[..., Tensor]
) -> None:
    images = torch.cat([noise(1), smooth_image(SIDE, SIDE), noise(2) + 0.1 * grid(8)])
    holes = torch.cat([square(), square(0, 0, 40), square(60, 50, 30)])
    together = measure(images, holes)
    alone = torch.cat([measure(image[None], hole[None]) for image, hole in zip(images, holes, strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    for turned in (lambda x: x.flip(3), lambda x: x.transpose(2, 3)):
        torch.testing.assert_close(measure(turned(images), turned(holes)), together, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_without_an_inside_or_an_outside_there_is_nothing_to_compare(
    measure: Callable[..., Tensor], value: float
) -> None:
    with pytest.raises(ValueError, match="hole must be neither empty nor all of the image"):
        measure(noise(), torch.full((1, 1, SIDE, SIDE), value))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("measure", MEASURES)
def test_a_hole_of_another_size_is_refused(measure: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match="hole must be of shape"):
        measure(noise(), square()[..., 1:])


def test_on_photographs_neither_the_truth_nor_telea_has_a_screen(assets: Path) -> None:
    from benchmarks.holes import silhouettes

    cases = list(silhouettes(12))
    images, holes = torch.stack([case.image for case in cases]), torch.stack([case.hole for case in cases])
    other = holes.roll(1, 0)
    assert (periodicity(images, other) < SCREEN).all()
    assert 0.8 < seam(images, other).median() < 1.2
    assert 0.7 < texture(images, other).median() < 1.4
    filled = composite(images, holes, Telea()(images, holes))
    assert (periodicity(filled, holes) < SCREEN).all()
    assert texture(filled, holes).median() < 0.8
    screened = (images + 0.1 * grid(8).repeat(1, 1, 2, 2)[..., :224, :224] * holes).clamp(0, 1)
    assert (periodicity(screened, holes) > 1.5).all()
