"""Semantic segmenters: [0, 1] images of any size in, a class for each pixel out."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.segmenters.labels import class_index

_UNCHANGED = Preprocessing(crop=None, resize=None)


class Segmenter(nn.Module):
    """A network with its own preprocessing: resize, normalize, segment, and resize the logits back.

    Attributes:
        labels: The names of the classes.
        background: The class that means "nothing"; ``None`` if the network has none.
        preprocessing: How the network wants its images. Its mean and standard deviation are buffers, too.
        prompted: It finds classes, and needs no prompt.

    Raises:
        ValueError: If there are fewer than two classes, the background is none of them, or the preprocessing
            crops images or is not for three channels.
    """

    prompted: Literal[False] = False

    def __init__(
        self,
        network: nn.Module,
        labels: Sequence[str],
        background: int | None = None,
        preprocessing: Preprocessing = _UNCHANGED,
    ) -> None:
        super().__init__()
        if len(labels) < 2:
            raise ValueError(f"labels: expected two classes or more, got {list(labels)}")
        if background is not None and not 0 <= background < len(labels):
            raise ValueError(f"background: expected None or one of {len(labels)} classes, got {background}")
        if preprocessing.crop is not None:
            raise ValueError(
                f"preprocessing: expected no crop, for every pixel has a class, got {preprocessing.crop}"
            )
        if len(preprocessing.mean) != 3:
            raise ValueError(f"mean and std: expected three of each, got {preprocessing.mean}")
        self.network, self.preprocessing = network, preprocessing
        self.labels, self.background = tuple(labels), background
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(-1, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Int[Tensor, "n h w"]:
        """Return the class of each pixel of images in [0, 1]."""
        with torch.no_grad():
            classes: Tensor = self.logits(images).argmax(1)
        return classes

    def logits(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return the logits of each pixel, resized bilinearly to the images' own size."""
        logits = self.network((self._shown(images) - self.mean) / self.std)
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

    def _shown(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 tall wide"]:
        size = (images.shape[-2], images.shape[-1])
        resized = self.preprocessing.resized(size)
        if resized == size:
            return images
        mode = self.preprocessing.interpolation
        # The clamp is for bicubic, which overshoots; in bfloat16 antialiasing has no derivative.
        larger = F.interpolate(images.float(), size=resized, mode=mode, antialias=True)
        return larger.clamp(0, 1).to(images.dtype)


class PixelLogits(nn.Module):
    """A segmenter that tells the logits of each pixel, with their derivatives."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return the logits of each pixel, of the images' own size."""
        return self.segmenter.logits(images)
