"""Windows of a network's maps, one an image: which part of a map a hole has changed, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """How a kernel moves along a side: output ``o`` reads inputs from ``o * stride - padding`` on.

    Attributes:
        kernel: How many inputs it spans, dilation included.
        stride: Its step.
        padding: How many values lie before the first input.
    """

    kernel: int
    stride: int
    padding: int

    def reach(self, outputs: int) -> int:
        """Return how many inputs, padding included, so many neighboring outputs read."""
        return (outputs - 1) * self.stride + self.kernel


@dataclass(frozen=True)
class Spans:
    """Where windows of one length lie along one side of a map.

    Attributes:
        side: Length of the side.
        length: Length of the windows, at most the side.
        starts: Where the window of each image begins.
    """

    side: int
    length: int
    starts: tuple[int, ...]

    @classmethod
    def around(cls, starts: Sequence[int], ends: Sequence[int], side: int, length: int = 0) -> Spans:
        """Return windows of one length, at least ``length``, that hold each [start, end), inside the side."""
        longest = max(length, max(end - start for start, end in zip(starts, ends, strict=True)), 1)
        longest = min(longest, side)
        return cls(side, longest, tuple(min(max(start, 0), side - longest) for start in starts))

    def after(self, step: Step, side: int) -> Spans:
        """Return what a moving kernel changes of its output, which has this side."""
        length = (self.length + step.kernel - 2) // step.stride + 1
        first = [-((step.kernel - 1 - start - step.padding) // step.stride) for start in self.starts]
        return Spans.around(first, first, side, length)

    def read(self, step: Step) -> Spans:
        """Return what is read to compute these outputs, counted from the padding's edge."""
        starts = tuple(start * step.stride for start in self.starts)
        return Spans(step.reach(self.side), step.reach(self.length), starts)

    def joined(self, other: Spans) -> Spans:
        """Return windows that hold those of both."""
        if self == other:
            return self
        starts = [min(pair) for pair in zip(self.starts, other.starts, strict=True)]
        ends = [
            max(a + self.length, b + other.length) for a, b in zip(self.starts, other.starts, strict=True)
        ]
        return Spans.around(starts, ends, self.side)

    def shifted(self, by: int, side: int) -> Spans:
        """Return the same windows of a side that has ``by`` more before it."""
        return Spans(side, self.length, tuple(start + by for start in self.starts))


@dataclass(frozen=True)
class Windows:
    """Where the windows of images lie in a map: along its height and along its width."""

    down: Spans
    across: Spans

    @property
    def share(self) -> float:
        """The share of the map that a window covers."""
        return self.down.length * self.across.length / (self.down.side * self.across.side)

    def joined(self, other: Windows) -> Windows:
        """Return windows that hold those of both."""
        return Windows(self.down.joined(other.down), self.across.joined(other.across))

    @classmethod
    def everywhere(cls, images: int, size: Sequence[int]) -> Windows:
        """Return windows that cover whole maps."""
        down, across = (Spans(side, side, (0,) * images) for side in size)
        return cls(down, across)

    @classmethod
    def of(cls, hole: Float[Tensor, "n 1 h w"]) -> Windows:
        """Return windows of one size around all that each hole removes."""
        touched = hole[:, 0] != 0
        return cls(_around(touched.any(dim=2)), _around(touched.any(dim=1)))


def _around(touched: Bool[Tensor, "n side"]) -> Spans:
    side = touched.shape[1]
    first = touched.int().argmax(dim=1)
    last = side - touched.flip(1).int().argmax(dim=1)
    some = touched.any(dim=1)
    return Spans.around((first * some).tolist(), (last * some).tolist(), side)


def cut(maps: Float[Tensor, "#n c y x"], windows: Windows) -> Float[Tensor, "n c h w"]:
    """Return the windows of maps, or of one map for all images."""
    height, width = windows.down.length, windows.across.length
    found = maps.new_empty(len(windows.down.starts), maps.shape[1], height, width)
    if maps.is_contiguous(memory_format=torch.channels_last):
        found = found.contiguous(memory_format=torch.channels_last)
    starts = zip(windows.down.starts, windows.across.starts, strict=True)
    for one, whole, (top, left) in zip(found, maps.expand(len(found), -1, -1, -1), starts, strict=True):
        one.copy_(whole[:, top : top + height, left : left + width])
    return found


def paste(
    onto: Float[Tensor, "n c _ _"], at: Windows, pixels: Float[Tensor, "n c h w"], where: Windows
) -> None:
    """Write what lies in windows onto other windows of the same map, in place, where the two meet."""
    for place in range(len(onto)):
        rows, above = _meeting(at.down, where.down, place)
        columns, beside = _meeting(at.across, where.across, place)
        onto[place, :, rows, columns] = pixels[place, :, above, beside]


def _meeting(at: Spans, where: Spans, place: int) -> tuple[slice, slice]:
    """Return where two windows meet, counted from the start of the one and of the other."""
    first, second = at.starts[place], where.starts[place]
    start, end = max(first, second), min(first + at.length, second + where.length)
    end = max(start, end)
    return slice(start - first, end - first), slice(start - second, end - second)
