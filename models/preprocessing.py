"""How a network wants its images."""

from dataclasses import dataclass

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
        crop, resize, mean, std = self.crop, self.resize, self.mean, self.std
        if crop is not None and not 1 <= crop <= _short_side(resize):
            raise ValueError(f"crop and resize: expected 1 <= crop <= resize, got {crop} and {resize}")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"interpolation: expected 'bilinear' or 'bicubic', got {self.interpolation!r}")
        if not mean or len(mean) != len(std) or min(std) <= 0:
            raise ValueError(f"mean and std: expected one of each a channel, std > 0, got {mean} and {std}")

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) to which images of a size are resized, rounded as torchvision does."""
        if self.resize is None:
            return size
        if not isinstance(self.resize, int):
            return self.resize
        long = int(self.resize * max(size) / min(size))
        return (self.resize, long) if size[0] <= size[1] else (long, self.resize)


def _short_side(resize: int | tuple[int, int] | None) -> int:
    if resize is None:
        return 0
    return resize if isinstance(resize, int) else min(resize)
