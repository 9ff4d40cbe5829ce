"""Semantic segmenters: [0, 1] images of any size in, a class for each pixel out."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from models.segmenters.labels import class_index


class Segmenter(nn.Module):
    """A network with its own eye: resize, normalize, segment, and resize the logits back.

    The images are resized (antialiased) to ``resize``: a number is the length of their short side, the long
    one rounded as torchvision does; a pair is (height, width); ``None`` leaves them as they are.

    Attributes:
        labels: The names of the classes.
        background: The class that means "nothing"; ``None`` if the network has none.
        prompted: It finds classes, and needs no prompt.

    Raises:
        ValueError: If there are fewer than two classes, the background is none of them, or the images cannot
            be resized or normalized like that.
    """

    prompted: Literal[False] = False

    def __init__(
        self,
        network: nn.Module,
        labels: Sequence[str],
        background: int | None = None,
        resize: int | tuple[int, int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__()
        if len(labels) < 2:
            raise ValueError(f"labels: expected two classes or more, got {list(labels)}")
        if background is not None and not 0 <= background < len(labels):
            raise ValueError(f"background: expected None or one of {len(labels)} classes, got {background}")
        if interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"interpolation: expected 'bilinear' or 'bicubic', got {interpolation!r}")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"mean and std: expected one of each a channel, std > 0, got {mean} and {std}")
        self.network = network
        self.labels, self.background = tuple(labels), background
        self.resize, self.interpolation = resize, interpolation
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Int[Tensor, "n h w"]:
        """Return the class of each pixel of images in [0, 1]."""
        with torch.no_grad():
            classes: Tensor = self.logits(images).argmax(1)
        return classes

    def logits(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return the logits of each pixel, resized bilinearly to the images' own size."""
        logits = self.network((self._see(images) - self.mean) / self.std)
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)

    def silhouette(self, images: Float[Tensor, "n 3 h w"], label: str | None = None) -> Bool[Tensor, "n h w"]:
        """Return the pixels of the class ``label``, which may be none.

        Without a label, they are those of each image's own class: the one that covers most pixels apart
        from the background, and the first of several that cover as many.

        Raises:
            ValueError: If the network has no such label.
        """
        if label is not None:
            return torch.eq(self(images), class_index(label, self.labels))
        classes = self(images)
        pixels = torch.stack([one.flatten().bincount(minlength=len(self.labels)) for one in classes])
        if self.background is not None:
            pixels[:, self.background] = -1
        return torch.eq(classes, pixels.argmax(1)[:, None, None])

    def _see(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 tall wide"]:
        height, width = images.shape[-2:]
        if isinstance(self.resize, int):
            long = int(self.resize * max(height, width) / min(height, width))
            size = (self.resize, long) if height <= width else (long, self.resize)
        else:
            size = self.resize or (height, width)
        if size == (height, width):
            return images
        # The clamp is for bicubic, which overshoots.
        return F.interpolate(images, size=size, mode=self.interpolation, antialias=True).clamp(0, 1)
