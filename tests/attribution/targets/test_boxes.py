"""D-RISE's similarity against its authors' formula, on detectors whose boxes are known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import BLACK
from torch import Tensor, nn

from attribution import MP2, MaskedScore, Rise, SlidingPatch, Value
from attribution.targets import BoxScore, similarity

BOX = torch.tensor([[4.0, 4.0, 14.0, 12.0]])
SECOND = torch.tensor([[0.0, 1.0, 0.0]])


def plainly(box: Tensor, classes: Tensor, found: tuple[Tensor, Tensor, Tensor]) -> list[float]:
    """IoU(L_t, L_j) * P_t . P_j / (|P_t| |P_j|) * O_j, number by number (Petsiuk et al. 2021)."""
    values, target, classes = [], box.double().tolist(), classes.double().tolist()
    for other, p, o in zip(*(part.double().tolist() for part in found), strict=True):
        width = max(0.0, min(target[2], other[2]) - max(target[0], other[0]))
        height = max(0.0, min(target[3], other[3]) - max(target[1], other[1]))
        areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (target, other)]
        iou = width * height / (sum(areas) - width * height)
        cosine = np.dot(classes, p) / (np.linalg.norm(classes) * np.linalg.norm(p))
        values.append(float(iou * cosine * o))
    return values


@st.composite
def detections(draw: st.DrawFn, classes: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    count = draw(st.integers(1, 4))
    place, share = st.floats(0, 20, width=32), st.floats(0.0625, 1, width=32)
    starts = torch.tensor([[draw(place), draw(place)] for _ in range(count)])
    sides = torch.tensor([[draw(share), draw(share)] for _ in range(count)]) * 20 + 1
    probabilities = torch.tensor([[draw(share) for _ in range(classes)] for _ in range(count)])
    return (
        torch.cat([starts, starts + sides], 1),
        probabilities,
        torch.tensor([draw(share) for _ in range(count)]),
    )


@settings(max_examples=60)
@given(found=detections(), target=detections())
def test_the_similarity_is_the_authors_formula(found, target):
    box, classes = target[0][0], target[1][0]
    values = similarity(box, classes, found)
    torch.testing.assert_close(values, torch.tensor(plainly(box, classes, found)), rtol=1e-4, atol=1e-5)
    assert ((values >= 0) & (values <= 1 + 1e-5)).all()
    score = BoxScore(lambda images: [found] * len(images), target[0], target[1])(torch.zeros(2, 3, 8, 8))
    assert score.shape == (2, len(target[0]))
    for i, (box, classes) in enumerate(zip(*target[:2], strict=True)):
        assert torch.equal(score[:, i], similarity(box, classes, found).max().expand(2))


def test_iou_is_torchvisions():
    from torchvision.ops import box_iou

    boxes = torch.rand(6, 4, generator=torch.Generator().manual_seed(0)) * 10
    boxes[:, 2:] += boxes[:, :2] + 1
    certain = torch.ones(6, 2), torch.ones(6)
    ours = similarity(boxes[0], torch.ones(2), (boxes, *certain))
    torch.testing.assert_close(ours, box_iou(boxes[:1], boxes)[0], rtol=1e-5, atol=1e-6)


def test_the_same_detection_is_worth_its_objectness():
    found = torch.tensor([[1.0, 2.0, 5.0, 9.0]]), torch.tensor([[0.2, 0.7, 0.1]]), torch.tensor([0.6])
    assert float(similarity(found[0][0], found[1][0], found)) == pytest.approx(0.6)
    apart = torch.tensor([[6.0, 2.0, 9.0, 9.0]]), *found[1:]
    assert float(similarity(found[0][0], found[1][0], apart)) == 0


class Bright(nn.Module):
    """Finds the place of `BOX`, of the second class, as surely as it is bright; nothing in the dark."""

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        left, top, right, bottom = BOX[0].long().tolist()
        bright = images[:, :, top:bottom, left:right].mean((1, 2, 3))
        nothing = torch.zeros(0, 4), torch.zeros(0, 3), torch.zeros(0)
        return [(BOX, SECOND, one[None]) if one > 0.1 else nothing for one in bright]


@pytest.fixture
def lit() -> Tensor:
    image = torch.full((1, 3, 16, 24), 0.05)
    image[..., 4:12, 4:14] = 0.9
    return image


def test_nothing_found_is_worth_nothing(lit):
    score = MaskedScore(lit, 0, BoxScore(Bright(), BOX, SECOND), BLACK, link=Value())
    assert float(score.clean) == pytest.approx(0.9)
    hole = torch.ones(1, 1, 16, 24, requires_grad=True)
    gone = score(hole)
    assert float(gone.detach()) == 0
    (slope,) = torch.autograd.grad(gone.sum(), hole)
    assert not slope.any()


def test_a_detector_without_derivatives_is_told(lit):
    def detached(images: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        return [tuple(part.detach() for part in each) for each in Bright()(images)]

    score = MaskedScore(lit, 0, BoxScore(detached, BOX, SECOND), BLACK, link=Value())
    assert SlidingPatch(4, 4)(score).max() > 0
    with pytest.raises(ValueError, match="classifier must be one with derivatives, which optimizing methods"):
        MP2(8).optimize(score)


def test_another_class_in_the_place_is_another_thing(lit):
    first = torch.tensor([[1.0, 0.0, 0.0]])
    assert float(BoxScore(Bright(), BOX, first)(lit)) == 0


def test_rise_with_it_is_drise(lit):
    """The sum of the masks, weighted by the similarity of the composite's detections, over N p."""
    score = MaskedScore(lit, 0, BoxScore(Bright(), BOX, SECOND), BLACK, link=Value())
    method = Rise(masks=24, cells=4)
    masks = 1 - method.holes(score)[:]
    weights = BoxScore(Bright(), BOX, SECOND)(masks * lit)[:, 0]
    expected = (masks[:, 0] * weights[:, None, None]).sum(0) / (24 * 0.5)
    torch.testing.assert_close(method(score)[0], expected, rtol=1e-4, atol=1e-5)


def test_sampling_and_optimizing_methods_find_the_box(lit):
    score = MaskedScore(lit, 0, BoxScore(Bright(), BOX, SECOND), BLACK, link=Value())
    heatmap = SlidingPatch(4, 2, average=True)(score)[0]
    assert heatmap[4:12, 4:14].min() > heatmap[:, 18:].max() == 0
    outcome = MP2(8, rank="descent").optimize(score)
    assert float(outcome.chance) == pytest.approx(0.45)
    assert outcome.reached.all()
    assert outcome.hole[0, 0, 4:12, 4:14].mean() > 0.4
    assert not outcome.hole[0, 0, :, 16:].any()


@pytest.mark.parametrize(
    ("boxes", "classes", "message"),
    [
        (torch.tensor([[4.0, 4.0, 4.0, 9.0]]), SECOND, "boxes must be left, top, right, bottom"),
        (torch.zeros(0, 4), torch.zeros(0, 3), "boxes must be left, top, right, bottom"),
        (BOX, SECOND.expand(2, -1), "classes must be one row for each of 1 boxes, got 2"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_boxes_that_are_none_are_refused(boxes, classes, message):
    with pytest.raises(ValueError, match=message):
        BoxScore(Bright(), boxes, classes)
