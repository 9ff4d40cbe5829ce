"""Heatmaps on photographs: what the classifier does not see of one has no say; methods that run again."""

from dataclasses import replace

import pytest
import torch
from planted import Network
from torch import Tensor, nn

from attribution import Explainer, Lime, MaskedScore, Rise, SlidingPatch
from attribution.evaluation.agreement import AGREEMENTS, agreement, agreement_across, pixel_deviation
from attribution.evaluation.controls import removal, strongest
from attribution.evaluation.sanity import randomized, shifted
from infill import Gray
from models.classifiers import ImageClassifier
from models.preprocessing import Preprocessing
from studio.data.example import Example
from studio.evaluate.again import SEGMENTS, TINT
from studio.evaluate.explained import Explained, Subject
from studio.evaluate.measures import COMPUTE
from studio.evaluate.request import EvaluateRequest
from studio.evaluate.setup import set_up
from studio.evaluate.unit import Worker, _off_center
from studio.registry.own import Own

SIDE = 32
AT = (8, 10, 18, 22)
"""Where the object is in the classifier's view."""


def explained(heatmap: Tensor, size: tuple[int, int]) -> Explained:
    """A heatmap of the view on a photograph of that size, of which the view is the middle."""
    down, right = ((side - SIDE) // 2 for side in size)
    box = torch.tensor([AT]) + torch.tensor([right, down, right, down])
    silhouette = torch.zeros(size, dtype=torch.bool)
    silhouette[box[0, 1] : box[0, 3], box[0, 0] : box[0, 2]] = True
    network = nn.Sequential(nn.AvgPool2d(SIDE), nn.Flatten())
    classifier = ImageClassifier(network, Preprocessing(resize=min(size), crop=SIDE))
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    example = Example("photo", image, 0, silhouette, box)
    score = MaskedScore(classifier.view(image), 0, classifier)
    subject = Subject(0, example, classifier, score, lambda name: score.filler, 0)
    return Explained(subject, score, heatmap, "sp")


def map_of(ground: float, peak: float) -> Tensor:
    heatmap = torch.full((SIDE, SIDE), ground)
    heatmap[AT[1] : AT[3], AT[0] : AT[2]] = peak
    heatmap[AT[1] + 2, AT[0] + 3] = peak + 0.01
    return heatmap


@pytest.mark.parametrize("values", [(0.0, 1.0), (0.5, 0.9), (-1.0, -0.1), (-3.0, 0.5)])
def test_how_much_is_cut_off_changes_no_figure(values: tuple[float, float]) -> None:
    heatmap = map_of(*values)
    whole, *cut = (explained(heatmap, size) for size in ((32, 32), (32, 48), (32, 96), (40, 64)))
    for metric in ("localization", "localization-mean", "pointing"):
        expected = COMPUTE[metric](whole, "")
        assert all(COMPUTE[metric](each, "") == expected for each in cut), metric
    assert COMPUTE["pointing"](whole, "")["pointing"] == [(0.0, 1.0), (15.0, 1.0)]
    found = COMPUTE["salient"](whole, "")
    for each in cut:
        again = COMPUTE["salient"](each, "")
        for name in ("precision", "recall", "f"):
            ((_, one),), ((_, other),) = found[f"salient.{name}"], again[f"salient.{name}"]
            assert one == pytest.approx(other), name
        ((_, one),), ((_, other),) = found["salient.mae"], again["salient.mae"]
        height, width = each.subject.size
        assert other * height * width == pytest.approx(one * SIDE**2, rel=1e-4)  # the rest is right: 0


def test_of_an_object_that_is_cut_off_only_what_is_seen_can_be_found() -> None:
    each = explained(map_of(0.0, 1.0), (32, 64))
    silhouette = torch.zeros(32, 64, dtype=torch.bool)
    silhouette[:, :20] = True  # the view begins at 16
    found = COMPUTE["salient"](
        Explained(
            Subject(
                0,
                Example("photo", each.subject.example.image, 0, silhouette),
                each.subject.classifier,
                each.score,
                each.subject.filler_of,
                0,
            ),
            each.score,
            torch.eye(SIDE).flip(0).cumsum(1),
            "sp",
        ),
        "",
    )
    assert found["salient.recall"][0][1] <= 4 / 20
    assert each.seen.sum() == 32 * 32
    assert each.on_photograph[0][~each.seen].isneginf().all()


def test_beside_the_object_are_the_classes_that_it_does_not_hide() -> None:
    subject = explained(map_of(0.0, 1.0), (32, 64)).subject  # the view begins at 16
    left, top, right, bottom = subject.boxes[0].tolist()
    boxes = {
        3: [[left, top, right, bottom]],  # under the object
        4: [[left, top, right, bottom + 5]],  # more than half of it
        5: [[right - 2, top, right + 2, bottom]],  # half
        6: [[left, 0, right, 4]],  # apart
        7: [[0, 0, 15, 32]],  # beyond the view
        8: [[left, top, right, bottom], [left, 0, right, top]],  # of two objects one, which is smaller
        9: [[left, top, right, bottom], [left, 0, right, top], [left - 6, top, left, bottom]],
    }
    others = {each: torch.tensor(some) for each, some in boxes.items()}
    assert replace(subject, others=others).beside == [5, 6, 9]


def test_outside_is_off_the_box_and_off_the_silhouette_where_there_is_no_box() -> None:
    whole = explained(map_of(0.0, 1.0), (32, 32))
    thin = whole.subject.example.silhouette.clone()
    thin[:, AT[0] + 1 :] = False  # a column of the box
    example = replace(whole.subject.example, silhouette=thin)
    subject = replace(whole.subject, example=example)
    left, top, right, bottom = AT
    assert subject.frame.nonzero().amin(0).tolist() == [top, left]
    assert int(subject.frame.sum()) == (right - left) * (bottom - top)
    assert int(subject.region.sum()) == bottom - top
    alone = replace(subject, example=replace(example, boxes=None))
    assert torch.equal(alone.frame, subject.region)
    method = SlidingPatch(patch=4, stride=4)
    places = [
        COMPUTE["outside"](replace(whole, subject=each, method=method), "")["outside.curve"]
        for each in (subject, alone)
    ]
    assert [[place for place, _ in each] for each in places] == [[0, 8], [0, 8, 24]]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_heatmap_that_is_not_finite_is_the_units_error_and_has_no_figure(value: float) -> None:
    def broken(score: MaskedScore) -> Tensor:
        heatmap = torch.zeros(len(score), *score.size)
        heatmap[:, 2, 2:4] = value
        return heatmap

    request = EvaluateRequest(
        "scenes:1", methods=("broken",), fillers=("gray",), metrics=("pointing",), baselines=False
    )
    worker = Worker(set_up(request, Own(methods={"broken": broken})))
    part, heatmap = worker((0, "broken--gray"))
    assert "heatmap must be a finite floating-point tensor" in part.error
    assert "got '2 of" in part.error
    assert heatmap is None
    assert not part.values


def test_a_box_that_ends_at_the_center_does_not_hold_it() -> None:
    def off(*boxes: list[int]) -> bool | None:
        return _off_center(Example("photo", torch.zeros(3, 40, 50), boxes=torch.tensor(boxes)))

    assert off([0, 0, 25, 20]) is True  # right and bottom are the first pixels outside
    assert off([0, 0, 25, 40], [0, 0, 50, 20]) is True
    assert off([25, 20, 30, 30]) is False
    assert off([0, 0, 5, 5], [24, 19, 26, 21]) is False
    assert off() is _off_center(Example("photo", torch.zeros(3, 40, 50))) is None


def found_by(method: Explainer) -> Explained:
    """What a method finds of a network with layers to lose."""
    classifier = ImageClassifier(Network().eval(), Preprocessing(48, 48, (0.0,) * 3, (1.0,) * 3))
    image = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(3))
    score = MaskedScore(image, 1, classifier, Gray())
    subject = Subject(5, Example("photo", image), classifier, score, lambda name: score.filler, 0)
    return Explained(subject, score, method(score)[0], "method", method, "gray")


