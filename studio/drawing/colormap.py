"""The colors of heatmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

TOLD_APART = 0.99
"""Share of pixels whose colors tell their gradients apart: those of a few are many times larger."""
_NOISE = 1e-6
_ONE_SIDED = "evidence"


def color_mapping(
    heatmap: Float[ndarray, "h w"],
    visible: Bool[ndarray, "h w"],
    signed: bool,
    told_apart: float = 1.0,
) -> ScalarMappable:
    """Return the colors of the values that are visible.

    A ``signed`` map, whose values speak for the target or against it, is red above 0 and blue below.
    Another one has no blue, for it knows nothing that speaks against the target: it goes from white to red,
    from 0; or from its lowest value, where that is negative or more than half of the highest (RISE: expected
    scores). The color bar says from where. What is smaller than rounding errors stays white. Of the farthest
    values, beyond the share that is ``told_apart``, all have the strongest color: a few pixels may be many
    times larger than the rest.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    values = heatmap[visible] if visible.any() else np.zeros(1)
    diverging = colormaps["RdBu_r"]
    if signed:
        reach = _reach(np.abs(values), told_apart)
        return ScalarMappable(Normalize(-reach, reach), diverging)
    bottom = _bottom(float(values.min()), float(values.max()))
    norm = Normalize(bottom, bottom + _reach(values - bottom, told_apart))
    return ScalarMappable(norm, ListedColormap(diverging(np.linspace(0.5, 1, 256)), _ONE_SIDED))


def _reach(sizes: Float[ndarray, " n"], told_apart: float) -> float:
    """Return the size that gets the strongest color."""
    reach = float(np.quantile(sizes, told_apart)) if told_apart < 1 else float(sizes.max())
    reach = reach if reach > _NOISE else max(float(sizes.max()), 0.0)
    return reach if reach > _NOISE else 1.0


def _bottom(low: float, high: float) -> float:
    """Return the value of an unsigned map that is white."""
    apart = high - low > _NOISE and low > high / 2
    return low if apart or low < -_NOISE else 0.0


def overlay(
    image: Float[ndarray, "h w 3"],
    heatmap: Float[ndarray, "h w"],
    visible: Bool[ndarray, "h w"],
    colors: ScalarMappable,
) -> Float[ndarray, "h w 3"]:
    """Lay the colors over the gray image, the stronger the farther they are from white."""
    gray = 0.25 + 0.75 * (image @ np.array([0.299, 0.587, 0.114]))[..., None]
    lit = colors.to_rgba(heatmap)[..., :3]
    place = np.clip(colors.norm(heatmap), 0, 1)
    strength = place if colors.cmap.name == _ONE_SIDED else np.abs(2 * place - 1)
    opacity = (visible * (0.3 + 0.55 * np.sqrt(strength)))[..., None]
    return np.asarray(gray * (1 - opacity) + lit * opacity)


def within(box: tuple[float, float, float, float], size: tuple[int, ...]) -> Bool[ndarray, "h w"]:
    """Return which pixels of an image of this (height, width) are inside (left, top, right, bottom)."""
    left, top, right, bottom = box
    y, x = (np.arange(side) + 0.5 for side in size)
    return ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
