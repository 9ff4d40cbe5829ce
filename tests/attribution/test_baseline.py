"""What an image is compared with: a constant filler's classic baseline, or the fills of a chessboard."""

import pytest
import torch
from planted import Around, Network

from attribution import MaskedScore, Sampling
from attribution.baseline import baselines, chessboard
from infill import Blur, Gray, Mean, Noise, Telea


@pytest.mark.parametrize("filler", [Gray(), Gray((0.0, 0.0, 0.0)), Mean(), Blur(3.0), Noise(seed=4)])
def test_a_fill_that_no_hole_changes_is_the_baseline(images, filler):
    score = MaskedScore(images, 0, Network(), filler)
    whole = filler(images, images.new_ones(3, 1, 24, 32)).expand_as(images)
    assert torch.equal(baselines(score), whole[:, None])


@pytest.mark.parametrize("filler", [Around(), Telea()])
@pytest.mark.parametrize("blocks", [2, 4])
def test_others_fill_a_chessboard(images, filler, blocks):
    found = baselines(MaskedScore(images, 0, Network(), filler), blocks)
    board = chessboard(24, 32, blocks)
    for square in (board, ~board):
        fill = filler(images, square.float().expand(3, 1, -1, -1)).expand_as(images)
        assert torch.equal(found[:, 0][..., square], fill[..., square])


def test_chance_gives_as_many_as_there_are_samples(images):
    score = MaskedScore(images, 0, Network(), Noise(), sampling=Sampling(samples=3))
    found = baselines(score)
    assert found.shape == (3, 3, 3, 24, 32)
    assert len({tuple(each.flatten().tolist()) for each in found[0]}) == 3
    assert torch.equal(baselines(score[2]), found[2:]), "what is beside an image does not matter"
    assert torch.equal(baselines(score.with_execution(batch_size=2)), found)
    assert not torch.equal(baselines(score.with_sampling(seed=1)), found)