def test_what_a_fall_is_beyond_chance() -> None:
    each = found_by(SlidingPatch(16, 8))
    hole = strongest(each.in_batch, 0.05)
    fall, elsewhere = removal(each.score, hole, each.subject.chance("control"))
    assert abs(float(elsewhere)) > 1e-6
    values = {name: value for name, [(_, value)] in COMPUTE["removal"](each, "gray").items()}
    told = {"removal:gray.fall": float(fall), "removal:gray.beyond": float(fall - elsewhere)}
    assert values == pytest.approx(told)


def test_heatmaps_of_networks_that_lost_what_they_learned() -> None:
    each = found_by(method := SlidingPatch(16, 8))
    found, classifier = COMPUTE["randomization"](each, ""), each.subject.classifier
    lost = [network for _, network in randomized(classifier.network, each.subject.chance("network"))]
    maps = [method(replace(each.score, classifier=classifier.with_network(network)))[0] for network in lost]
    for name, alike in AGREEMENTS.items():
        stops, values = zip(*found[f"randomization.{name}"], strict=True)
        assert stops == pytest.approx((1 / 3, 2 / 3, 1))
        assert values == pytest.approx([alike(each.heatmap, one) for one in maps], abs=1e-5)
        assert values[-1] < 0.99


def test_the_heatmap_of_a_tinted_image() -> None:
    each = found_by(method := SlidingPatch(16, 8))
    found = COMPUTE["shift"](each, "")
    tinted = method(shifted(each.score, each.subject.classifier, torch.tensor(TINT)))[0]
    for name, alike in AGREEMENTS.items():
        ((_, value),) = found[f"shift.{name}"]
        assert value == pytest.approx(alike(each.heatmap, tinted), abs=1e-5)
        assert value < 0.999


def test_sensitivity_is_the_agreement_of_other_seeds() -> None:
    each = found_by(method := Rise(masks=20, seed=3))
    found = {name: value for name, [(_, value)] in COMPUTE["sensitivity"](each, "").items()}
    maps = torch.stack([replace(method, seed=3 + number)(each.score)[0] for number in range(5)])
    told = {**agreement(maps), "deviation": pixel_deviation(maps)}
    assert found == pytest.approx({f"sensitivity.{name}": value for name, value in told.items()}, abs=1e-5)


def test_limes_sensitivity_is_told_by_the_number_of_superpixels() -> None:
    each = found_by(method := Lime(samples=12, seed=1))
    found = {name: value for name, [(_, value)] in COMPUTE["sensitivity"](each, "").items()}
    coarse, fine = (
        torch.stack([replace(method, segments=count, seed=1 + number)(each.score)[0] for number in range(5)])
        for count in SEGMENTS
    )
    across = agreement_across(coarse[:1], fine[:1])
    for suffix, told in (("", agreement(coarse)), ("-150", agreement(fine)), ("-across", across)):
        for name, value in told.items():
            assert found[f"sensitivity{suffix}.{name}"] == pytest.approx(value, abs=1e-5), (suffix, name)
