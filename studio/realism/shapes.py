"""Shapes of holes in the classifier's view: regions of the input, grown ones, squares and superpixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Generator, Tensor


NOTHING = "nothing of what is to be removed is in the classifier's view"


def grown(region: Float[Tensor, "1 h w"], pixels: int) -> Float[Tensor, "1 h w"]:
    """A region with its outline moved outwards."""
    from infill.fillers.crops import dilated

    return dilated(region[None] > 0, pixels)[0].float()


def square(image: Float[Tensor, "3 h w"], side: int, rng: Generator) -> Float[Tensor, "1 h w"]:
    """A square at a random place."""
    height, width = image.shape[1:]
    top = int(torch.randint(height - side + 1, (), generator=rng))
    left = int(torch.randint(width - side + 1, (), generator=rng))
    hole = torch.zeros_like(image[:1])
    hole[:, top : top + side, left : left + side] = 1
    return hole


def superpixels(image: Float[Tensor, "3 h w"], count: int, rng: Generator) -> Float[Tensor, "1 h w"]:
    """A random half of about so many superpixels."""
    from attribution import Lime

    labels = Lime(segments=count).segment(image)
    numbers = torch.unique(labels).cpu()
    removed = numbers[torch.randperm(len(numbers), generator=rng)[: len(numbers) // 2]]
    return torch.isin(labels.to(image.device), removed.to(image.device))[None].float()


def checked(hole: Float[Tensor, "1 h w"]) -> Float[Tensor, "1 h w"]:
    """The hole, if it is one.

    Raises:
        ValueError: If nothing or everything is removed.
    """
    if not hole.any():
        raise ValueError(NOTHING)
    if hole.all():
        raise ValueError("the hole covers all of the classifier's view")
    return hole
