"""Sequences of holes: the grid, the segments, the random grids, and that slicing does not matter."""

import pytest
import skimage.transform
import torch

from attribution.holes import Holes, PatchHoles, RandomGridHoles, SegmentHoles, batches

SEGMENTS = torch.arange(6).reshape(2, 3).repeat_interleave(4, 0).repeat_interleave(5, 1)
SEQUENCES = {
    "patches": PatchHoles((20, 26), patch=7, stride=3),
    "covering": PatchHoles((20, 26), patch=7, stride=4, cover=True),
    "segments": SegmentHoles(SEGMENTS, torch.rand(30, 6, generator=torch.Generator().manual_seed(0)) < 0.5),
    "grids": RandomGridHoles(30, (20, 26), cells=3, seed=1),
}


@pytest.mark.parametrize("holes", SEQUENCES.values(), ids=SEQUENCES)
def test_slicing_does_not_matter(holes):
    assert isinstance(holes, Holes)
    whole = holes[0 : len(holes)]
    assert whole.shape[:2] == (len(holes), 1)
    assert whole.dtype is torch.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    for size in (1, 7, len(holes) + 5):
        parts = list(batches(holes, size))
        assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
        assert torch.equal(torch.cat(parts), whole)


def test_the_papers_grid_has_66_by_66_positions():
    holes = PatchHoles((224, 224), patch=29, stride=3)
    assert holes.grid == (66, 66)
    last = holes[len(holes) - 1 :]
    assert torch.equal(last[0, 0].nonzero().aminmax(dim=0).min, torch.tensor([195, 195]))
    assert last.sum() == 29 * 29


def test_patches_go_row_by_row():
    holes = PatchHoles((20, 26), patch=7, stride=3)
    assert holes.grid == (5, 7)
    for number, hole in enumerate(holes[0:35]):
        expected = torch.zeros(1, 20, 26)
        top, left = 3 * (number // 7), 3 * (number % 7)
        expected[:, top : top + 7, left : left + 7] = 1
        assert torch.equal(hole, expected)


def test_covering_patches_stick_out_over_the_far_edges():
    holes = PatchHoles((20, 26), patch=7, stride=4, cover=True)
    assert holes.grid == (5, 6)
    last = holes[len(holes) - 1 :][0, 0]
    assert last.sum() == 4 * 6, "rows 16 to 19 and columns 20 to 25 are left of 7 x 7"
    assert last[16:, 20:].all()
    assert (holes[0:30].sum(dim=0) > 0).all()
    assert not (PatchHoles((20, 26), 7, 4)[0:100].sum(dim=0) > 0).all()


def test_a_patch_as_large_as_the_image_has_one_position():
    holes = PatchHoles((20, 20), patch=20, stride=3)
    assert torch.equal(holes[0:9], torch.ones(1, 1, 20, 20))


def test_what_is_off_is_one_hole():
    on = torch.tensor([[True] * 6, [False, True, True, True, True, False], [False] * 6])
    hole = SegmentHoles(SEGMENTS, on)[0:3]
    assert hole[0].sum() == 0
    assert torch.equal(hole[1, 0] == 1, (SEGMENTS == 0) | (SEGMENTS == 5))
    assert hole[2].all()


@pytest.mark.parametrize(("border", "mode"), [("mirrored", "reflect"), ("constant", "edge")])
@pytest.mark.parametrize(("size", "cells"), [((20, 26), 3), ((21, 21), 7), ((8, 64), 5), ((9, 9), 2)])
def test_random_grids_are_upsampled_and_shifted(size, cells, border, mode):
    """The published code resizes by scikit-image, mirrored."""
    holes = RandomGridHoles(40, size, cells=cells, keep=0.4, seed=2, border=border)
    (high, wide), (height, width) = holes.cell, size
    shape = ((cells + 1) * high, (cells + 1) * wide)
    for hole, kept, (down, across) in zip(holes[0:40], holes.kept, holes.offset.tolist(), strict=True):
        large = skimage.transform.resize(kept.numpy(), shape, order=1, mode=mode, anti_aliasing=False)
        expected = 1 - torch.from_numpy(large)[down : down + height, across : across + width]
        torch.testing.assert_close(hole[0], expected, rtol=0, atol=1e-5)


def test_random_grids_are_shifted_by_up_to_one_cell():
    holes = RandomGridHoles(4000, (20, 26), cells=3)
    assert holes.cell == (7, 9)
    assert holes.offset.unique(dim=0).shape == (63, 2)
    assert torch.equal(holes.offset.amax(dim=0), torch.tensor([6, 8]))


def test_every_pixel_is_kept_as_often_as_asked():
    kept = 1 - RandomGridHoles(20000, (9, 12), cells=3, keep=0.3)[0:20000]
    assert float((kept.mean(dim=0) - 0.3).abs().max()) < 0.02


def test_random_grids_follow_their_seed_alone():
    before = torch.get_rng_state()
    one, same, other = (RandomGridHoles(8, (20, 26), seed=seed)[0:8] for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PatchHoles((20, 26), 21, 1), "patch must be 1 to 20 in a 20 x 26 image, got 21"),
        (lambda: PatchHoles((20, 26), 0, 1), "patch must be 1 to 20"),
        (lambda: PatchHoles((20, 26), 5, 0), "stride must be at least 1, got 0"),
        (lambda: RandomGridHoles(0, (20, 26)), "count must be at least 1"),
        (lambda: RandomGridHoles(1, (20, 26), cells=0), "cells must be at least 1"),
        (lambda: RandomGridHoles(1, (20, 26), keep=1.0), "keep must be between 0 and 1"),
    ],
)
def test_impossible_holes_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
