"""Fills that are kept: the same to the last bit, and made again where anything is different."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infill import Adaptive, Gray, Noise, Telea
from infill.fillers.remembered import Remembered


class Kept(dict):  # type: ignore[type-arg]
    """A store in memory."""

    def set(self, name: str, content: bytes) -> None:
        self[name] = content


class Odd:
    """Fills with numbers whose bits are easily lost, also where nothing is removed; counts its calls."""

    per_hole, sees_hidden, stochastic, threshold = True, False, False, 0.25

    def __init__(self, shared: bool = False) -> None:
        self.calls, self.shared = 0, shared

    def __call__(self, image, hole, generator=None):
        self.calls += 1
        fill = torch.where(hole > 0, image * 0.3 + 1e-38, image)
        fill[..., 0, 0] = -0.0
        return fill[:1] if self.shared else fill


def same(a, b):
    return a.shape == b.shape and torch.equal(a.view(torch.int32), b.view(torch.int32))


@settings(max_examples=25)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    holes=st.integers(1, 5),
    each=st.booleans(),
    shared=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_comes_back_is_what_was_made_to_the_last_bit(size, holes, each, shared, seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(holes if each else 1, 3, *size, generator=generator)
    image[..., -1, -1] = 0.0
    hole = (torch.rand(holes, 1, *size, generator=generator) > 0.5).float()
    plain = Odd(shared and not each)
    remembered = Remembered(plain, Kept(), "odd")
    expected = plain(image, hole)
    made, found = remembered(image, hole), remembered(image, hole)
    assert plain.calls == 2
    assert same(made, expected)
    assert same(found, expected)


def test_other_holes_images_sizes_or_settings_are_filled_anew():
    store, odd = Kept(), Odd()
    image, hole = torch.rand(1, 3, 6, 6), torch.zeros(2, 1, 6, 6)
    hole[0, 0, 2:4, 2:4] = 1
    variants = [(image, hole), (image + 1e-7, hole), (image, hole[:1]), (image, hole.flip(0))]
    variants += [(image[..., :5], hole[..., :5]), (image.double(), hole.double())]
    for number, (pixels, holes) in enumerate(variants, start=1):
        Remembered(odd, store, "odd")(pixels, holes)
        assert odd.calls == number
    Remembered(odd, store, "odd with other settings")(image, hole)
    assert odd.calls == len(variants) + 1


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_what_was_damaged_is_made_anew_and_kept_again(damage):
    store, odd = Kept(), Odd()
    remembered, image, hole = Remembered(odd, store, "odd"), torch.rand(1, 3, 6, 6), torch.ones(1, 1, 6, 6)
    expected = remembered(image, hole)
    (name,) = store
    store[name] = damage(store[name])
    assert same(remembered(image, hole), expected)
    assert odd.calls == 2
    assert same(remembered(image, hole), expected)
    assert odd.calls == 2


def test_it_is_like_the_filler_that_it_stands_for():
    remembered = Remembered(Odd(), Kept(), "odd")
    assert (remembered.per_hole, remembered.sees_hidden, remembered.stochastic) == (True, False, False)
    assert remembered.threshold == 0.25
    assert not remembered.of_image
    assert Remembered(Telea(), Kept(), "telea").threshold == 0.5


@pytest.mark.parametrize("filler", [Gray(), Noise()])
def test_fillers_that_draw_or_do_not_look_at_holes_are_refused(filler):
    with pytest.raises(ValueError, match="filler must be one"):
        Remembered(filler, Kept(), "other")


def test_only_what_differs_from_the_image_takes_room():
    store, hole = Kept(), torch.zeros(8, 1, 64, 64)
    hole[:, :, 8:16, 8:16] = 1
    Remembered(Odd(), store, "odd")(torch.rand(1, 3, 64, 64), hole)
    (content,) = store.values()
    assert len(content) < 8 * (64 * 64 / 8 + 65 * 3 * 4) + 100


def test_who_filled_is_counted_with_what_was_kept() -> None:
    """What a report says of a run is the same whether fills were kept or made."""
    holes, kept = torch.zeros(3, 1, 20, 24), Kept()
    holes[0, :, 3:5], holes[1:, :, 2:18, 2:22] = 1, 1
    for _ in range(2):
        filler = Adaptive(lambda image, hole: torch.full_like(image, 0.5), by="auto", thick=3)
        Remembered(filler, kept, "adaptive")(torch.full((1, 3, 20, 24), 0.25), holes)
        assert filler.filled == {"network": 1, "exemplar": 2}


@pytest.mark.parametrize("shape", [(1, 3, 6, 7), (2, 3, 6, 7), (1, 1, 6, 7), (2, 1, 6, 7)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_callers_image_stays_as_it_is(shape, layout):
    image = torch.rand(shape).contiguous(memory_format=layout)
    before, hole = image.clone(), torch.zeros(len(image), 1, 6, 7)
    hole[:, :, 1:4, 2:5] = 1
    remembered = Remembered(Odd(), Kept(), "odd")
    made, kept = remembered(image, hole), remembered(image, hole)
    assert same(made, kept)
    assert torch.equal(image, before)
    kept.fill_(0.25)
    assert torch.equal(image, before), "nor is its memory shared"
