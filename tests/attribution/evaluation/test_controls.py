"""Controls: holes of the same area, what a filler does beyond the object; against plain loops."""

import numpy as np
import pytest
import torch
from planted import BLACK, BrightSquare, Counting, Linear, square_image

from attribution import Execution, MaskedScore, SlidingPatch, logit
from attribution.evaluation.controls import displaced, distances, own_changes, removal, strongest

SQUARE = torch.zeros(40, 48, dtype=torch.bool)
SQUARE[20:28, 30:38] = True


def square_score(filler=BLACK, **settings) -> MaskedScore:
    return MaskedScore(square_image(), 1, BrightSquare(), filler, **settings)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_strongest_pixels_are_taken():
    heatmap = torch.rand(2, 10, 12, generator=chance())
    holes = strongest(heatmap, 0.25)
    assert holes.sum((1, 2, 3)).tolist() == [30, 30]
    for hole, one in zip(holes[:, 0].bool(), heatmap, strict=True):
        assert float(one[hole].min()) > float(one[~hole].max())
    assert strongest(torch.zeros(1, 4, 5), 0.001).flatten().tolist() == [1.0] + [0.0] * 19


def test_a_hole_elsewhere_has_the_same_area_and_shape():
    hole = strongest(torch.rand(1, 20, 30, generator=chance()), 0.1)[0]
    moved = [displaced(hole, chance(seed)) for seed in range(50)]
    assert {float(each.sum()) for each in moved} == {float(hole.sum())}
    assert len({tuple(each.flatten().tolist()) for each in moved}) > 40
    assert torch.equal(displaced(hole, chance(3)), displaced(hole, chance(3)))
    # Every pixel is as likely to be taken.
    often = torch.stack([displaced(hole, chance(seed)) for seed in range(2000)]).mean(0)
    assert float((often - hole.mean()).abs().max()) < 0.05


def test_the_square_is_worth_more_than_places_like_it():
    score = square_score()
    fall, elsewhere = removal(score, SQUARE[None, None].float(), chance(), times=8)
    composite = square_image() * ~SQUARE
    expected = score.clean - BrightSquare()(composite).softmax(1)[:, 1]
    torch.testing.assert_close(fall, expected)
    assert float(elsewhere) < 0.3 * float(fall)


def test_places_are_those_of_a_plain_loop():
    score, hole = square_score(), SQUARE[None, None].float()
    _, elsewhere = removal(score, hole, chance(5), times=3)
    generator = chance(5)
    falls = [score.clean - score(displaced(hole[0], generator)[None]) for _ in range(3)]
    torch.testing.assert_close(elsewhere, torch.stack(falls).mean(0))


def test_distances_are_euclidean():
    away = distances(SQUARE)
    assert float(away[SQUARE].max()) == 0
    assert float(away[20, 29]) == 1
    assert float(away[17, 26]) == pytest.approx(5)  # 3 up, 4 to the left
    assert float(away[39, 47]) == pytest.approx(np.hypot(12, 10))


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_changes_beyond_the_object(batch_size):
    score = square_score(Counting(), execution=Execution(batch_size=batch_size))
    holes = SlidingPatch(patch=9, stride=8).holes(score)
    changes, away = own_changes(score, holes, SQUARE)
    assert changes.shape == away.shape == (len(holes),)
    every = holes[:]
    for i, hole in enumerate(every):
        touches = bool((hole[0].bool() & SQUARE).any())
        assert (float(away[i]) == 0) == touches
        single = (score.clean - score(hole[None])).abs()
        assert float(changes[i]) == pytest.approx(float(single), abs=1e-6)
    # Nothing but the square speaks for the class.
    assert float(changes[away > 0].max()) < 0.01 < float(changes.max())


def test_a_soft_hole_is_as_near_as_the_nearest_pixel_of_which_anything_is_removed():
    holes = torch.zeros(3, 1, 40, 48)
    holes[:2, 0, 24, 10] = 1  # 20 to the left of the square
    holes[1, 0, 16, 27] = 0.1  # 4 up, 3 to the left
    _, away = own_changes(square_score(), holes, SQUARE)
    assert away.tolist() == [20, 5, float("inf")]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: strongest(torch.zeros(1, 4, 4), 0.0), "share must be between 0 and 1, got 0"),
        (lambda: strongest(torch.full((1, 4, 4), torch.nan), 0.5), "heatmap must be finite"),
        (lambda: removal(square_score(), torch.ones(2, 1, 40, 48), chance()), "one for each of 1 images"),
        (lambda: removal(square_score(), torch.ones(1, 1, 40, 48), chance(), 0), "times must be at least 1"),
        (lambda: distances(torch.zeros(4, 4, dtype=torch.bool)), "at least one pixel"),
        (
            lambda: own_changes(square_score(), SlidingPatch(9, 8).holes(square_score()), SQUARE[:, :40]),
            r"of shape \(40, 48\)",
        ),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_linear_classifier_loses_what_the_hole_held():
    image = torch.rand(2, 3, 24, 32, generator=chance(1))
    score = MaskedScore(image, [0, 2], Linear(), BLACK, link=logit)
    hole = strongest(torch.rand(2, 24, 32, generator=chance(2)), 0.2)
    fall, _ = removal(score, hole, chance(3))
    weight = Linear().weight.detach()[[0, 2]]
    torch.testing.assert_close(fall, (weight * image * hole).sum((1, 2, 3)), atol=1e-4, rtol=1e-4)
