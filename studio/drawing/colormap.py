"""The colors of heatmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

_NOISE = 1e-6


def color_mapping(
    heatmap: Float[ndarray, "h w"],
    visible: Bool[ndarray, "h w"],
    signed: bool = False,
    told_apart: float = 1.0,
) -> ScalarMappable:
    """Return the colors of the values that are visible: red above white, blue below, equally far.

    White is 0 where a map has both signs, or is ``signed``: then its values speak for or against the target.
    Another map that stays away from 0 (RISE: expected scores) is shown around its mean; its color bar says
    so. What is smaller than rounding errors stays white. Of the farthest values, beyond the share that is
    ``told_apart``, all have the strongest color: a few pixels may be many times larger than the rest.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    values = heatmap[visible] if visible.any() else np.zeros(1)
    center = 0.0 if signed or values.min() <= 0 <= values.max() else float(values.mean())
    sizes = np.abs(values - center)
    reach = float(np.quantile(sizes, told_apart)) if told_apart < 1 else float(sizes.max())
    reach = reach if reach > _NOISE else max(float(sizes.max()), 0.0)
    reach = reach if reach > _NOISE else 1.0
    return ScalarMappable(Normalize(center - reach, center + reach), "RdBu_r")


def overlay(
    image: Float[ndarray, "h w 3"],
    heatmap: Float[ndarray, "h w"],
    visible: Bool[ndarray, "h w"],
    colors: ScalarMappable,
) -> Float[ndarray, "h w 3"]:
    """Lay the colors over the gray image, the stronger the farther they are from white."""
    gray = 0.25 + 0.75 * (image @ np.array([0.299, 0.587, 0.114]))[..., None]
    lit = colors.to_rgba(heatmap)[..., :3]
    strength = np.abs(2 * np.clip(colors.norm(heatmap), 0, 1) - 1)
    opacity = (visible * (0.3 + 0.55 * np.sqrt(strength)))[..., None]
    return np.asarray(gray * (1 - opacity) + lit * opacity)


def within(box: tuple[float, float, float, float], size: tuple[int, ...]) -> Bool[ndarray, "h w"]:
    """Return which pixels of an image of this (height, width) are inside (left, top, right, bottom)."""
    left, top, right, bottom = box
    y, x = (np.arange(side) + 0.5 for side in size)
    return ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
