"""Coarse evidence and its way to the size of the image."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from infill.validate import require

Upsampling = Literal["nearest", "bilinear"]


def upsampled(
    cells: Float[Tensor, "n 1 y x"], size: tuple[int, int], how: Upsampling = "nearest"
) -> Float[Tensor, "n 1 h w"]:
    """Return the cells enlarged to ``size``."""
    options = {"align_corners": False} if how == "bilinear" else {}
    return F.interpolate(cells, size=size, mode=how, **options)


def require_cells(cells: int, size: tuple[int, int]) -> None:
    """Check that there is at least a pixel for every cell.

    Raises:
        ValueError: If there are more cells than pixels along a side.
    """
    rule = f"1 to {min(size)} in a {size[0]} x {size[1]} image"
    require(1 <= cells <= min(size), "cells", rule, cells)
