"""Boxes and localization error, on maps whose answer is known."""

import pytest
import torch
import torchvision

from attribution.evaluation.localization import (
    ALPHAS_OF_MEAN,
    ALPHAS_OF_PEAK,
    boxes_above,
    covered,
    iou,
    localization_error,
    mean,
    tuned_alpha,
)
from attribution.evaluation.pointing import pointing_hit


def block(left, top, right, bottom, value=1.0, size=(20, 30)):
    heatmap = torch.zeros(size)
    heatmap[top:bottom, left:right] = value
    return heatmap


HEATMAP = torch.stack(
    [block(4, 5, 10, 9) + block(20, 2, 21, 3, 0.3), block(0, 0, 30, 20, -1) + block(29, 19, 30, 20, 3)]
)


def test_the_pixels_of_boxes_are_counted_once():
    boxes = torch.tensor([[4, 5, 10, 9], [8, 5, 12, 9], [0, 0, 0, 20]])
    assert torch.equal(covered(boxes, (20, 30)), block(4, 5, 12, 9) > 0)
    assert not covered(boxes[:0], (20, 30)).any()


def test_the_box_is_the_tightest_around_all_that_is_above():
    assert boxes_above(HEATMAP, 0.5).tolist() == [[4, 5, 10, 9], [29, 19, 30, 20]]
    assert boxes_above(HEATMAP, 0.2).tolist() == [[4, 2, 21, 9], [29, 19, 30, 20]]
    assert boxes_above(HEATMAP[:1], 0.0).tolist() == [[4, 2, 21, 9]], "at 0 all that is positive is left"
    assert boxes_above(HEATMAP[:1], 10.0, mean).tolist() == [[4, 5, 10, 9]]


def test_the_threshold_itself_is_left_out():
    heatmap = (block(2, 2, 9, 9, 1.0) + block(4, 4, 5, 5, 1.0))[None]
    assert boxes_above(heatmap, 0.5).tolist() == [[4, 4, 5, 5]]


@pytest.mark.parametrize("value", [0.0, -1.0, 1.0])
def test_a_map_that_singles_nothing_out_has_the_whole_image_as_box(value):
    heatmap = torch.full((1, 20, 30), value)
    assert boxes_above(heatmap, 0.5).tolist() == [[0, 0, 30, 20]]
    assert boxes_above(heatmap, 1.0, mean).tolist() == [[0, 0, 30, 20]]


def test_iou_equals_torchvision():
    corners = torch.randint(0, 20, (40, 2), generator=torch.Generator().manual_seed(0))
    sizes = torch.randint(1, 15, (40, 2), generator=torch.Generator().manual_seed(1))
    boxes = torch.cat([corners, corners + sizes], dim=1)
    expected = torchvision.ops.box_iou(boxes[:1].float(), boxes.float())[0]
    torch.testing.assert_close(iou(boxes[0], boxes), expected)
    assert iou(boxes[0], boxes)[0] == 1


def test_error_is_the_share_of_images_not_found():
    exact, half, apart = [4, 5, 10, 9], [4, 5, 10, 13], [0, 0, 3, 3]
    heatmap = block(*exact)[None].repeat(4, 1, 1)
    boxes = [torch.tensor(rows) for rows in ([exact], [half], [apart], [apart, exact])]
    assert localization_error(heatmap, boxes, 0.5) == 0.5, "an intersection over union of 0.5 is not enough"
    boxes[1] = torch.tensor([[4, 5, 10, 12]])
    assert localization_error(heatmap, boxes, 0.5) == 0.25


