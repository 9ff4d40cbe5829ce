"""What classifiers see of an image, and where it lies in it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny_classifiers import average
from torch import Tensor, nn

from models.classifiers import ImageClassifier
from models.classifiers.direct import Direct
from models.preprocessing import Preprocessing

SIZES = [(320, 427), (427, 320), (33, 47), (500, 500), (60, 61), (24, 24), (25, 24), (90, 31)]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [size for size in SIZES if size != (24, 24)])
def test_the_view_is_torchvisions_preset(
    size: tuple[int, int], interpolation: str, smooth_image: Callable[..., Tensor]
) -> None:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    image = 0.2 + 0.6 * smooth_image(*size)[0]  # far enough from 0 and 1 for bicubic not to overshoot them
    classifier = average(interpolation=interpolation)
    preset = ImageClassification(crop_size=24, resize_size=28, interpolation=InterpolationMode(interpolation))
    normalized = (classifier.view(image) - classifier.mean) / classifier.std
    torch.testing.assert_close(normalized, preset(image), rtol=0, atol=1e-5)
    torch.testing.assert_close(classifier(image[None]), preset(image)[None].mean((2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_a_larger_view_shows_more_of_the_same_photograph(
    size: tuple[int, int], smooth_image: Callable[..., Tensor]
) -> None:
    image, classifier = smooth_image(*size)[0], average()
    view, most = classifier.view(image), classifier.room(size)
    assert most == (0 if size == (24, 24) else 4)
    for room in range(most + 1):
        larger, before = classifier.view(image, room), room // 2
        assert larger.shape == (3, 24 + room, 24 + room)
        assert torch.equal(larger[:, before : before + 24, before : before + 24], view)
    with pytest.raises(ValueError, match=f"room: expected 0 to {most} px in an image of .*, got {most + 1}"):
        classifier.view(image, most + 1)


def test_a_bicubic_view_stays_in_range() -> None:
    image = (torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    view = average(interpolation="bicubic").view(image)
    assert view.min() == 0
    assert view.max() == 1


def test_an_image_of_the_crops_size_is_only_normalized(smooth_image: Callable[..., Tensor]) -> None:
    image = smooth_image(24, 24)
    classifier = average()
    assert torch.equal(classifier.view(image[0]), image[0])
    torch.testing.assert_close(classifier(image), ((image - classifier.mean) / classifier.std).mean((2, 3)))
    assert classifier.view_box((24, 24)) == (0, 0, 24, 24)
    heatmap = image[0, 0]
    assert torch.equal(classifier.to_input(heatmap, (24, 24)), heatmap)


@pytest.mark.parametrize("size", [(320, 427), (427, 320), (333, 500), (100, 701), (64, 64), (57, 91)])
def test_what_is_seen_comes_back_to_its_place(size: tuple[int, int]) -> None:
    """A spot of the input, found in the view, maps back to the same pixels of the input."""
    classifier = average(crop=56, resize=64)
    height, width = size
    left, top, right, bottom = classifier.view_box(size)
    for across, down in [(0.25, 0.3), (0.5, 0.5), (0.8, 0.7)]:
        x, y = left + across * (right - left), top + down * (bottom - top)
        rows = torch.arange(height)[:, None] + 0.5 - y
        columns = torch.arange(width) + 0.5 - x
        spot = torch.exp(-(rows**2 + columns**2) / 2 / (0.04 * min(size)) ** 2)
        back = classifier.to_input(classifier.view(spot.expand(3, -1, -1))[0], size)
        found_y = float((back.sum(1) * (torch.arange(height) + 0.5)).sum() / back.sum())
        found_x = float((back.sum(0) * (torch.arange(width) + 0.5)).sum() / back.sum())
        assert abs(found_y - y) < 0.25
        assert abs(found_x - x) < 0.25


@pytest.mark.parametrize("size", SIZES)
def test_evidence_is_zero_exactly_where_the_crop_cuts_away(size: tuple[int, int]) -> None:
    classifier = average()
    back = classifier.to_input(torch.ones(24, 24), size)
    left, top, right, bottom = classifier.view_box(size)
    expected = torch.zeros(size)
    rows = [y for y in range(size[0]) if top <= y + 0.5 < bottom]
    columns = [x for x in range(size[1]) if left <= x + 0.5 < right]
    expected[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1
    assert torch.equal(back == 0, expected == 0)
    torch.testing.assert_close(back, expected)


@pytest.mark.parametrize("size", SIZES)
def test_the_view_lies_in_the_middle_of_the_input(size: tuple[int, int]) -> None:
    """Its pixels are what a ramp over the input says they are."""
    classifier = average()
    height, width = size
    ramp_x = ((torch.arange(width) + 0.5) / width).expand(3, height, -1)
    ramp_y = ((torch.arange(height) + 0.5) / height)[:, None].expand(3, -1, width)
    left, top, right, bottom = classifier.view_box(size)
    middle = (torch.arange(24) + 0.5) / 24
    inner = slice(2, -2)  # at the image's border, antialiasing has one-sided windows
    torch.testing.assert_close(
        classifier.view(ramp_x)[0, 12][inner] * width,
        (left + middle * (right - left))[inner],
        rtol=0,
        atol=0.25,
    )
    torch.testing.assert_close(
        classifier.view(ramp_y)[0, :, 12][inner] * height,
        (top + middle * (bottom - top))[inner],
        rtol=0,
        atol=0.25,
    )


def test_a_heatmap_of_another_size_is_refused(unchecked_shapes: None) -> None:
    with pytest.raises(ValueError, match="heatmap: expected 24 x 24, got"):
        average().to_input(torch.ones(24, 23), (40, 40))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop": 30}, "crop and resize: expected 1 <= crop <= resize, got 30 and 28"),
        ({"interpolation": "lanczos"}, "interpolation: expected 'bilinear' or 'bicubic', got 'lanczos'"),
        ({"std": (0.0, 1.0, 1.0)}, "mean and std"),
        ({"std": (float("nan"),) * 3}, "std: expected a finite number for each channel, got"),
        ({"mean": 0.5}, "mean: expected a finite number for each channel, got 0.5"),
        ({"crop": 24.5}, "crop: expected a whole number of pixels, at least 1, got 24.5"),
        ({"crop": True}, "crop: expected a whole number of pixels, at least 1, got True"),
        ({"resize": 0}, "resize: expected a whole number of pixels, at least 1, got 0"),
        ({"resize": (28,)}, "resize: expected the short side, or"),
    ],
)
def test_impossible_views_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**{"crop": 24, "resize": 28, **arguments})  # type: ignore[arg-type]


def test_numbers_of_numpy_and_torch_will_do() -> None:
    plain = Preprocessing(24, 28, (0.5, 0.25, 0.125), (1.0, 2.0, 4.0))
    mean, std = torch.tensor(plain.mean), np.array(plain.std)
    assert Preprocessing(np.int64(24), np.int64(28), mean, std) == plain  # type: ignore[arg-type]
    assert Preprocessing(24.0, 28.0, list(plain.mean), plain.std) == plain  # type: ignore[arg-type]


def test_moving_what_shares_a_network_moves_nothing_else() -> None:
    classifier = ImageClassifier(nn.Identity(), Preprocessing(24, 28))
    classifier.with_network(nn.Identity()).to(torch.float64)
    assert classifier.mean.dtype is torch.float32


@pytest.mark.parametrize(
    ("resize", "size"), [((30, 20), (50, 70)), ((24, 24), (24, 60)), ((25, 24), (90, 31))]
)
def test_images_are_resized_to_a_height_and_width(
    resize: tuple[int, int], size: tuple[int, int], smooth_image: Callable[..., Tensor]
) -> None:
    from torchvision.transforms import v2

    classifier = ImageClassifier(nn.Identity(), Preprocessing(crop=20, resize=resize))
    image = smooth_image(*size)[0]
    expected = v2.Compose([v2.Resize(resize, antialias=True), v2.CenterCrop(20)])(image)
    torch.testing.assert_close(classifier.view(image), expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="expected 1 <= crop <= resize"):
        Preprocessing(crop=26, resize=resize)


def test_the_softmax_of_one_logit_is_refused() -> None:
    one = torch.tensor([[2.0]])
    with pytest.raises(ValueError, match=r"expected several classes .* got 1 logit.*--multi-label"):
        ImageClassifier(nn.Identity(), Preprocessing(crop=8)).probabilities(one)
    several = ImageClassifier(nn.Identity(), Preprocessing(crop=8), multi_label=True)
    assert torch.equal(several.probabilities(one), one.sigmoid())


class Channels(nn.Module):
    """Answers with the number of channels that it was shown."""

    def forward(self, images: Tensor) -> Tensor:
        return images.new_tensor([[images.shape[1], 0.0]]).expand(len(images), -1)


def test_images_of_one_channel_are_shown_as_they_are() -> None:
    shown = Direct(Channels())
    assert [float(shown(torch.rand(1, count, 8, 8))[0, 0]) for count in (1, 2, 3)] == [1, 2, 3]
    assert float(Direct(Channels(), mean=(0.5, 0.5, 0.5))(torch.rand(1, 3, 8, 8))[0, 0]) == 3


def test_a_network_of_one_channel_is_shown_the_gray_of_colors() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    classifier = ImageClassifier(network, Preprocessing(8, 8, (0.13,), (0.31,)))
    colors = torch.rand(2, 3, 8, 8)
    gray = (0.299 * colors[:, :1] + 0.587 * colors[:, 1:2] + 0.114 * colors[:, 2:]).detach()
    torch.testing.assert_close(classifier(colors), classifier(gray))
    three = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    one_mean = ImageClassifier(three, Preprocessing(8, 8, (0.5,), (0.25,)))
    torch.testing.assert_close(one_mean(colors), three((colors - 0.5) / 0.25))


def test_images_in_bfloat16_can_be_resized() -> None:
    classifier = ImageClassifier(Channels(), Preprocessing(16, 20))
    image = torch.rand(3, 40, 30)
    view = classifier.view(image.bfloat16())
    assert view.dtype == torch.bfloat16
    torch.testing.assert_close(view.float(), classifier.view(image), rtol=0, atol=1e-2)
