"""Constant colors."""

from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from infill.validate import require

Color: TypeAlias = tuple[float, ...]
"""One value in [0, 1] per channel."""

IMAGENET_MEAN: Color = (0.485, 0.456, 0.406)
"""The mean color of ImageNet's training images: zero after the usual normalization."""


def check_color(argument: str, color: Color) -> None:
    """Check that a color has channels, and that each lies in [0, 1].

    Raises:
        ValueError: If it does not.
    """
    valid = len(color) > 0 and all(0 <= value <= 1 for value in color)
    require(valid, argument, "values in [0, 1], one per channel", color)


def painted(color: Color, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """A view of the image's shape, dtype and device that shows one color everywhere.

    Raises:
        ValueError: If the image has another number of channels than the color.
    """
    channels = image.shape[1]
    require(len(color) == channels, "color", f"of {channels} channels as the image", color)
    return image.new_tensor(color).view(1, channels, 1, 1).expand_as(image)
