"""Images as those who draw them want them."""

from __future__ import annotations

from jaxtyping import Float
from numpy import ndarray
from torch import Tensor


def channels_last(image: Float[Tensor, "c h w"]) -> Float[ndarray, "h w c"]:
    """Return an image as an array, its channels last."""
    pixels: ndarray = image.permute(1, 2, 0).cpu().numpy()
    return pixels
