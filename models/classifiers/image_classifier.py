"""Image classifiers: [0, 1] images of any size in, logits out."""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.preprocessing import Preprocessing

_USUAL = Preprocessing()

_GRAY = (0.299, 0.587, 0.114)
"""The shares of red, green and blue (ITU-R BT.601), as Pillow and torchvision have them."""


class ImageClassifier(nn.Module):
    """A network with its own preprocessing: resize the short side, crop the center, normalize, classify.

    Where ``resize`` is a (height, width), images are resized to just that. The resizing (antialiased) and
    the rounding of sizes and crops are torchvision's. An image that already has the size of the crop is only
    normalized, so that composites made in the classifier's view are classified as they are. Coordinates are
    continuous: pixel ``j`` covers ``[j, j + 1)``.

    Attributes:
        preprocessing: How the network wants its images. Its mean and standard deviation are buffers, too.
        labels: The names of the classes, which may be none.
        multi_label: Whether an image may be of several classes: then each has a probability of its own,
            and they do not sum to 1 (`probabilities`).

    Raises:
        ValueError: If the preprocessing has no crop.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing = _USUAL,
        labels: Sequence[str] = (),
        multi_label: bool = False,
    ) -> None:
        super().__init__()
        if preprocessing.crop is None:
            raise ValueError("preprocessing: expected a crop, for classifiers take images of one size")
        self.network, self.preprocessing = network, preprocessing
        self.crop: int = preprocessing.crop
        self.labels, self.multi_label = tuple(labels), multi_label
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(-1, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    @property
    def resize(self) -> int | tuple[int, int]:
        """The length of the resized short side, or the resized (height, width)."""
        return self.preprocessing.resize or self.crop

    @property
    def interpolation(self) -> str:
        """How images are resized: ``bilinear`` or ``bicubic``."""
        return self.preprocessing.interpolation

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits of images in [0, 1]; of RGB, a network of one channel is shown the gray."""
        shown = self._shown(images)
        if len(self.mean) == 1 and shown.shape[1] == 3 and _takes_gray(self.network):
            shown = torch.einsum("nchw,c->nhw", shown, shown.new_tensor(_GRAY))[:, None]
        logits: Tensor = self.network((shown - self.mean) / self.std)
        return logits

    def with_network(self, network: nn.Module) -> "ImageClassifier":
        """Return a classifier that shares all but the network; this one is left as it is."""
        changed = copy.copy(self)
        changed._modules = {**self._modules, "network": network}
        changed._buffers = dict(self._buffers)  # or else moving the one would move those of the other
        return changed

    def probabilities(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return how probable each class is: sigmoids where an image may be of several, else the softmax.

        Raises:
            ValueError: If the softmax is asked of one logit, of which it is always 1.
        """
        if logits.shape[1] == 1 and not self.multi_label:
            raise ValueError(
                "classifier: expected several classes for a softmax, got 1 logit: take multi_label=True, "
                "or --multi-label"
            )
        return logits.float().sigmoid() if self.multi_label else logits.float().softmax(1)

    def view(self, image: Float[Tensor, "c h w"], room: int = 0) -> Float[Tensor, "c side side"]:
        """Return what the network sees of an image, still in [0, 1].

        ``room`` makes it so many pixels larger than the crop, with the crop in its middle (half of them,
        rounded down, come before it); see `room`.

        Raises:
            ValueError: If the resized image has no such room around its crop.
        """
        return self._shown(image[None], room)[0]

    def room(self, size: tuple[int, int]) -> int:
        """Return by how many pixels the view of an input of this (height, width) can be made larger."""
        (tall, wide), (top, left) = self._geometry(size)
        before, behind = min(top, left), min(tall - top, wide - left) - self.crop
        return max(0, min(2 * before + 1, 2 * behind))

    def view_box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return (left, top, right, bottom) of the view in an input of this (height, width)."""
        (tall, wide), (top, left) = self._geometry(size)
        y, x = size[0] / tall, size[1] / wide
        return left * x, top * y, (left + self.crop) * x, (top + self.crop) * y

    def to_input(self, heatmap: Float[Tensor, "crop crop"], size: tuple[int, int]) -> Float[Tensor, "h w"]:
        """Map a heatmap of the view back onto an input of this (height, width).

        Bilinear; exactly 0 where the crop cut the input away (pixels whose center is outside the view).

        Raises:
            ValueError: If the heatmap does not have the size of the view.
        """
        if heatmap.shape != (self.crop, self.crop):
            raise ValueError(f"heatmap: expected {self.crop} x {self.crop}, got {tuple(heatmap.shape)}")
        (tall, wide), (top, left) = self._geometry(size)
        below, right = tall - top - self.crop, wide - left - self.crop
        # The border is continued, so that nothing outside the view leaks into its outermost pixels.
        canvas = F.pad(heatmap[None, None], (left, right, top, below), mode="replicate")
        if (tall, wide) != size:
            canvas = F.interpolate(canvas, size=size, mode="bilinear", antialias=True)
        return canvas[0, 0] * self._inside(heatmap, size)

    def _inside(self, heatmap: Float[Tensor, "crop crop"], size: tuple[int, int]) -> Float[Tensor, "h w"]:
        x0, y0, x1, y1 = self.view_box(size)
        y, x = (torch.arange(side, device=heatmap.device) + 0.5 for side in size)
        rows, columns = (y >= y0) & (y < y1), (x >= x0) & (x < x1)
        return (rows[:, None] & columns).to(heatmap.dtype)

    def _shown(self, images: Float[Tensor, "n c h w"], room: int = 0) -> Float[Tensor, "n c side side"]:
        size, side = (images.shape[-2], images.shape[-1]), self.crop + room
        if not 0 <= room <= self.room(size):
            raise ValueError(f"room: expected 0 to {self.room(size)} px in an image of {size}, got {room}")
        if size == (self.crop, self.crop):
            return images
        resized, (top, left) = self._geometry(size)
        if resized != size:
            # In float32: on a processor bfloat16 can not be resized so. Bicubic overshoots.
            large = F.interpolate(images.float(), size=resized, mode=self.interpolation, antialias=True)
            images = large.clamp(0, 1).to(images.dtype)
        top, left = top - room // 2, left - room // 2
        return images[..., top : top + side, left : left + side]

    def _geometry(self, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the resized (height, width) and the crop's (top, left), rounded as torchvision does."""
        if size == (self.crop, self.crop):
            return size, (0, 0)
        tall, wide = self.preprocessing.resized(size)
        return (tall, wide), (round((tall - self.crop) / 2.0), round((wide - self.crop) / 2.0))


def _takes_gray(network: nn.Module) -> bool:
    """Whether a network's first convolution wants one channel; one mean may stand for three as well."""
    first = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    return first is not None and first.in_channels == 1
