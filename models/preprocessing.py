"""How a network wants its images."""

import math
import operator
from dataclasses import dataclass
from typing import Any

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How a network wants images that are in [0, 1]: resized, cropped in the center, and normalized.

    The defaults are what most networks trained on ImageNet want.

    Attributes:
        crop: The side of the square that is cropped; ``None`` if nothing is cut away.
        resize: The length of the short side, or (height, width); ``None`` if images keep their size.
        mean: What is subtracted, one number a channel.
        std: What the rest is divided by, one number a channel.
        interpolation: ``bilinear`` or ``bicubic``, which are antialiased.

    Raises:
        ValueError: If the crop does not fit into the resized image, the interpolation is unknown, or mean and
            standard deviation do not go together.
    """

    crop: int | None = 224
    resize: int | tuple[int, int] | None = 256
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        crop = None if self.crop is None else _side("crop", self.crop)
        resize: int | tuple[int, ...] | None = None
        if isinstance(self.resize, tuple | list):
            resize = tuple(_side("resize", side) for side in self.resize)
        elif self.resize is not None:
            resize = _side("resize", self.resize)
        if isinstance(resize, tuple) and len(resize) != 2:
            raise ValueError(f"resize: expected the short side, or (height, width), got {self.resize}")
        if crop is not None and crop > (min(resize) if isinstance(resize, tuple) else resize or 0):
            raise ValueError(f"crop and resize: expected 1 <= crop <= resize, got {crop} and {resize}")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"interpolation: expected 'bilinear' or 'bicubic', got {self.interpolation!r}")
        mean, std = _numbers("mean", self.mean), _numbers("std", self.std)
        if not mean or len(mean) != len(std) or min(std) <= 0:
            raise ValueError(f"mean and std: expected one of each a channel, std > 0, got {mean} and {std}")
        for name, value in {"crop": crop, "resize": resize, "mean": mean, "std": std}.items():
            object.__setattr__(self, name, value)

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) to which images of a size are resized, rounded as torchvision does."""
        if self.resize is None:
            return size
        if not isinstance(self.resize, int):
            return self.resize
        long = int(self.resize * max(size) / min(size))
        return (self.resize, long) if size[0] <= size[1] else (long, self.resize)


def _side(argument: str, side: Any) -> int:
    try:
        whole = 0 if isinstance(side, bool) else operator.index(side)
    except TypeError:
        whole = int(side) if isinstance(side, float) and side.is_integer() else 0
    if whole < 1:
        raise ValueError(f"{argument}: expected a whole number of pixels, at least 1, got {side!r}")
    return whole


def _numbers(argument: str, values: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{argument}: expected a finite number for each channel, got {values!r}")
    return numbers
