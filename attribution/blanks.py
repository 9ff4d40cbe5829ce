"""Patches of an image that are removed at random or tile by tile, and the threshold of what fills them."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from infill.filler import Hole
from infill.validate import Range, require, require_settings

Normalize = Literal["positive", "range"]


@dataclass(frozen=True, eq=False)
class RandomBlanks:
    """Holes that each remove as many patches of a grid, drawn by chance (Deelaka et al. 2024, sec. 4.1).

    All choices of so many patches are equally likely. Hole i depends on the seed and on i alone.

    Attributes:
        count: Number of holes.
        size: Height and width of the image.
        patch: Side of the patches in pixels; where the grid ends they are cut off at the image's border.
        ratio: Share of the patches that each hole removes, rounded to whole patches.
        seed: Of the choices.
        device: Where the holes are made.

    Raises:
        ValueError: If a patch is larger than the image, or so large that none or all would be removed.
    """

    count: int
    size: tuple[int, int]
    patch: int = 2
    ratio: float = 0.25
    seed: int = 0
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        require(self.count >= 1, "count", "at least 1", self.count)
        require_patch(self.patch, self.size)
        patches = math.prod(patch_grid(self.size, self.patch))
        rule = f"such that some of the {patches} patches are removed, and not all"
        require(0 < self.removed < patches, "ratio", rule, self.ratio)

    @property
    def removed(self) -> int:
        """How many patches each hole removes."""
        return round(self.ratio * math.prod(patch_grid(self.size, self.patch)))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, part: slice) -> Hole:
        drawn = [self._drawn(number) for number in range(self.count)[part]]
        patches = math.prod(patch_grid(self.size, self.patch))
        chosen = torch.from_numpy(np.array(drawn, dtype=np.int64).reshape(-1, self.removed))
        cells = torch.zeros(len(drawn), patches).scatter_(1, chosen, 1.0)
        return _pixels(cells.to(self.device), self.size, self.patch)

    def _drawn(self, number: int) -> ndarray:
        # Counted, not drawn one after another: any hole can be made without those before it.
        source = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, number]))
        patches = math.prod(patch_grid(self.size, self.patch))
        return source.permutation(patches)[: self.removed]


@dataclass(frozen=True, eq=False)
class TiledBlanks:
    """Holes that do not overlap, and together remove the whole image (Deelaka et al. 2024, sec. 4.2).

    Each patch of a grid belongs to one of them by chance; they have equally many, or one more.

    Attributes:
        parts: Number of holes, each of which removes the share 1 / parts of the patches.
        size: Height and width of the image.
        patch: Side of the patches in pixels, as in `RandomBlanks`.
        seed: Of the choice.
        device: Where the holes are made.

    Raises:
        ValueError: If a patch is larger than the image, or there are more holes than patches.
    """

    parts: int
    size: tuple[int, int]
    patch: int = 2
    seed: int = 0
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        require_patch(self.patch, self.size)
        patches = math.prod(patch_grid(self.size, self.patch))
        require(1 <= self.parts <= patches, "parts", f"1 to the number of patches {patches}", self.parts)

    def __len__(self) -> int:
        return self.parts

    def __getitem__(self, part: slice) -> Hole:
        chosen = torch.arange(self.parts)[part, None]
        return _pixels((self.owner == chosen).float().to(self.device), self.size, self.patch)

    @cached_property
    def owner(self) -> Int[Tensor, " patches"]:
        """The hole that removes each patch."""
        dealt = np.arange(math.prod(patch_grid(self.size, self.patch))) % self.parts
        source = np.random.Generator(np.random.Philox(key=self.seed))
        return torch.from_numpy(source.permutation(dealt))


@dataclass(frozen=True)
class Threshold:
    """What is kept of an update, as an image in [0, 1] (Deelaka et al. 2024, eq. 4).

    ``T = binarize(normalize(hole * update))``. The paper says neither how it normalizes nor at which level it
    binarizes.

    Attributes:
        normalize: ``"positive"``: what should become darker is dropped, the largest value becomes 1;
            ``"range"``: the smallest value in the hole becomes 0 and the largest 1.
        binarize: Whether what exceeds the level becomes 1, and all else 0.
        level: Of the normalized update.
    """

    normalize: Normalize = "positive"
    binarize: bool = True
    level: Annotated[float, Range(0, 1, open_high=True)] = 0.05

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, update: Float[Tensor, "n c h w"], hole: Hole) -> Float[Tensor, "n c h w"]:
        """Return what fills the hole, in [0, 1]; 0 outside of it, and everywhere for an update of zeros."""
        inside = (hole > 0).expand_as(update)
        if self.normalize == "range":
            low = update.where(inside, torch.inf).amin((1, 2, 3), keepdim=True)
            update = update - low.where(low.isfinite(), 0)
        kept = update.clamp_min(0).where(inside, 0)
        peak = kept.amax((1, 2, 3), keepdim=True)
        kept = torch.where(peak > 0, kept / peak.where(peak > 0, 1), 0)
        return (kept > self.level).to(update.dtype) if self.binarize else kept


def patch_grid(size: tuple[int, int], patch: int) -> tuple[int, int]:
    """Return how many rows and columns of patches an image has, those that its border cuts off included."""
    return math.ceil(size[0] / patch), math.ceil(size[1] / patch)


def require_patch(patch: int, size: tuple[int, int]) -> None:
    """Check that a patch fits into an image.

    Raises:
        ValueError: If it does not.
    """
    require(1 <= patch <= min(size), "patch", f"1 to {min(size)} in a {size[0]} x {size[1]} image", patch)


def _pixels(cells: Float[Tensor, "n patches"], size: tuple[int, int], patch: int) -> Hole:
    rows, columns = patch_grid(size, patch)
    grid = cells.view(len(cells), 1, rows, columns)
    return grid.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[:, :, : size[0], : size[1]]
