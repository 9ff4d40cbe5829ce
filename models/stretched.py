"""Networks that see a whole image in its own shape, asked about square views of it."""

from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Stretched(nn.Module):
    """A network that is shown squares in the shape of the image that they were squashed from.

    Args:
        network: Maps images of any size to whatever it finds.
        size: The height and width in which it is shown them.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, images: Float[Tensor, "n c side side"]) -> Any:
        """Return what the network finds."""
        if tuple(images.shape[2:]) != self.size:
            # In float32: antialiasing has no derivative in bfloat16.
            resized = F.interpolate(images.float(), size=self.size, mode="bilinear", antialias=True)
            images = resized.to(images.dtype)
        return self.network(images)


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the (height, width) of an image of this size whose long side is ``side``."""
    height, width = (max(1, round(side * length / max(size))) for length in size)
    return height, width