def test_alpha_is_tuned_to_the_lowest_error():
    # The object's glow reaches 0.4, a distractor 0.2: only thresholds between them find the box.
    heatmap = (block(5, 5, 15, 15, 0.4) + block(9, 9, 10, 10, 0.6) + block(28, 18, 30, 20, 0.2))[None]
    boxes = [torch.tensor([[5, 5, 15, 15]])]
    assert tuned_alpha(heatmap, boxes) == 0.2
    assert tuned_alpha(heatmap, boxes, alphas=[0.9, 0.35, 0.3]) == 0.3
    assert tuned_alpha(heatmap, [torch.tensor([[0, 0, 1, 1]])]) == 0.0, "the smallest of equals"
    assert localization_error(heatmap, boxes, tuned_alpha(heatmap, boxes, ALPHAS_OF_MEAN, mean), mean) == 0


def test_alphas_are_the_papers():
    assert (ALPHAS_OF_PEAK[0], ALPHAS_OF_PEAK[1], ALPHAS_OF_PEAK[-1], len(ALPHAS_OF_PEAK)) == (
        0,
        0.05,
        0.95,
        20,
    )
    assert (ALPHAS_OF_MEAN[0], ALPHAS_OF_MEAN[1], ALPHAS_OF_MEAN[-1], len(ALPHAS_OF_MEAN)) == (0, 0.5, 10, 21)


@pytest.mark.parametrize("metric", [lambda h, b: localization_error(h, b, 0.5), pointing_hit])
def test_boxes_must_fit_the_heatmaps(metric):
    with pytest.raises(ValueError, match="boxes must be given for each of 2 heatmaps, got 1"):
        metric(HEATMAP, [torch.tensor([[0, 0, 1, 1]])])
    with pytest.raises(
        ValueError, match=r"boxes must be at least one per image, got 'none for images \[1\]'"
    ):
        metric(HEATMAP, [torch.tensor([[0, 0, 1, 1]]), torch.zeros(0, 4, dtype=torch.long)])
    box = torch.tensor([[0, 0, 1, 1]])
    with pytest.raises(ValueError, match=r"boxes must be of shape \(m, 4\) for each image, got \(4,\)"):
        metric(HEATMAP, [box, box[0]])
    with pytest.raises(ValueError, match="boxes must be left, top, right, bottom with left < right"):
        metric(HEATMAP, [box, torch.tensor([[5, 0, 1, 1]])])


def test_thresholds_and_tolerances_are_not_negative():
    boxes = [torch.tensor([[0, 0, 1, 1]])] * 2
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="alpha must be at least 0"):
            localization_error(HEATMAP, boxes, wrong)
        with pytest.raises(ValueError, match="tolerance must be at least 0"):
            pointing_hit(HEATMAP, boxes, wrong)
    with pytest.raises(ValueError, match="alphas must be at least one"):
        tuned_alpha(HEATMAP, boxes, ())


@pytest.mark.parametrize(
    "metric", [lambda h, b: localization_error(h, b, 0.5), pointing_hit, lambda h, _: boxes_above(h, 0.5)]
)
def test_what_is_not_a_number_is_neither_above_nor_below(metric):
    heatmap, boxes = torch.zeros(1, 20, 30), [torch.tensor([[0, 0, 5, 5]])]
    heatmap[0, 15, 15], heatmap[0, 0, 0] = 1, -torch.inf  # beyond what the classifier sees
    metric(heatmap, boxes)
    for wrong in (torch.nan, torch.inf):
        heatmap[0, 2, 2] = wrong
        with pytest.raises(ValueError, match="heatmap must be a number everywhere, got '1 NaN or inf"):
            metric(heatmap, boxes)


def test_of_a_signed_heatmap_the_level_is_the_mean_of_what_speaks_for_the_class():
    """With the mean of all, here below 0, more pixels would be above a threshold of a larger alpha."""
    heatmap = torch.full((1, 10, 10), -1.0)
    heatmap[0, 2:4, 3:6] = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert mean(heatmap).tolist() == pytest.approx([21 / 100])
    sizes = []
    for alpha in ALPHAS_OF_MEAN:
        (left, top, right, bottom) = boxes_above(heatmap, alpha, mean)[0].tolist()
        sizes.append((right - left) * (bottom - top))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 6
