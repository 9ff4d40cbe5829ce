"""The pointing game, on maps whose answer is known."""

import pytest
import torch
from torch import Tensor

from attribution.evaluation.pointing import difficult, pointing_accuracy, pointing_hit


def block(left: int, top: int, right: int, bottom: int) -> Tensor:
    """A map of 20 x 30 pixels that is 1 in a box."""
    heatmap = torch.zeros(20, 30)
    heatmap[top:bottom, left:right] = 1
    return heatmap


def test_pointing_hits_where_the_maximum_is_in_a_box():
    heatmap = block(12, 7, 13, 8)[None].repeat(5, 1, 1)
    boxes = [
        [[12, 7, 13, 8]],
        [[0, 0, 12, 8]],
        [[0, 0, 13, 7]],
        [[0, 0, 1, 1], [10, 5, 20, 10]],
        [[13, 0, 30, 20]],
    ]
    boxes = [torch.tensor(rows) for rows in boxes]
    assert pointing_hit(heatmap, boxes).tolist() == [True, False, False, True, False]
    assert pointing_hit(heatmap, boxes, tolerance=1.0).all()


def test_tolerance_is_a_distance_in_pixels():
    heatmap, boxes = block(12, 7, 13, 8)[None], [torch.tensor([[16, 11, 20, 20]])]
    assert pointing_hit(heatmap, boxes, tolerance=5.6) == 0
    assert pointing_hit(heatmap, boxes, tolerance=5.7) == 1


def test_of_a_shared_maximum_the_first_pixel_counts():
    heatmap = block(10, 5, 14, 10)[None]
    assert pointing_hit(heatmap, [torch.tensor([[10, 5, 11, 6]])])
    assert not pointing_hit(heatmap, [torch.tensor([[11, 5, 14, 10]])])
    flat = torch.ones(1, 20, 30)
    assert pointing_hit(flat, [torch.tensor([[0, 0, 1, 1]])])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("shape", [(213, 320), (150, 200), (320, 427), (97, 131)])
def test_the_first_pixel_counts_of_a_plateau_that_was_resized(shape: tuple[int, int], sign: float):
    """Resizing leaves rounding on pixels that were equal, where the first maximum would be by chance."""
    plateau = torch.zeros(1, 1, 224, 224)
    plateau[..., 60:120, 80:150] = 1.0
    heatmap = (0.7 * plateau) if sign > 0 else (0.7 * plateau - 1.4)
    resized = torch.nn.functional.interpolate(heatmap, shape, mode="bilinear", antialias=True)[0]
    inside = (resized[0] - resized.max()).abs() < 1e-4
    y, x = divmod(int(inside.flatten().byte().argmax()), shape[1])
    assert pointing_hit(resized, [torch.tensor([[x, y, x + 1, y + 1]])])


def test_what_lies_a_little_below_the_maximum_is_none_however_far_from_0():
    """RISE's published mean has nearly the same everywhere: .99 here, and at most .0003 more."""
    y, x = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="ij")
    bump = torch.exp(-((y - 150) ** 2 + (x - 150) ** 2) / (2 * 30**2))
    peak = [torch.tensor([[146, 147, 155, 154]])]
    assert pointing_hit((0.99 + 0.0003 * bump)[None], peak)
    assert pointing_hit((0.0003 * bump)[None], peak)


@pytest.mark.parametrize("shape", [(375, 500), (333, 500), (97, 131), (1024, 768)])
def test_of_a_constant_map_that_was_resized_the_first_pixel_counts(shape: tuple[int, int]):
    flat = torch.full((1, 1, 224, 224), 0.7)
    resized = torch.nn.functional.interpolate(flat, shape, mode="bilinear", antialias=True)[0]
    assert pointing_hit(resized, [torch.tensor([[0, 0, 1, 1]])])


def test_what_the_classifier_does_not_see_is_no_maximum():
    heatmap = torch.full((1, 20, 30), -torch.inf)
    heatmap[0, 12, 7] = -3.0
    assert pointing_hit(heatmap, [torch.tensor([[7, 12, 8, 13]])])


def test_accuracy_is_by_class():
    hits = torch.tensor([True, False, True, True])
    assert pointing_accuracy(hits, ["cat", "cat", "dog", "cat"]) == pytest.approx({"cat": 2 / 3, "dog": 1})
    with pytest.raises(ValueError, match=r"classes must be one per case \(4\), got 3"):
        pointing_accuracy(hits, ["cat"] * 3)
    with pytest.raises(ValueError, match="hits must be at least one"):
        pointing_accuracy([], [])


def test_difficult_is_a_small_object_beside_another_class():
    small, same = torch.tensor([[0, 0, 10, 10]]), torch.tensor([[0, 0, 10, 10], [0, 0, 10, 10]])
    large, none = torch.tensor([[0, 0, 15, 10]]), torch.zeros(0, 4, dtype=torch.long)
    assert difficult({"cat": small, "dog": large}, "cat", (20, 30))
    assert difficult({"cat": same, "dog": large}, "cat", (20, 30)), "what two boxes share counts once"
    assert not difficult({"cat": small, "dog": large}, "dog", (20, 30)), "a quarter is not less"
    assert not difficult({"cat": small, "dog": none}, "cat", (20, 30))
    with pytest.raises(ValueError, match="target must be one of the image's classes"):
        difficult({"cat": small, "dog": none}, "dog", (20, 30))
