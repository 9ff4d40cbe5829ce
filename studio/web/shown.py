"""Pictures as a page shows them: encoded, with the map laid over, with holes outlined."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from models.classifiers import ImageClassifier
from studio.drawing.colormap import color_mapping, overlay, within

SIDE = 640
"""The longest side of what is shown, in pixels."""
_LINE = np.array([1.0, 0.93, 0.33], dtype=np.float32)


@dataclass(frozen=True)
class Map:
    """A map over its picture.

    Attributes:
        uri: The picture, as the page takes it.
        low: What the bluest color means (of a map that is not ``signed``: white), in a short number;
            ``high``: the reddest.
        box: The part of the picture that the classifier sees, in shares of its width and height.
        steps: The sides of a pixel of the view, in shares of the picture's width and height.
    """

    uri: str
    low: str
    high: str
    signed: bool
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    steps: tuple[float, float] = (1 / 224, 1 / 224)


def uri(image: Float[Tensor, "3 h w"] | Float[ndarray, "h w 3"], quality: int = 88) -> str:
    """Return a picture as text that an ``img`` shows."""
    from PIL import Image

    pixels = image.permute(1, 2, 0).cpu().numpy() if isinstance(image, Tensor) else image
    file = io.BytesIO()
    Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)).save(
        file, "JPEG", quality=quality, subsampling=0
    )
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def reduced(image: Float[Tensor, "c h w"], side: int = SIDE) -> Float[Tensor, "c y x"]:
    """Return the image, smaller if a side is longer."""
    scale = side / max(image.shape[1:])
    if scale >= 1:
        return image
    size = [max(1, round(length * scale)) for length in image.shape[1:]]
    return F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def map_over(
    image: Float[Tensor, "3 h w"], heatmap: Float[Tensor, "c c"], classifier: ImageClassifier, signed: bool
) -> Map:
    """Lay the map of the classifier's view over the whole picture, in the colors of ``explain.png``."""
    small = reduced(image.cpu())
    size = (small.shape[1], small.shape[2])
    left, top, right, bottom = box = classifier.view_box(size)
    whole = classifier.to_input(heatmap.cpu(), size).numpy()
    seen = within(box, size)
    colors = color_mapping(whole, seen, signed)
    low, high = colors.get_clim()
    pixels = overlay(small.permute(1, 2, 0).numpy(), whole, seen, colors)
    shares = left / size[1], top / size[0], right / size[1], bottom / size[0]
    ends = _short(low), _short(high)
    steps = (shares[2] - shares[0]) / classifier.crop, (shares[3] - shares[1]) / classifier.crop
    return Map(uri(pixels), *ends, signed, shares, steps)


def map_in_view(
    view: Float[Tensor, "3 c c"], heatmap: Float[Tensor, "c c"], known: Bool[Tensor, "c c"], signed: bool
) -> Map:
    """Lay a map over the classifier's view, where it is known."""
    values, where = heatmap.cpu().numpy(), known.cpu().numpy()
    colors = color_mapping(values, where, signed)
    low, high = colors.get_clim()
    pixels = overlay(view.permute(1, 2, 0).cpu().numpy(), values, where, colors)
    return Map(uri(pixels), _short(low), _short(high), signed)


def outlined(view: Float[Tensor, "3 c c"], hole: Float[Tensor, "c c"], width: int = 2) -> ndarray:
    """Return the view with a yellow line around the hole."""
    binary = (hole.cpu() >= 0.5).float()[None, None]
    rim = F.max_pool2d(binary, 2 * width + 1, 1, width) - binary
    pixels = view.permute(1, 2, 0).cpu().numpy().copy()
    pixels[rim[0, 0].numpy() > 0] = _LINE
    return pixels


def dimmed(view: Float[Tensor, "3 c c"], hole: Float[Tensor, "y x"]) -> ndarray:
    """Return the view in gray with red where a soft hole removes it; a larger hole is cut to its middle."""
    height, width = view.shape[1:]
    top, left = ((long - short) // 2 for long, short in zip(hole.shape, (height, width), strict=True))
    shown = hole.cpu()[top : top + height, left : left + width].clamp(0, 1).numpy()[..., None]
    pixels = view.permute(1, 2, 0).cpu().numpy()
    red = np.array([0.84, 0.10, 0.17], dtype=np.float32)
    gray = 0.25 + 0.75 * pixels.mean(axis=2, keepdims=True)
    return np.asarray(pixels * (1 - 0.7 * shown) + (0.35 * gray + 0.65 * red) * 0.7 * shown)


def _short(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−") if abs(value) > 1e-9 else "0"  # noqa: RUF001
