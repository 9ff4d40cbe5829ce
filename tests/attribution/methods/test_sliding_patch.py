"""SP: captum's numbers, closed forms, and where the map comes to lie."""

import traceback
from pathlib import Path

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from planted import BrightSquare, Linear, Network, square_image
from torch import Tensor

import attribution
from attribution import MaskedScore, SlidingPatch, logit
from infill import Gray

COLOR = (0.2, 0.5, 0.7)


def drops(method: SlidingPatch, score: MaskedScore) -> Tensor:
    """The raw map: how much the score drops at each position of the grid."""
    holes = method.holes(score)
    return (score.clean - score(holes[:])).view(1, *holes.grid)


def test_the_raw_map_is_the_drop_at_each_position(image):
    score = MaskedScore(image, 2, Network(), Gray(COLOR))
    network = Network().eval()
    expected = torch.zeros(6, 9)
    for row in range(6):
        for column in range(9):
            removed = image.clone()
            for channel in range(3):
                removed[:, channel, 3 * row : 3 * row + 7, 3 * column : 3 * column + 7] = COLOR[channel]
            both = network(torch.cat([image, removed])).softmax(1)[:, 2].detach()
            expected[row, column] = both[0] - both[1]
    raw = drops(SlidingPatch(patch=7, stride=3), score)
    torch.testing.assert_close(raw, expected[None], rtol=0, atol=1e-6)
    heatmap = SlidingPatch(patch=7, stride=3)(score)
    resized = F.interpolate(expected[None, None], size=(24, 32), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(heatmap, resized, rtol=0, atol=1e-6)


def test_single_pixels_of_a_linear_classifier_have_a_closed_form(image):
    network = Linear()
    score = MaskedScore(image, 1, network, Gray(COLOR), link=logit)
    expected = (network.weight[1] * (image - torch.tensor(COLOR)[:, None, None])).sum(dim=1).detach()
    for placement in ("resize", "centers"):
        heatmap = SlidingPatch(patch=1, stride=1, placement=placement)(score)
        torch.testing.assert_close(heatmap, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("patch", "stride"), [(8, 4), (7, 4), (5, 3), (6, 5), (24, 1), (1, 1)])
def test_average_equals_captum(images, patch, stride):
    network, target = Network().eval(), [0, 1, 2]
    baseline = torch.tensor(COLOR)[None, :, None, None].expand_as(images)
    expected = captum.attr.Occlusion(network).attribute(
        images,
        sliding_window_shapes=(3, patch, patch),
        strides=(3, stride, stride),
        baselines=baseline,
        target=target,
        perturbations_per_eval=16,
    )
    score = MaskedScore(images, target, network, Gray(COLOR), link=logit)
    heatmap = SlidingPatch(patch=patch, stride=stride, average=True)(score)
    for channel in range(3):
        torch.testing.assert_close(heatmap, expected[:, channel].detach(), rtol=0, atol=1e-5)


def test_captums_grid_must_be_continued_somewhere_in_these_tests():
    assert (24 - 7) % 4 != 0
    assert (32 - 7) % 4 != 0
    assert (24 - 6) % 5 != 0


def test_centers_puts_values_where_their_patches_are():
    image = square_image(top=20, left=30)
    score = MaskedScore(image, 1, BrightSquare(), Gray((0.1, 0.1, 0.1)))
    sampler = SlidingPatch(patch=8, stride=2, placement="centers")
    raw, heatmap = drops(sampler, score)[0], sampler(score)[0]
    assert divmod(int(raw.argmax()), raw.shape[1]) == (10, 15)
    middle = heatmap[23:25, 33:35]
    torch.testing.assert_close(middle.mean(), heatmap.max(), rtol=0.05, atol=0)
    # Between the centers of four patches, and beyond the outermost center.
    torch.testing.assert_close(
        heatmap[24, 34], raw[10:12, 15:17].mul(torch.tensor([[9, 3], [3, 1]]) / 16).sum()
    )
    assert torch.equal(heatmap[0], heatmap[3])
    assert torch.equal(heatmap[:, 0], heatmap[:, 3])


def test_resizing_moves_values_outwards():
    image = square_image(top=32, left=40)
    score = MaskedScore(image, 1, BrightSquare(), Gray((0.1, 0.1, 0.1)))
    raw = drops(SlidingPatch(patch=15, stride=1), score)[0]
    heatmap = SlidingPatch(patch=15, stride=1)(score)[0]
    assert raw.shape == (26, 34)
    assert heatmap.shape == (40, 48)
    torch.testing.assert_close(heatmap[-1, -1], raw[-1, -1])


def test_one_position_is_a_constant_map(image):
    score = MaskedScore(image, 0, Network())
    for placement in ("resize", "centers"):
        heatmap = SlidingPatch(patch=24, stride=9, placement=placement)(score)
        raw = drops(SlidingPatch(patch=24, stride=9), score)
        assert raw.shape == (1, 1, 1)
        torch.testing.assert_close(heatmap, raw.expand(1, 24, 32))


def test_few_of_our_frames_are_between_the_method_and_the_classifier(image):
    depths = set()

    def classifier(some: Tensor) -> Tensor:
        package = Path(attribution.__file__).parent
        depths.add(sum(package in Path(frame.filename).parents for frame in traceback.extract_stack()))
        return some.mean(dim=(2, 3))

    score = MaskedScore(image, 0, classifier)
    depths.clear()  # its preparation is another way
    SlidingPatch(patch=9, stride=4)(score)
    assert depths == {4}


def test_values_are_differences_of_probabilities(image):
    heatmap = SlidingPatch(patch=9, stride=4)(MaskedScore(image, 3, Network()))
    assert heatmap.abs().max() <= 1
    assert heatmap.abs().max() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 0}, "patch must be at least 1, got 0"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"placement": "corner"}, r"placement must be one of \('resize', 'centers'\), got 'corner'"),
        (
            {"patch": 5, "stride": 6, "average": True},
            r"stride must be at most the patch \(5\) with average, got 6",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SlidingPatch(**change)


def test_a_patch_larger_than_the_image_names_both(image):
    with pytest.raises(ValueError, match="patch must be 1 to 24 in a 24 x 32 image, got 29"):
        SlidingPatch()(MaskedScore(image, 0, Network()))
