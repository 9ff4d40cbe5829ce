"""R-OMS against a plain loop, and closed forms."""

from itertools import pairwise

import pytest
import torch
from planted import BLACK, BrightSquare, square_image

from attribution import Execution, MaskedScore
from attribution.evaluation.model_scope import growing_holes, model_scope, scope_curve
from infill import Gray

SEGMENTS = torch.arange(40)[:, None] // 10 * 4 + torch.arange(48) // 12
"""4 x 4 of equal size."""


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def square_score(filler=BLACK, **settings) -> MaskedScore:
    return MaskedScore(square_image(), 1, BrightSquare(), filler, **settings)


def test_a_plain_loop_finds_the_same():
    order = torch.randperm(16, generator=chance(3)).tolist()  # the place of each segment
    removed, left = [], []
    for count in (1, 4, 8, 12, 16):
        hole = torch.tensor([[float(order[int(one)] < count) for one in row] for row in SEGMENTS])
        image = square_image() * (1 - hole) + 0.3 * hole
        removed.append(float(hole.mean()))
        left.append(float(BrightSquare()(image).softmax(1)[0, 1]))
    score = square_score(Gray((0.3, 0.3, 0.3)))
    (curve,) = scope_curve(score, SEGMENTS[None], [chance(3)], steps=5)
    torch.testing.assert_close(curve, torch.tensor([removed, left]).T)
    widths = [after - before for before, after in pairwise(removed)]
    heights = [(after + before) / 2 for before, after in pairwise(left)]
    area = sum(width * height for width, height in zip(widths, heights, strict=True)) / sum(widths)
    assert float(model_scope(score, SEGMENTS[None], [chance(3)], steps=5)) == pytest.approx(area, abs=1e-6)


class Untouched:
    """Fills a hole with what was there."""

    stochastic = False
    per_hole = False
    sees_hidden = True

    def __call__(self, image, hole, generator=None):
        return image


def test_where_nothing_is_lost_all_of_the_score_is_left():
    score = square_score(Untouched())
    assert float(model_scope(score, SEGMENTS[None], [chance()])) == pytest.approx(score.clean.item())


def test_the_shares_are_of_pixels():
    """Segments of unequal size."""
    segments = torch.zeros(40, 48, dtype=torch.long)
    segments[:, 36:] = 1  # a quarter
    for seed in range(4):
        first = torch.randperm(2, generator=chance(seed)).tolist().index(0)
        (curve,) = scope_curve(square_score(), segments[None], [chance(seed)])
        assert curve[:, 0].tolist() == [(0.75, 0.25)[first], 1]


def test_holes_grow_by_whole_segments_up_to_all():
    holes = growing_holes(SEGMENTS, chance(), steps=10)[0:10]
    sizes = holes.flatten(1).sum(1) / 120
    assert sizes.tolist() == [1, 2, 4, 6, 7, 9, 11, 12, 14, 16]
    assert bool((holes[1:] >= holes[:-1]).all())
    assert len(growing_holes(SEGMENTS, chance(), steps=50)) == 16


def test_neither_images_beside_it_nor_the_batch_matter():
    images = torch.cat([square_image(), square_image().flip(3)])
    segments = torch.stack([SEGMENTS, SEGMENTS.flip(1)])
    for size in (1, 3, 64):
        score = MaskedScore(images, 1, BrightSquare(), BLACK, execution=Execution(size))
        both = model_scope(score, segments, [chance(1), chance(2)])
        alone = [
            model_scope(MaskedScore(image[None], 1, BrightSquare(), BLACK), one[None], [chance(seed)])
            for image, one, seed in zip(images, segments, (1, 2), strict=True)
        ]
        torch.testing.assert_close(both, torch.cat(alone))


@pytest.mark.parametrize(
    ("segments", "steps", "said"),
    [
        (SEGMENTS[None, :20], 10, "segments must be of shape"),
        (torch.zeros(1, 40, 48, dtype=torch.long), 10, "segments must be at least 2, got 1"),
        (SEGMENTS[None], 1, "steps must be at least 2, got 1"),
    ],
)
def test_what_cannot_be_is_refused(segments, steps, said):
    with pytest.raises(ValueError, match=said):
        model_scope(square_score(), segments, [chance()], steps)


def test_segments_may_have_any_numbers():
    spread = torch.tensor([3, 10, 20, *range(30, 43)])[SEGMENTS]
    for steps in (4, 10):
        holes = growing_holes(spread, chance(), steps)
        assert torch.equal(holes[0 : len(holes)], growing_holes(SEGMENTS, chance(), steps)[0 : len(holes)])


def test_every_image_needs_a_generator():
    with pytest.raises(ValueError, match="generators must be one per image \\(1\\), got 2"):
        model_scope(square_score(), SEGMENTS[None], [chance(), chance()])
