"""Heatmaps that look at no classifier: what a figure is worth, these are worth too."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from infill.validate import require

GRID = 7
"""Cells along each side of a random heatmap."""
GRAIN = 0.04
"""How much the order within a region adds to what the region has."""


def center_map(size: tuple[int, int]) -> Float[Tensor, "h w"]:
    """Return a heatmap that falls from 1 in the middle to 0 in the corners, by the distance to the middle.

    Distances count in halves of the image's sides, so that the level lines of an oblong one are oblong.
    """
    y, x = ((torch.arange(side) + 0.5) / side * 2 - 1 for side in size)
    return (1 - torch.hypot(y[:, None], x[None]) / 2**0.5).clamp(0, 1)


def random_map(size: tuple[int, int], generator: Generator, cells: int = GRID) -> Float[Tensor, "h w"]:
    """Return smooth noise: ``cells`` x ``cells`` uniform random numbers, enlarged (bicubically).

    Independent pixels would remove a little everywhere; heatmaps of methods are blobs, and so is this.

    Raises:
        ValueError: If there is no cell.
    """
    require(cells >= 1, "cells", "at least 1", cells)
    coarse = torch.rand(1, 1, cells, cells, generator=generator, device="cpu", dtype=torch.float32)
    return F.interpolate(coarse, size=size, mode="bicubic", align_corners=False)[0, 0]


def object_map(region: Bool[Tensor, "h w"], generator: Generator) -> Float[Tensor, "h w"]:
    """Return a heatmap that claims the region (a box, a silhouette), all of it before anything else.

    It is 1 there and 0 elsewhere, and up to `GRAIN` more in the order of `random_map`: so that the region's
    pixels go one after another, and any threshold from 0.05 to 1 that is a multiple of 0.05 finds the region
    itself.

    Raises:
        ValueError: If the region is empty.
    """
    require(region.dtype is torch.bool, "region", "of truth values (bool)", region.dtype)
    require(bool(region.any()), "region", "at least one pixel", "none")
    order = random_map((region.shape[0], region.shape[1]), generator).to(region.device)
    return GRAIN * order.clamp(0, 1) + region


def background_map(region: Bool[Tensor, "h w"], generator: Generator) -> Float[Tensor, "h w"]:
    """Return a heatmap that claims all but the region: what a score loses in its order is not the object's.

    Else as `object_map`.

    Raises:
        ValueError: If the region is the whole image.
    """
    require(region.dtype is torch.bool, "region", "of truth values (bool)", region.dtype)
    require(not bool(region.all()), "region", "less than the whole image", "all of it")
    return object_map(~region, generator)
