"""Windows around small holes: which part of an image an inpainter needs to see."""

import math
from collections import defaultdict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

GRAIN = 16
"""Windows grow in steps of this many pixels, so that unlike holes can still share a batch."""


@dataclass(frozen=True)
class Windows:
    """Windows of one size: for the hole numbered ``index[j]``, the one at ``top[j], left[j]``.

    Attributes:
        index: Numbers of the holes, rising.
        top: First row of each window.
        left: First column of each window.
        size: Height and width that all of them have.
    """

    index: list[int]
    top: list[int]
    left: list[int]
    size: tuple[int, int]

    def split(self, count: int | None) -> list["Windows"]:
        """The same windows in groups of at most ``count`` (``None``: one group)."""
        step = count or len(self.index)
        cuts = [slice(start, start + step) for start in range(0, len(self.index), step)]
        return [Windows(self.index[cut], self.top[cut], self.left[cut], self.size) for cut in cuts]

    def cut(self, images: Shaped[Tensor, "#n c h w"]) -> Shaped[Tensor, "#k c y x"]:
        """What lies under the windows; one image stays one image if every window is all of it."""
        if self.size == tuple(images.shape[2:]):
            whole = len(images) == 1 or len(images) == len(self.index)
            return images if whole else images[self.index]
        source = self.index if len(images) > 1 else [0] * len(self.index)
        return _every_window(images, self.size)[source, :, self.top, self.left]

    def paste(self, content: Float[Tensor, "k c y x"], images: Float[Tensor, "n c h w"]) -> None:
        """Write ``content`` into ``images`` where the windows lie."""
        if self.size == tuple(images.shape[2:]):
            images[self.index] = content
            return
        _every_window(images, self.size)[self.index, :, self.top, self.left] = content


def windows(hidden: Bool[Tensor, "n 1 h w"], context: int | None, multiple: int) -> list[Windows]:
    """One window for every hole that hides anything, those of the same size together.

    A window is the hole's bounding box with ``context`` pixels on every side, its sides rounded
    up to a multiple of both ``GRAIN`` and ``multiple``, shifted to lie inside the image, and cut
    to the image where it is larger. It is a function of its own hole alone. Without a context it
    is the whole image.
    """
    height, width = hidden.shape[2:]
    step = math.lcm(GRAIN, multiple)
    groups: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for index, (some, first, last, start, end) in enumerate(bounds(hidden)):
        if not some:
            continue
        if context is None:
            top, left, size = 0, 0, (height, width)
        else:
            top, tall = _span(first, last, context, step, height)
            left, wide = _span(start, end, context, step, width)
            size = (tall, wide)
        groups[size].append((index, top, left))
    made = []
    for size, rows in groups.items():
        indices, tops, lefts = (list(column) for column in zip(*rows, strict=True))
        made.append(Windows(indices, tops, lefts, size))
    return made


def dilated(hidden: Bool[Tensor, "n 1 h w"], pixels: int) -> Bool[Tensor, "n 1 h w"]:
    """Hide every pixel whose row and column are both within ``pixels`` of a hidden one's."""
    if pixels == 0:
        return hidden
    side = 2 * pixels + 1
    rows = F.max_pool2d(hidden.float(), (1, side), stride=1, padding=(0, pixels))
    return F.max_pool2d(rows, (side, 1), stride=1, padding=(pixels, 0)) > 0


def deep(hidden: Bool[Tensor, "n 1 h w"], pixels: int) -> Bool[Tensor, " n"]:
    """Which holes hide a pixel that is farther than ``pixels``, in rows or columns, from what is observed."""
    return ~dilated(~hidden, pixels).flatten(1).all(1)


def bounds(hidden: Bool[Tensor, "n 1 h w"]) -> list[list[int]]:
    """Of each hole: whether it hides anything, its first and last row, first and last column."""
    gone = hidden.byte()  # the maximum of bytes is found much faster than whether any is true
    rows, columns = (gone.amax(across).flatten(1) for across in (3, 2))
    parts = [rows.amax(1)]
    for line in (rows, columns):
        parts += [line.argmax(1), line.shape[1] - 1 - line.flip(1).argmax(1)]
    found: list[list[int]] = torch.stack([part.long() for part in parts], 1).tolist()
    return found


def _span(first: int, last: int, context: int, step: int, limit: int) -> tuple[int, int]:
    """Start and length of a window along one axis."""
    extent = last - first + 1
    length = math.ceil((extent + 2 * context) / step) * step
    if length >= limit:
        return 0, limit
    start = first - (length - extent) // 2
    return min(max(start, 0), limit - length), length


def _every_window(images: Shaped[Tensor, "n c h w"], size: tuple[int, int]) -> Shaped[Tensor, "n c t l y x"]:
    """A view whose axes 2 and 3 are the top left corners of all windows of a size."""
    return images.unfold(2, size[0], 1).unfold(3, size[1], 1)


def to_frame(
    image: Float[Tensor, "#n c h w"],
    hidden: Bool[Tensor, "n 1 h w"],
    size: tuple[int, int] | None,
    multiple: int,
    coverage: float = 0.0,
) -> tuple[Float[Tensor, "#n c y x"], Bool[Tensor, "n 1 y x"]]:
    """Resize to ``size``, or else extend both sides to a multiple of ``multiple``.

    Resizing is bilinear and hides every pixel of which more than the share ``coverage`` comes from hidden
    ones: by itself, every pixel to which a hidden one contributes. The others show what observed pixels
    contribute to them, and nothing else. Extending
    repeats the last row and column of the image and of the hole alike. So neither lets hidden
    pixels through.
    """
    height, width = image.shape[2:]
    if size is not None:
        covered = _resized(hidden.to(image.dtype), size)
        # What is hidden counts nothing, but nothing times NaN is NaN.
        image = torch.where(hidden, image.nan_to_num(0.0), image)
        visible, gone = _resized(image, size), covered > coverage
        if coverage:
            observed = _resized(torch.where(hidden, 0.0, image), size) / (1 - covered).clamp_min(1 - coverage)
            visible = torch.where(gone, visible, observed)
        return visible, gone
    pad = (0, -width % multiple, 0, -height % multiple)
    if not any(pad):
        return image, hidden
    extended = F.pad(hidden.to(image.dtype), pad, mode="replicate") > 0
    return F.pad(image, pad, mode="replicate"), extended


def from_frame(
    content: Float[Tensor, "n c y x"], shape: tuple[int, int], size: tuple[int, int] | None
) -> Float[Tensor, "n c h w"]:
    """Undo ``to_frame`` for what the network made of an image of ``shape``."""
    return content[:, :, : shape[0], : shape[1]] if size is None else _resized(content, shape)


def _resized(image: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c y x"]:
    if tuple(image.shape[2:]) == size:
        return image
    # antialiasing changes nothing when enlarging, and skips no pixel when reducing
    return F.interpolate(image, size, mode="bilinear", antialias=True)
