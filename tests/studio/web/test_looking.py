"""What the page shows of holes, evidence, spots and differences, against what is known to be true."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attribution import Against, MaskedScore, Rise, SlidingPatch
from infill import Gray
from models.classifiers import ImageClassifier
from models.preprocessing import Preprocessing
from studio.web.bits import packed, unpacked
from studio.web.difference import difference
from studio.web.removal import removal, seen
from studio.web.shown import dimmed, map_over, outlined
from studio.web.spot import spot
from studio.web.watched import Growing, watched

SIDE = 32
WHERE = (slice(8, 16), slice(16, 28))


class Corner(torch.nn.Module):
    """Sees red in one rectangle, and nothing else."""

    def forward(self, images: Tensor) -> Tensor:
        red = images[:, 0, *WHERE].mean((1, 2))
        return torch.stack([8 * red - 4, torch.zeros_like(red)], dim=1)


@pytest.fixture(scope="module")
def classifier() -> ImageClassifier:
    plain = Preprocessing(crop=SIDE, resize=SIDE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return ImageClassifier(Corner(), plain, ("red", "not red")).eval()


@pytest.fixture(scope="module")
def image() -> Tensor:
    pixels = torch.full((3, SIDE, SIDE), 0.2)
    pixels[0, *WHERE] = 1.0
    return pixels


@pytest.fixture
def score(classifier: ImageClassifier, image: Tensor) -> MaskedScore:
    return MaskedScore(image, 0, classifier, Gray((0.0, 0.0, 0.0)))


def truth() -> Tensor:
    inside = torch.zeros(SIDE, SIDE)
    inside[WHERE] = 1
    return inside


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_hole_comes_through_as_text(side: int, seed: int) -> None:
    hole = (torch.rand(side, side, generator=torch.Generator().manual_seed(seed)) < 0.3).float()
    assert torch.equal(unpacked(packed(hole), side), hole)


@pytest.mark.parametrize("text", ["", "no base64 !", "AAAA", "é"])
def test_what_is_no_hole_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hole: "):
        unpacked(text, 224)


@pytest.mark.parametrize(
    ("target", "against", "roles"),
    [
        (1, None, ["", "target", "", "", ""]),
        (0, 1, ["target", "against", "", "", ""]),
        (6, None, ["", "", "", "", "", "target"]),
        (6, 5, ["", "", "", "", "", "target", "against"]),
        (5, 0, ["against", "", "", "", "", "target"]),
    ],
)
def test_of_classes_of_one_name_the_one_that_is_meant_is_marked(
    target: int, against: int | None, roles: list[str]
) -> None:
    probabilities = torch.arange(7, 0, -1) / 28
    found = seen(probabilities, target, ["crane"] * 7, against)
    assert [row.role for row in found.rows] == roles
    asked = (target,) if against is None else (target, against)
    kept = [*range(5), *(each for each in asked if each > 4)]
    assert [row.probability for row in found.rows] == pytest.approx([(7 - each) / 28 for each in kept])
    assert (found.first, found.probability) == (0, pytest.approx((7 - target) / 28))
    assert found.compared == (against is not None)


def test_the_strongest_evidence_goes_first(classifier: ImageClassifier, score: MaskedScore) -> None:
    shares = (0.0, 0.03, truth().mean().item(), 1.0)
    stages = removal(score, truth() + torch.linspace(0, 0.1, SIDE), classifier, shares)
    assert [float(each.hole.mean()) for each in stages] == pytest.approx(shares, abs=1e-3)
    assert torch.equal(stages[2].hole, truth())  # just the rectangle
    for narrow, wide in pairwise(stages):
        assert bool((wide.hole >= narrow.hole).all())
    probabilities = [each.seen.probability for each in stages]
    assert probabilities == sorted(probabilities, reverse=True)
    assert [each.seen.rows[0].name for each in stages] == ["red", "red", "not red", "not red"]
    # red - 4 over the part of the rectangle that is left
    left = 1 - round(0.03 * SIDE * SIDE) / truth().sum()
    assert probabilities[1] == pytest.approx(float((8 * left - 4).sigmoid()), abs=2e-3)
    assert torch.equal(stages[3].image, torch.zeros(3, SIDE, SIDE))


def test_the_class_it_is_compared_with_is_marked_stage_by_stage_and_the_score_is_its_own(
    classifier: ImageClassifier, score: MaskedScore
) -> None:
    shares = (0.0, truth().mean().item(), 1.0)
    compared = removal(replace(score, link=Against(1)), truth(), classifier, shares)
    for stage in compared:
        assert {row.name: row.role for row in stage.seen.rows} == {"red": "target", "not red": "against"}
    assert [each.score for each in compared] == pytest.approx([4, -4, -4], abs=1e-3)  # 8 red - 4
    alone = removal(score, truth(), classifier, shares)
    assert not any(each.seen.compared for each in alone)
    assert [each.score for each in alone] == pytest.approx([each.seen.probability for each in alone])


@pytest.mark.parametrize("method", [SlidingPatch(patch=8, stride=4), Rise(masks=64, cells=4, seed=3)])
def test_a_watched_score_is_the_same_score(method: Any, score: MaskedScore) -> None:
    growing = Growing(float(score.clean))
    assert torch.equal(method(watched(score, growing)), method(score))
    assert len(growing.scores) == len(method.holes(score))
    found, known = growing.map(), growing.known()
    assert found is not None
    assert known is not None
    assert known.any()
    assert float(found[truth() > 0].mean()) > 5 * abs(float(found[(truth() == 0) & known].mean()))


def test_the_map_grows_only_where_samples_have_been(score: MaskedScore) -> None:
    growing = Growing(float(score.clean))
    assert growing.map() is None
    hole = torch.zeros(2, 1, SIDE, SIDE)
    hole[0, 0, :4], hole[1, 0, 4:8] = 1, 1
    growing(hole, torch.tensor([0.5, 0.9]))
    found, known = growing.map(), growing.known()
    assert found is not None
    assert known is not None
    assert torch.equal(known, hole.sum((0, 1)) > 0)
    assert float(found[0, 0] - found[5, 0]) == pytest.approx(0.8)  # 0.4 more when removed, and when not, less
    assert not found[8:].any()


def test_the_samples_behind_a_spot(classifier: ImageClassifier, score: MaskedScore) -> None:
    method = SlidingPatch(patch=8, stride=4)
    growing = Growing(float(score.clean))
    heatmap = method(watched(score, growing))[0]
    found = spot(method, score, growing.scores, heatmap, classifier, (12, 20))
    holes = method.holes(score)[0 : len(growing.scores)]
    covering = [growing.scores[i] for i in range(len(holes)) if holes[i, 0, 12, 20]]
    assert found.without == (len(covering), pytest.approx(np.mean(covering)))
    assert found.with_it[0] == len(holes) - len(covering)
    assert [each.seen.probability for each in found.removed] == pytest.approx(sorted(covering)[:4])
    assert all(each.hole[12, 20] == 1 for each in found.removed)
    assert found.kept == []  # with patches, all but one spot is kept every time
    assert found.value == float(heatmap[12, 20])


def test_what_large_holes_leave_standing_is_shown_too(
    classifier: ImageClassifier, score: MaskedScore
) -> None:
    method, growing = Rise(masks=80, cells=4, seed=1), Growing(float(score.clean))
    heatmap = method(watched(score, growing))[0]
    found = spot(method, score, growing.scores, heatmap, classifier, (12, 20))
    assert len(found.kept) == len(found.removed) == 4
    assert min(each.seen.probability for each in found.kept) > max(
        each.seen.probability for each in found.removed
    )
    assert found.with_it[1] > found.without[1]


@pytest.mark.parametrize("place", [(-1, 0), (0, SIDE), (SIDE, 0)])
def test_a_spot_outside_is_refused(
    place: tuple[int, int], classifier: ImageClassifier, score: MaskedScore
) -> None:
    with pytest.raises(ValueError, match="spot: expected a pixel inside 32 x 32"):
        spot(SlidingPatch(8, 8), score, [0.5], truth(), classifier, place)


def test_two_maps_side_by_side() -> None:
    first = torch.arange(100.0).view(10, 10)
    same = difference(first, 3 * first, scaled=True)
    assert same.correlation == pytest.approx(1)
    assert (same.overlap, float(same.map.abs().max())) == (1.0, pytest.approx(0, abs=1e-6))
    opposite = difference(first, -first, scaled=False)
    assert opposite.correlation == pytest.approx(-1)
    assert opposite.overlap == 0
    assert torch.equal(opposite.map, 2 * first)
    half = first.clone()
    half.view(-1)[95:] = -1  # 5 of the strongest 10 are others now
    assert difference(first, half, scaled=False).overlap == pytest.approx(5 / 15)
    assert difference(first, torch.ones(10, 10), scaled=True).correlation is None
    assert difference(first, torch.ones(10, 10), scaled=True).overlap is None
    with pytest.raises(ValueError, match="two of the same size"):
        difference(first, torch.ones(5, 5), scaled=True)


def test_of_equal_values_all_count_as_the_strongest() -> None:
    def steps(*of: tuple[float, int]) -> Tensor:
        return torch.cat([torch.full((count,), value) for value, count in of]).view(10, 10)

    twenty = steps((2.0, 20), (1.0, 80))
    for other, overlap, counted in (
        (twenty, 1.0, 0.2),
        (twenty.flip(0), 0.0, 0.2),
        (twenty.T, 4 / 36, 0.2),
        (steps((1.0, 5), (0.0, 95)), 5 / 20, 0.05),  # less than a tenth is above the rest
    ):
        found = difference(twenty, other, scaled=False)
        assert found.overlap == pytest.approx(overlap)
        assert found.counted == pytest.approx((0.2, counted))


def test_the_map_lies_on_the_part_of_the_photograph_that_is_seen(classifier: ImageClassifier) -> None:
    wide = torch.full((3, SIDE, 3 * SIDE), 0.5)
    shown = map_over(wide, truth(), classifier, signed=True)
    assert shown.box == pytest.approx((1 / 3, 0, 2 / 3, 1))
    assert shown.steps == pytest.approx((1 / (3 * SIDE), 1 / SIDE))
    assert (shown.low, shown.high) == ("−1", "+1")  # noqa: RUF001
    assert shown.uri.startswith("data:image/jpeg;base64,")


def test_lines_lie_around_a_hole_and_soft_holes_are_reddened(image: Tensor) -> None:
    lined = outlined(image, truth(), width=1)
    changed = np.abs(lined - image.permute(1, 2, 0).numpy()).sum(2) > 0
    assert not changed[truth().numpy() > 0].any()
    assert changed.sum() == 2 * (8 + 12) + 4
    red = dimmed(image, torch.ones(SIDE + 6, SIDE + 6))  # a larger view, of which the middle is seen
    assert red.shape == (SIDE, SIDE, 3)
    assert (red[..., 0] > red[..., 1]).all()
