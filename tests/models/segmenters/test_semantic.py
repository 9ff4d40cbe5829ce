"""Semantic segmenters: what they are shown of an image, and what they find in it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.segmenters import Segmenter

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
NAMES = ("background", "cat", "dog")


class Colors(nn.Module):
    """A pixel's class is its brightest channel; remembers the images it saw."""

    def forward(self, images: Tensor) -> Tensor:
        self.seen = images
        return images


def colors(background: int | None = 0, **options: Any) -> Segmenter:
    wanted = {"crop": None, "resize": None, "mean": BLACK, "std": WHITE, **options}
    return Segmenter(Colors(), NAMES, background, Preprocessing(**wanted))


def painted(classes: list[Any]) -> Tensor:
    """Images whose pixels have these classes."""
    return nn.functional.one_hot(torch.tensor(classes), 3).movedim(-1, 1).float()


@st.composite
def class_maps(draw: st.DrawFn) -> list[list[list[int]]]:
    count, height, width = (draw(st.integers(1, 4)) for _ in range(3))
    row = st.lists(st.integers(0, 2), min_size=width, max_size=width)
    one = st.lists(row, min_size=height, max_size=height)
    return draw(st.lists(one, min_size=count, max_size=count))


# What is found.


@given(class_maps(), st.sampled_from([0, 1, 2, None]))
def test_the_silhouette_is_the_class_that_covers_most(maps: list[Any], background: int | None) -> None:
    segmenter, images = colors(background), painted(maps)
    assert segmenter(images).tolist() == maps
    for one, silhouette in zip(maps, segmenter.silhouette(images), strict=True):
        pixels = Counter(value for row in one for value in row if value != background)
        largest = min(pixels, key=lambda value: (-pixels[value], value)) if pixels else None
        assert silhouette.tolist() == [[value == largest for value in row] for row in one]


@given(class_maps(), st.integers(0, 2))
def test_a_label_names_the_silhouette(maps: list[Any], index: int) -> None:
    found = colors().silhouette(painted(maps), NAMES[index])
    assert found.tolist() == [[[value == index for value in row] for row in one] for one in maps]


def test_of_classes_that_cover_as_much_the_first_is_taken() -> None:
    assert colors().silhouette(painted([[[2, 1, 0, 0, 0]]])).tolist() == [
        [[False, True, False, False, False]]
    ]


def test_where_there_is_only_background_nothing_is_found() -> None:
    images = painted([[[0, 0], [0, 0]]])
    assert not colors().silhouette(images).any()
    assert not colors().silhouette(images, "dog").any()
    assert colors().silhouette(images, "background").all()
    assert colors(background=None).silhouette(images).all()


@pytest.mark.parametrize(("given", "near"), [("Dog", "dog"), ("cart", "cat"), ("zebra", "")])
def test_unknown_labels_name_the_nearest(given: str, near: str) -> None:
    message = f"label: expected one of the segmenter's 3 classes, got '{given}'; did you mean '{near}"
    with pytest.raises(ValueError, match=message):
        colors().silhouette(painted([[[0]]]), given)


# What is seen.


@pytest.mark.parametrize("size", [(40, 61), (61, 40), (33, 33), (26, 26), (20, 90)])
def test_what_the_network_sees_is_torchvisions_preset(
    size: tuple[int, int], smooth_image: Callable[..., Tensor]
) -> None:
    from torchvision.transforms._presets import SemanticSegmentation

    image = smooth_image(*size)
    segmenter = Segmenter(Colors(), NAMES, preprocessing=Preprocessing(crop=None, resize=26))
    classes = segmenter(image)
    expected = SemanticSegmentation(resize_size=26)(image)
    torch.testing.assert_close(segmenter.network.seen, expected, rtol=0, atol=1e-5)
    assert classes.shape == (1, *size)


@pytest.mark.parametrize("resize", [None, 5, 64, (7, 90)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_flat_image_is_of_one_class_at_any_size(resize: Any, interpolation: str) -> None:
    segmenter = colors(resize=resize, interpolation=interpolation)
    for height, width in [(1, 1), (9, 4), (30, 41)]:
        image = torch.tensor([0.2, 0.3, 0.6])[:, None, None].expand(1, 3, height, width)
        assert torch.equal(segmenter(image), torch.full((1, height, width), 2))
        assert segmenter.silhouette(image).all()


def test_resized_images_stay_in_range() -> None:
    segmenter = colors(resize=(37, 29), interpolation="bicubic")
    segmenter(painted([[[0, 1, 2, 1] * 4] * 16]))
    assert segmenter.network.seen.shape == (1, 3, 37, 29)
    assert segmenter.network.seen.min() == 0
    assert segmenter.network.seen.max() == 1


def test_coarse_logits_are_resized_before_they_are_compared() -> None:
    """Halfway between two coarse cells their logits are equal: the boundary is there, in pixels."""

    class Coarse(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[0.0, 0.0], [4.0, -4.0]])[None, :, None]  # one row of two cells

    segmenter = Segmenter(Coarse(), ("left out", "cat"))
    images = torch.zeros(1, 3, 3, 8)
    assert segmenter(images).tolist() == [[[1, 1, 1, 1, 0, 0, 0, 0]] * 3]
    assert segmenter.logits(images)[0, 1, 0].tolist() == [4, 4, 3, 1, -1, -3, -4, -4]


def test_no_gradient_is_kept() -> None:
    images = painted([[[0, 1]]]).requires_grad_()
    assert not colors()(images).requires_grad
    assert colors().logits(images).requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ("one",)}, "labels: expected two classes or more"),
        ({"background": 3}, "background: expected None or one of 3 classes, got 3"),
        ({"background": -1}, "background: expected None or one of 3 classes, got -1"),
        ({"preprocessing": Preprocessing()}, "preprocessing: expected no crop"),
        ({"preprocessing": Preprocessing(None, None, (0.5,), (0.5,))}, "mean and std"),
    ],
)
def test_impossible_segmenters_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Segmenter(**{"network": Colors(), "labels": NAMES, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interpolation": "lanczos"}, "interpolation: expected 'bilinear' or 'bicubic', got 'lanczos'"),
        ({"std": (0.0, 1.0, 1.0)}, "mean and std"),
        ({"mean": (0.5,)}, "mean and std"),
    ],
)
def test_impossible_preprocessing_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(crop=None, resize=None, **options)
