"""The size at which a network works: there and back."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def to_frame(
    image: Float[Tensor, "#n c h w"],
    hidden: Bool[Tensor, "n 1 h w"],
    size: tuple[int, int] | None,
    multiple: int,
) -> tuple[Float[Tensor, "#n c y x"], Bool[Tensor, "n 1 y x"]]:
    """Resize to ``size``, or else extend both sides to a multiple of ``multiple``.

    Resizing is bilinear and hides every pixel to which a hidden one contributes. Extending
    repeats the last row and column of the image and of the hole alike. So neither lets hidden
    pixels through.
    """
    height, width = image.shape[2:]
    if size is not None:
        return _resized(image, size), _resized(hidden.to(image.dtype), size) > 0
    pad = (0, -width % multiple, 0, -height % multiple)
    if not any(pad):
        return image, hidden
    extended = F.pad(hidden.to(image.dtype), pad, mode="replicate") > 0
    return F.pad(image, pad, mode="replicate"), extended


def from_frame(
    content: Float[Tensor, "n c y x"], shape: tuple[int, int], size: tuple[int, int] | None
) -> Float[Tensor, "n c h w"]:
    """Undo ``to_frame`` for what the network made of an image of ``shape``."""
    return content[:, :, : shape[0], : shape[1]] if size is None else _resized(content, shape)


def _resized(image: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c y x"]:
    if tuple(image.shape[2:]) == size:
        return image
    # antialiasing changes nothing when enlarging, and skips no pixel when reducing
    return F.interpolate(image, size, mode="bilinear", antialias=True)
