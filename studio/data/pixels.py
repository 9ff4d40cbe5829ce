"""Images that are in memory already: pictures of Pillow, arrays and tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studio.data.image import SMALLEST_SIDE, from_pillow

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray
    from torch import Tensor

_BEYOND = 1e-5
"""How far numbers may leave [0, 1] by rounding alone."""
_NORMALIZED = "values in [0, 1] (normalization belongs to the classifier)"


def pixels_of(image: Any, name: str) -> tuple[Float[Tensor, "3 h w"], tuple[str, ...], str]:
    """Return the pixels of an image in memory, what was done to it, and what it is, in words.

    Args:
        image: A picture of Pillow, which is read as a file of it would be; an array "h w 3" of bytes, or of
            floating-point numbers in [0, 1] (also "h w", gray, and of bytes "h w 4", transparent); or a
            tensor "3 h w" of either kind (also "1 h w", and a batch of one). All are copied.
        name: What errors call it.

    Raises:
        ValueError: If it is something else, too small, or its values are not those of an image.
    """
    import numpy as np
    import torch
    from PIL.Image import Image

    if isinstance(image, Image):
        kind = f"PIL image, {image.mode}, {image.width} x {image.height}"
        pixels, notes = from_pillow(image, name)
        return pixels, notes, kind
    if isinstance(image, torch.Tensor):
        kind = f"tensor, {_said(image.dtype)}, {_sides(image.shape)}"
        return *_of_array(_channels_last(image, name), name), kind
    if isinstance(image, np.ndarray):
        kind = f"array, {image.dtype}, {_sides(image.shape)}"
        return *_of_array(_one(image, name), name), kind
    raise ValueError(
        f"image: expected a file, a PIL image, an array h w 3 or a tensor 3 h w, got {type(image).__name__}"
    )


def _alone(images: Any, name: str) -> Any:
    """Return the only image of a batch, or an image that is in none.

    Raises:
        ValueError: If there are several.
    """
    if images.ndim != 4:
        return images
    if len(images) != 1:
        raise ValueError(
            f"image: {name}: expected one image, got a batch of {len(images)}; list(images) gives a grid"
        )
    return images[0]


def _one(array: ndarray, name: str) -> ndarray:
    """Return an array "h w c", without the axis of a batch of one."""
    array = _alone(array, name)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        turned = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        remedy = "; .transpose(1, 2, 0) puts the channels last" if turned else ""
        raise ValueError(f"image: {name}: expected an array h w 3, got the shape {array.shape}{remedy}")
    return array


def _channels_last(image: Tensor, name: str) -> ndarray:
    image = _alone(image, name)
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        turned = image.ndim == 3 and image.shape[2] in (1, 3)
        remedy = "; .permute(2, 0, 1) puts the channels first" if turned else ""
        raise ValueError(
            f"image: {name}: expected a tensor 3 h w, got the shape {tuple(image.shape)}{remedy}"
        )
    image = image.detach().cpu().permute(1, 2, 0)
    array: ndarray = (image.float() if image.is_floating_point() else image).numpy()
    return array


def _of_array(array: ndarray, name: str) -> tuple[Float[Tensor, "3 h w"], tuple[str, ...]]:
    import numpy as np
    import torch
    from PIL import Image

    height, width, channels = array.shape
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"image: {name} is {width} x {height} pixels; expected at least {SMALLEST_SIDE} x "
            f"{SMALLEST_SIDE}, or there are no parts to remove"
        )
    if array.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(array[..., 0] if channels == 1 else array))
        return from_pillow(picture, name)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"image: {name}: expected bytes or floating-point numbers, got {array.dtype}")
    if channels == 4:
        raise ValueError(
            f"image: {name}: expected 3 channels of floating-point numbers, got 4; leave out the last"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"image: {name}: expected finite values, got NaN or infinity")
    low, high = float(array.min()), float(array.max())
    if low < -_BEYOND or high > 1 + _BEYOND:
        divide = "; divide it by 255" if low >= 0 and 1 < high <= 255 else ""
        raise ValueError(f"image: {name}: expected {_NORMALIZED}, got {low:.4g} to {high:.4g}{divide}")
    rgb = np.broadcast_to(array, (height, width, 3)).astype(np.float32)
    return torch.from_numpy(rgb).clamp(0, 1).permute(2, 0, 1).contiguous(), ()


def _sides(shape: Any) -> str:
    return " x ".join(map(str, shape))


def _said(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")
