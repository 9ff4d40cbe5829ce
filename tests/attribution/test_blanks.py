"""Blanks: how many patches they remove, what they share, and what is kept of an update."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.blanks import RandomBlanks, Threshold, TiledBlanks, patch_grid
from attribution.holes import Holes
from infill import composite

sizes = st.tuples(st.integers(4, 30), st.integers(4, 30))
quick = settings(max_examples=30, derandomize=True)


@quick
@given(size=sizes, patch=st.integers(1, 4), parts=st.integers(1, 4), seed=st.integers(0, 2**63 - 1))
def test_tiles_remove_every_pixel_once(size, patch, parts, seed):
    if parts > math.prod(patch_grid(size, patch)):
        return
    tiles = TiledBlanks(parts, size, patch, seed)
    assert isinstance(tiles, Holes)
    holes = tiles[:]
    assert holes.shape == (parts, 1, *size)
    assert torch.equal(holes.sum(0), torch.ones(1, *size))
    assert torch.equal(torch.cat([tiles[i : i + 1] for i in range(parts)]), holes)
    patches = [len(torch.unique(tiles.owner, return_counts=True)[1]), *tiles.owner.bincount().tolist()]
    assert patches[0] == parts
    assert max(patches[1:]) - min(patches[1:]) <= 1


@quick
@given(seed=st.integers(0, 2**63 - 1), patch=st.integers(1, 5), ratio=st.floats(0.1, 0.9))
def test_random_blanks_remove_as_many_patches_however_they_are_sliced(seed, patch, ratio):
    blanks = RandomBlanks(9, (20, 25), patch, ratio, seed)
    whole = blanks[:]
    cells = whole[:, 0, ::patch, ::patch]
    assert cells.flatten(1).sum(1).tolist() == [round(ratio * cells[0].numel())] * 9
    enlarged = cells.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, :20, :25]
    assert torch.equal(whole[:, 0], enlarged)
    assert torch.equal(torch.cat([blanks[0:4], blanks[4:4], blanks[4:20]]), whole)


def test_every_patch_is_removed_equally_often():
    share = RandomBlanks(4000, (12, 12), 3, 0.25)[:].mean(0)
    assert float((share - 0.25).abs().max()) < 5 * math.sqrt(0.25 * 0.75 / 4000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomBlanks(3, (8, 8), 9), "patch must be 1 to 8 in a 8 x 8 image, got 9"),
        (lambda: RandomBlanks(3, (8, 8), 4, 0.1), "ratio must be such that some of the 4 patches"),
        (lambda: RandomBlanks(3, (8, 8), 4, 0.9), "ratio must be such that some of the 4 patches"),
        (lambda: RandomBlanks(0, (8, 8)), "count must be at least 1, got 0"),
        (lambda: TiledBlanks(5, (8, 8), 4), "parts must be 1 to the number of patches 4, got 5"),
        (lambda: Threshold(level=1.0), "level must be"),
        (lambda: Threshold("mean"), "normalize must be one of"),
    ],
)
def test_what_cannot_be_is_refused(make, message, unchecked_shapes):
    with pytest.raises(ValueError, match=message):
        make()


@quick
@given(
    seed=st.integers(0, 2**31),
    normalize=st.sampled_from(["positive", "range"]),
    binarize=st.booleans(),
    level=st.floats(0, 0.9),
)
def test_observed_pixels_stay_bit_by_bit_and_the_rest_is_in_range(seed, normalize, binarize, level):
    generator = torch.Generator().manual_seed(seed)
    update = torch.randn(3, 2, 9, 11, generator=generator) * 1e-6
    images = torch.rand(3, 2, 9, 11, generator=generator)
    hole = RandomBlanks(3, (9, 11), 2, 0.4, seed)[:]
    kept = Threshold(normalize, binarize, level)(update, hole)
    observed = (hole == 0).expand_as(images)
    assert torch.equal(composite(images, hole, kept)[observed], images[observed])
    assert not kept[observed].any()
    assert kept.min() >= 0
    assert torch.equal(kept.amax((1, 2, 3)), torch.ones(3))
    if binarize:
        assert set(kept.unique().tolist()) <= {0.0, 1.0}
        inside = hole.expand_as(kept) > 0
        plain = Threshold(normalize, False)(update, hole)
        assert torch.equal(kept[inside] > 0, plain[inside] > level)


def test_a_threshold_looks_at_direction_alone_and_says_nothing_of_nothing():
    hole = RandomBlanks(1, (6, 6))[:]
    update = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for normalize in ("positive", "range"):
        threshold = Threshold(normalize)
        assert torch.equal(threshold(update * 2.0**-60, hole), threshold(update, hole))
        assert not threshold(torch.zeros_like(update), hole).any()
    assert not Threshold()(-update.abs(), hole).any()
