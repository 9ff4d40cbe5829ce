"""The filler around the PyPatchMatch library."""

import sys

import numpy as np
import patchmatch
import pytest
import torch
from PIL import Image
from torch import Tensor

from infill import PatchMatch


def image_of(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, height // 4, width // 4, generator=generator)
    return torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)


def holes_of(height: int, width: int) -> Tensor:
    holes = torch.zeros(3, 1, height, width)
    holes[0, :, 10:30, 12:25], holes[1, :, 40:, :9], holes[2, :, ::9, ::5] = 1, 1, 1
    return holes


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
@pytest.mark.parametrize("radius", [1, 3])
def test_it_is_the_librarys_own_call(seed, radius) -> None:
    image, hole = image_of(64, 48), holes_of(64, 48)[:1]
    pixels = (image[0].permute(1, 2, 0) * 255).round().byte().numpy().copy()
    patchmatch.set_random_seed(seed)
    expected = patchmatch.inpaint(pixels, hole[0, 0].numpy() > 0, patch_size=radius)
    fill = PatchMatch(radius=radius, seed=seed)(image, hole)[0]
    hidden = hole[0, 0] > 0
    made = torch.from_numpy(expected).permute(2, 0, 1).float() / 255
    assert torch.equal(fill[:, hidden], made[:, hidden])


def test_neither_the_batch_nor_the_threads_matter() -> None:
    image, holes = image_of(64, 48), holes_of(64, 48)
    together = PatchMatch(threads=1)(image, holes)
    assert torch.equal(together, PatchMatch(threads=3)(image, holes))
    assert torch.equal(together, torch.cat([PatchMatch()(image, hole[None]) for hole in holes]))
    assert torch.equal(together, PatchMatch()(image.expand(3, -1, -1, -1), holes))


def test_another_seed_is_another_fill() -> None:
    image, holes = image_of(64, 48), holes_of(64, 48)
    assert not torch.equal(PatchMatch()(image, holes), PatchMatch(seed=1)(image, holes))


def test_stochastic_fills_differ_and_come_again() -> None:
    image, hole = image_of(64, 48), holes_of(64, 48)[:1].expand(2, -1, -1, -1)
    drawn = PatchMatch(stochastic=True)
    first, second = drawn(image, hole, torch.Generator().manual_seed(0))
    again = drawn(image, hole, torch.Generator().manual_seed(0))
    assert not torch.equal(first, second)
    assert torch.equal(torch.stack([first, second]), again)
    with pytest.raises(ValueError, match="generator"):
        drawn(image, hole)


@pytest.mark.parametrize("axis", [0, 1])
def test_stripes_go_on_in_the_middle_of_a_hole_of_64_px(axis) -> None:
    line = (torch.arange(160) % 8 < 4).float() * 0.6 + 0.2
    image = (line[:, None] if axis else line[None, :]).expand(1, 3, 160, 160).contiguous()
    hole = torch.zeros(1, 1, 160, 160)
    hole[..., 48:112, 48:112] = 1
    away = (PatchMatch()(image, hole) - image)[..., 72:88, 72:88].abs()
    assert away.max() <= 3.5 / 255  # it votes in 8 bits


def test_with_little_left_or_nothing() -> None:
    image, hole = image_of(20, 20), torch.ones(2, 1, 20, 20)
    hole[1, :, 3, 4:7] = 0
    fill = PatchMatch(empty=(0.1, 0.2, 0.3))(image, hole)
    assert torch.equal(fill[0], torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1).expand(3, 20, 20))
    seen = image[0, :, 3, 4:7]
    assert (fill[1].amin((1, 2)) >= seen.amin(1) - 0.01).all()
    assert (fill[1].amax((1, 2)) <= seen.amax(1) + 0.01).all()


def test_a_real_photograph_is_filled_with_its_own_colors(assets) -> None:
    photograph = next((assets / "photos").glob("*jay.jpg"))
    pixels = np.array(Image.open(photograph).convert("RGB").resize((112, 112)))
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    hole = torch.zeros(1, 1, 112, 112)
    hole[..., 40:70, 40:70] = 1
    fill = PatchMatch()(image, hole)
    outside = image[0][:, hole[0, 0] == 0]
    inside = fill[0][:, hole[0, 0] > 0]
    assert (inside.amin(1) >= outside.amin(1) - 0.01).all()
    assert (inside.amax(1) <= outside.amax(1) + 0.01).all()


@pytest.mark.parametrize("absent", [True, False])
def test_a_missing_library_is_told_in_one_line(monkeypatch, absent) -> None:
    if absent:
        monkeypatch.setitem(sys.modules, "patchmatch", None)
    else:
        monkeypatch.setattr(patchmatch, "patchmatch_available", False)
    with pytest.raises(ValueError, match="pip install pypatchmatch, or take exemplar") as error:
        PatchMatch()(image_of(16, 16), torch.ones(1, 1, 16, 16).tril())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radius": 0}, "radius must be at least 1, got 0"),
        ({"radius": 2.5}, "radius must be a whole number, got 2.5"),
        ({"seed": 1.5}, "seed must be a whole number, got"),
        ({"radius": 51}, "radius must be at most 50, got 51"),
        ({"seed": -1}, "seed must be at least 0, got"),
        ({"context": 0}, "context must be at least 1, got 0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"threshold": 0.0}, "threshold must be in"),
        ({"empty": (0.5,)}, "empty must be an RGB color"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message, unchecked_shapes) -> None:
    with pytest.raises(ValueError, match=message):
        PatchMatch(**settings)


def test_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="image must be RGB"):
        PatchMatch()(torch.rand(1, 1, 9, 9), torch.zeros(1, 1, 9, 9))
