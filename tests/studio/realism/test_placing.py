"""Where a shape is put, against plain loops over all places."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from studio.realism.placing import placed

SIDE = 9


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def regions(draw: st.DrawFn, least: int = 0) -> Tensor:
    """Some pixels of a view."""
    chosen = draw(st.sets(st.tuples(*[st.integers(0, SIDE - 1)] * 2), min_size=least, max_size=12))
    region = torch.zeros(1, SIDE, SIDE)
    for y, x in chosen:
        region[0, y, x] = 1
    return region


def shifted(shape: Tensor) -> list[Tensor]:
    """The shape at every place where all of it is inside."""
    rows, columns = shape[0].nonzero().T
    found = []
    for down in range(-int(rows.min()), SIDE - int(rows.max())):
        for right in range(-int(columns.min()), SIDE - int(columns.max())):
            moved = torch.zeros_like(shape)
            moved[0, rows + down, columns + right] = 1
            found.append(moved)
    return found


@given(regions(1), regions(), st.integers(0, 99))
def test_a_shape_that_fits_is_only_shifted(shape: Tensor, taken: Tensor, seed: int) -> None:
    fitting = [hole for hole in shifted(shape) if not (hole * taken).any()]
    if fitting:
        hole = placed([shape], taken, rng(seed))
        assert any(torch.equal(hole, one) for one in fitting)
        assert torch.equal(hole, placed([shape], taken, rng(seed)))


def test_all_places_are_as_likely() -> None:
    shape, taken = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    shape[0, 1:3, 1] = taken[0, :, 2:] = 1
    counts = Counter(tuple(placed([shape], taken, rng(seed)).flatten().tolist()) for seed in range(300))
    assert len(counts) == 6
    assert max(counts.values()) < 90  # 50 of each are expected


def test_the_first_shape_that_fits_is_taken_before_any_is_reduced() -> None:
    wide, tall = torch.zeros(1, SIDE, SIDE), torch.zeros(1, SIDE, SIDE)
    wide[0, 2, 1:8] = tall[0, :, 3] = 1
    taken = torch.ones(1, SIDE, SIDE)
    taken[0, :, 7] = 0
    assert torch.equal(placed([wide, tall], taken, rng()), 1 - taken)


def test_a_shape_that_fits_nowhere_is_reduced() -> None:
    shape, taken = torch.zeros(1, 40, 40), torch.ones(1, 40, 40)
    shape[0, 5:35, 5:35] = 1
    taken[0, 4:26, 10:32] = 0
    hole = placed([shape], taken, rng())
    assert hole.sum() == 21**2  # 0.71 of 30
    assert not (hole * taken).any()


@given(st.floats(1, 25), st.integers(0, 99))
def test_the_area_is_the_one_asked_for(percent: float, seed: int) -> None:
    y, x = torch.meshgrid(*[torch.arange(100) - 50.0] * 2, indexing="ij")
    shape = (y.square() + (2 * x).square() < 24**2).float()[None]
    hole = placed([shape], torch.zeros(1, 100, 100), rng(seed), percent)
    assert 100 * hole.mean().item() == pytest.approx(percent, rel=0.06, abs=0.06)


def test_where_there_is_no_room_and_no_shape_it_is_said() -> None:
    full = torch.ones(1, SIDE, SIDE)
    with pytest.raises(ValueError, match="the object leaves no room for a hole in the background"):
        placed([full], full, rng())
    with pytest.raises(ValueError, match="no other image has an object"):
        placed([], 1 - full, rng())


@pytest.mark.parametrize(("sides", "percent"), [((10, 10), 1.0), ((20, 13), 5.0), ((7, 31), 2.0)])
def test_a_full_rectangle_has_the_area_that_is_due(sides: tuple[int, int], percent: float) -> None:
    shape = torch.zeros(1, 224, 224)
    shape[0, : sides[0], : sides[1]] = 1
    hole = placed([shape], torch.zeros(1, 224, 224), rng(), percent)
    assert int(hole.sum()) == round(percent / 100 * 224 * 224)
