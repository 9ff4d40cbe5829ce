"""A classifier that is shown images as they are."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.classifiers.image_classifier import ImageClassifier
from models.preprocessing import Preprocessing


class Direct(ImageClassifier):
    """A network that takes images of any size: they are normalized at most, neither resized nor cropped.

    Its view of an image is the whole image, in its own pixels; ``crop`` and ``resize`` are 0.

    Args:
        network: Maps normalized images "n c h w" to logits "n k".
        mean: What is subtracted, one number a channel.
        std: What the rest is divided by, one number a channel.
        labels: The names of the classes, which may be none.
        multi_label: Whether an image may be of several classes.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, ...] = (0.0, 0.0, 0.0),
        std: tuple[float, ...] = (1.0, 1.0, 1.0),
        labels: Sequence[str] = (),
        multi_label: bool = False,
    ) -> None:
        super().__init__(network, Preprocessing(1, 1, mean, std), labels, multi_label)
        self.crop = 0
        self._as_they_are = not any(mean) and all(each == 1 for each in std)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits of images in [0, 1]; what is not normalized may have any number of channels."""
        if self._as_they_are:
            logits: Tensor = self.network(images)
            return logits
        return super().forward(images)

    @property
    def resize(self) -> int | tuple[int, int]:
        """Images are not resized: 0."""
        return 0

    def view(self, image: Float[Tensor, "c h w"], room: int = 0) -> Float[Tensor, "c h w"]:
        """Return the image as it is."""
        return self._shown(image[None], room)[0]

    def room(self, size: tuple[int, int]) -> int:
        """Return 0: the view has all pixels that there are."""
        return 0

    def view_box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return (left, top, right, bottom) of the whole image."""
        return 0.0, 0.0, float(size[1]), float(size[0])

    def to_input(self, heatmap: Float[Tensor, "y x"], size: tuple[int, int]) -> Float[Tensor, "h w"]:
        """Return the heatmap; for an image that is shown in another (height, width), resized to that."""
        if tuple(heatmap.shape) == size:
            return heatmap
        return F.interpolate(heatmap[None, None], size=size, mode="bilinear", antialias=True)[0, 0]

    def _shown(self, images: Float[Tensor, "n c h w"], room: int = 0) -> Float[Tensor, "n c h w"]:
        if room:
            raise ValueError(f"room: expected 0 for a classifier of whole images, got {room}")
        return images
