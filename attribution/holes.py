"""Sequences of holes that are never all in memory: a hole is drawn when its batch is sliced."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from infill.filler import Hole
from infill.validate import require

Border = Literal["mirrored", "constant"]


@runtime_checkable
class Holes(Protocol):
    """A sequence of holes of one image, made when it is sliced."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> Hole:
        """Return the holes of a slice with step 1, the same however the sequence is sliced."""
        ...


def batches(holes: Holes, size: int) -> Iterator[Hole]:
    """Yield all holes in order, ``size`` at a time."""
    for start in range(0, len(holes), size):
        yield holes[start : start + size]


@dataclass(frozen=True, eq=False)
class PatchHoles:
    """One square patch per hole, on a grid, row by row.

    Attributes:
        size: Height and width of the image.
        patch: Side of the patch in pixels.
        stride: Step of the grid in pixels.
        cover: Whether the grid goes on until the far edges are covered, by patches that stick out
            over them, as in captum. If not, patches lie inside the image, and up to ``stride - 1``
            pixels at the far edges are in no hole.
        device: Where the holes are made.
    """

    size: tuple[int, int]
    patch: int
    stride: int
    cover: bool = False
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        height, width = self.size
        if not 1 <= self.patch <= min(self.size):
            raise ValueError(
                f"patch must be 1 to {min(self.size)} in a {height} x {width} image, got {self.patch}"
            )
        if self.stride < 1:
            raise ValueError(f"stride must be at least 1, got {self.stride}")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        rows, columns = (self._steps(side) for side in self.size)
        return rows, columns

    def _steps(self, side: int) -> int:
        room = side - self.patch
        return 1 + (math.ceil(room / self.stride) if self.cover else room // self.stride)

    def __len__(self) -> int:
        return math.prod(self.grid)

    def __getitem__(self, part: slice) -> Hole:
        number = torch.arange(len(self), device=self.device)[part]
        columns = self.grid[1]
        down = self._span(number // columns, self.size[0])
        across = self._span(number % columns, self.size[1])
        return (down[:, None, :, None] & across[:, None, None, :]).float()

    def _span(self, step: Int[Tensor, " n"], side: int) -> Bool[Tensor, "n side"]:
        start = (step * self.stride)[:, None]
        pixel = torch.arange(side, device=self.device)
        return (pixel >= start) & (pixel < start + self.patch)


@dataclass(frozen=True, eq=False)
class SegmentHoles:
    """The union of all segments that are off is one hole.

    Attributes:
        segments: The segment of each pixel, 0 to s - 1.
        on: Which segments stay in each sample.
    """

    segments: Int[Tensor, "h w"]
    on: Bool[Tensor, "n s"]

    def __len__(self) -> int:
        return len(self.on)

    def __getitem__(self, part: slice) -> Hole:
        off, place = (~self.on[part]).float().to(self.segments.device), self.segments.flatten()
        # Row by row: twice as fast as one look-up for all of them.
        found = off.new_empty(len(off), len(place))
        for one, row in zip(found, off, strict=True):
            torch.index_select(row, 0, place, out=one)
        return found.view(len(off), 1, *self.segments.shape)


@dataclass(frozen=True, eq=False)
class RandomGridHoles:
    """Soft holes of RISE: coarse random grids, upsampled bilinearly and shifted (Petsiuk et al. 2018).

    Each grid of ``cells x cells`` keeps a cell with probability ``keep``. Upsampled, it is one cell
    larger than the image, and the image is cut out of it at a random offset of up to one cell.

    Attributes:
        count: Number of holes.
        size: Height and width of the image.
        cells: Cells of the grid along each side.
        keep: Probability that a cell is kept, which is also the expectation of ``1 - hole``
            at every pixel.
        seed: Seed of the grids and shifts.
        device: Where the holes are made.
        border: What the upsampled grid is beyond the centers of its outermost cells: ``"mirrored"`` there, as
            in the published code (the paper leaves it open), or ``"constant"``.
    """

    count: int
    size: tuple[int, int]
    cells: int = 7
    keep: float = 0.5
    seed: int = 0
    device: torch.device | str = "cpu"
    border: Border = "mirrored"
    kept: Float[Tensor, "n cells cells"] = field(init=False, repr=False)
    offset: Int[Tensor, "n 2"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")
        if self.cells < 1:
            raise ValueError(f"cells must be at least 1, got {self.cells}")
        if not 0 < self.keep < 1:
            raise ValueError(f"keep must be between 0 and 1, got {self.keep}")
        # Tiny in number, so all are drawn at once: a hole does not depend on how it is sliced.
        generator = torch.Generator().manual_seed(self.seed)
        kept = (
            torch.rand(
                self.count, self.cells, self.cells, generator=generator, device="cpu", dtype=torch.float32
            )
            < self.keep
        )
        offset = torch.rand(
            self.count, 2, generator=generator, device="cpu", dtype=torch.float32
        ) * torch.tensor(self.cell, device="cpu", dtype=torch.float32)
        object.__setattr__(self, "kept", kept.float().to(self.device))
        object.__setattr__(self, "offset", offset.long().to(self.device))

    @property
    def cell(self) -> tuple[int, int]:
        """Height and width in pixels of an upsampled cell, rounded up."""
        return math.ceil(self.size[0] / self.cells), math.ceil(self.size[1] / self.cells)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, part: slice) -> Hole:
        down, across = (self._weights(axis)[self.offset[part, axis]] for axis in (0, 1))
        kept = down @ self.kept[part] @ across.mT
        return kept.neg_().add_(1).clamp_(0, 1)[:, None]  # rounding must not lead out of [0, 1]

    def overlap(self, axis: int) -> Float[Tensor, "side side"]:
        """Return how much of the same cells two places along an axis show, in the mean over all offsets.

        Masks at (y, x) and (v, u) have the covariance ``keep (1 - keep) overlap(0)[y, v] overlap(1)[x, u]``.
        """
        weights = self._weights(axis)[: self.cell[axis]]
        return torch.einsum("osc,otc->st", weights, weights) / len(weights)

    def _weights(self, axis: int) -> Float[Tensor, "offsets side cells"]:
        """Bilinear upsampling along one axis as a matrix, for each offset: it is separable."""
        long, last = (self.cells + 1) * self.cell[axis], self.cells - 1
        place = (torch.arange(long, device=self.device, dtype=torch.float32) + 0.5) * self.cells / long - 0.5
        before = place.floor()
        matrix = torch.zeros(long, self.cells, device=self.device, dtype=torch.float32)
        for cell, weight in ((before, 1 - place + before), (before + 1, place - before)):
            inside = last - (last - cell.abs()).abs() if self.border == "mirrored" else cell
            matrix.scatter_add_(1, inside.clamp(0, last).long()[:, None], weight[:, None])
        return matrix.unfold(0, self.size[axis], 1).mT


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
