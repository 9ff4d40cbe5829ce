"""Fills a hole with what the rest of the image looks like, patch by patch, coarse to fine."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from infill.filler import Chance, Fill, Hole, Images, check_rgb
from infill.fillers.classical import NavierStokes
from infill.fillers.crops import bounds, deep, dilated
from infill.fillers.patches import Patches, untouched
from infill.fillers.seam import feathered
from infill.fillers.static import IMAGENET_MEAN, Color, check_empty
from infill.fillers.synthesis import FRAME, Synthesis
from infill.network import unrounded
from infill.validate import Length, Level, Range, Reach, Weight, require, require_settings

_SMOOTHED = 5
"""Side of the square over which the strength of texture is averaged, in pixels."""
_LEAST_SOURCES = 40
"""So many patches must be left to take from, or else the image is not made smaller still."""


@dataclass(frozen=True)
class Exemplar:
    """Patches from elsewhere in the image, chosen to fit together (Wexler et al. 2007; Barnes et al. 2009).

    Where the hole is thick, the image is first made smaller. There the hole is painted from its rim inwards;
    then, in turn, every patch that touches it is matched with one outside, and all matched patches vote on
    the hidden pixels. The matches are carried over to the next larger size. Beside colors, patches are
    compared by the strength of texture (Newson et al. 2014, Video inpainting of complex scenes, section
    3.2), or else flat ones would win. There is no chance in it: same image and hole, same fill, whatever
    the batch.

    A hole that leaves no whole patch is filled as by `NavierStokes`; one that leaves no pixel, with
    ``empty``.

    Args:
        patch: Side of the patches in pixels, odd, 3 to 15.
        texture: How much the strength of texture counts beside colors.
        depth: The image is made smaller until no hidden pixel is farther than so many from the hole's rim.
        exhaustive: Where patches have at most so many places, all of them are looked at by turns; where there
            are more, only the matches of neighbors. The image is also made smaller until this is so.
        rounds: How often patches are matched and vote: at full size, at half of it, at all smaller ones.
        feather: So many pixels inside the hole's rim take on some of the colors beside it.
        threshold: Pixels with ``hole >= threshold`` are hidden and filled.
        empty: The fill's color where an image has no observed pixel.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    patch: Annotated[int, Range(3, 15, odd=True)] = 5
    texture: Weight = 5.0
    depth: Length = 8
    exhaustive: Annotated[int, Range(1, 10**9)] = 13000
    rounds: Annotated[tuple[int, int, int], Range(1, 1000)] = (1, 3, 6)
    feather: Reach = 2
    threshold: Level = 0.5
    empty: Color = IMAGENET_MEAN
    per_hole: ClassVar[bool] = True
    sees_hidden: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_settings(self)
        require(len(self.rounds) == 3, "rounds", "3 numbers", self.rounds)
        check_empty(self.empty)

    @unrounded()
    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Return the fill of each hole, "n 3 h w" in [0, 1].

        Raises:
            ValueError: If shapes do not fit together, or the image is not RGB.
        """
        check_rgb(image, hole)
        hidden = hole.detach()[:, 0] >= self.threshold
        fill = image.detach().float().clamp(0, 1).expand(len(hole), -1, -1, -1).clone()
        sizes: list[Patches] = []
        for index, gone in enumerate(hidden):
            if gone.all():
                fill[index] = fill.new_tensor(self.empty).view(3, 1, 1)
            elif gone.any():
                if not sizes or len(image) > 1:  # several holes of one image share its patches
                    # patches of the hole count nothing, but nothing times NaN is NaN
                    sizes = self._sizes(torch.where(gone, fill[index].nan_to_num(0.0), fill[index]))
                fill[index] = self._filled(torch.where(gone, 0.0, fill[index]), gone, sizes)
        return fill.to(image.dtype)

    def _sizes(self, picture: Float[Tensor, "3 h w"]) -> list[Patches]:
        """The image's patches at full size, at half, a quarter, ... of it."""
        level = self._features(picture, torch.ones_like(picture[0], dtype=torch.bool))
        made: list[Patches] = []
        while min(level.shape[1:]) >= self.patch:
            made.append(self._patches(level, odd=not made))
            if min(level.shape[1:]) < 2 * self.patch:
                break
            level = _halved(level)
        return made

    def _patches(self, level: Float[Tensor, "c h w"], odd: bool) -> Patches:
        return Patches(_framed(level, FRAME, odd).permute(1, 2, 0), self.patch)

    def _features(self, picture: Float[Tensor, "3 h w"], seen: Bool[Tensor, "h w"]) -> Float[Tensor, "5 h w"]:
        """Colors, and the mean steepness along both axes, of what is seen alone."""
        gray = picture.mean(0)
        across = F.pad(seen[:, 1:] & seen[:, :-1], (0, 1))
        down = F.pad(seen[1:] & seen[:-1], (0, 0, 0, 1))
        steep = torch.stack(
            [F.pad(gray.diff(dim=1).abs(), (0, 1)), F.pad(gray.diff(dim=0).abs(), (0, 0, 0, 1))]
        )
        counted = torch.stack([across, down]).to(picture.dtype)
        mean = torch.cat([steep * counted, counted])
        for side in ((_SMOOTHED, 1), (1, _SMOOTHED)):
            mean = F.avg_pool2d(mean, side, 1, (side[0] // 2, side[1] // 2))
        return torch.cat([picture, self.texture * mean[:2] / mean[2:].clamp(min=1e-6)])

    def _filled(
        self, picture: Float[Tensor, "3 h w"], gone: Bool[Tensor, "h w"], sizes: list[Patches]
    ) -> Float[Tensor, "3 h w"]:
        window = self._window(gone, sizes)
        levels = self._levels(picture, gone, window, sizes)
        if not levels:
            hole = gone[None, None].to(picture.dtype)
            return NavierStokes(empty=self.empty)(picture[None], hole)[0]
        coarse = None
        for number, level in reversed(list(enumerate(levels))):
            if coarse is None:
                level.peel()
            else:
                level.inherit(coarse)
            exhaustive = len(level.source) <= self.exhaustive
            for turn in range(self.rounds[min(number, 2)]):
                level.search(turn + 1, exhaustive)
                votes = level.paint()
            coarse = level
        levels[0].blend(*votes)
        painted = levels[0].canvas[FRAME:, FRAME:, :3].permute(2, 0, 1)
        filled = picture.clone()
        there = filled[:, *window]
        painted = painted[:, : there.shape[1], : there.shape[2]].clamp(0, 1)
        there.copy_(feathered(painted[None], there[None], gone[window][None, None], self.feather)[0])
        return filled

    def _window(self, gone: Bool[Tensor, "h w"], sizes: list[Patches]) -> tuple[slice, slice]:
        """Rows and columns in which all patches lie that touch the hole, at every size that it takes."""
        grain, hidden = 2, gone  # at full size every other place counts
        for patches in sizes:
            if not _deep(hidden, self.depth) and patches.grid[0] * patches.grid[1] <= self.exhaustive:
                break
            grain, hidden = 2 * grain, _halved(hidden[None])[0]
        context = (self.patch + 1) * grain
        (_, *ends), *_ = bounds(gone[None, None])
        rows, columns = (
            slice(max(first - context, 0) // grain * grain, last + 1 + context)
            for first, last in (ends[:2], ends[2:])
        )
        return rows, columns

    def _levels(
        self, picture: Float[Tensor, "3 h w"], gone: Bool[Tensor, "h w"], window: tuple[slice, slice],
        sizes: list[Patches],
    ) -> list[Synthesis]:  # fmt: skip
        """The hole at full size and at every smaller one that it takes; none without a patch to take."""
        hidden = gone[window][None]
        # What is averaged at a place that is so near may be made of hidden pixels.
        near = dilated(hidden[None], _SMOOTHED // 2 + 1)[0]
        canvas = self._features(picture[:, *window], ~hidden[0])
        corner = (window[0].start, window[1].start)
        levels: list[Synthesis] = []
        for patches in sizes:
            shown, blank, taboo = (_framed(one, FRAME, odd=not levels) for one in (canvas, hidden, near))
            sources = _outside(patches, taboo[0], corner)
            if len(sources) < (_LEAST_SOURCES if levels else 1):
                break
            # At full size patches overlap enough if every other one is matched.
            step = 1 if levels else 2
            levels.append(Synthesis(patches, shown.permute(1, 2, 0), blank[0], corner, sources, step))
            if not _deep(hidden[0], self.depth) and len(levels[-1].source) <= self.exhaustive:
                break
            canvas, hidden, near = _halved(canvas), _halved(hidden), _halved(near)
            corner = (corner[0] // 2, corner[1] // 2)
        return levels


def _outside(patches: Patches, near: Bool[Tensor, "h w"], corner: tuple[int, int]) -> Int[Tensor, " s"]:
    """Numbers of the places whose patches do not touch what is near the hole."""
    rows, columns = (length - patches.side + 1 for length in near.shape)
    free = torch.ones(patches.grid, dtype=torch.bool, device=near.device)
    inside = free[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns]
    inside.copy_(untouched(near, patches.side).view(rows, columns))
    return free.flatten().nonzero()[:, 0]


def _deep(hidden: Bool[Tensor, "h w"], depth: int) -> bool:
    """Whether a hidden pixel is farther than so many from the rim; looks at the hole's box alone."""
    (_, top, bottom, left, right), *_ = bounds(hidden[None, None])
    box = hidden[max(top - 1, 0) : bottom + 2, max(left - 1, 0) : right + 2]
    return bool(deep(box[None, None], depth))


def _halved(level: Tensor) -> Tensor:
    """Means of 2 x 2 pixels, or of what there is of them; of booleans: whether any is true."""
    if level.dtype == torch.bool:
        return F.max_pool2d(level.float(), 2, ceil_mode=True) > 0
    return F.avg_pool2d(level, 2, ceil_mode=True, count_include_pad=False)


def _framed(level: Tensor, width: int, odd: bool) -> Tensor:
    """The map with its outermost rows and columns repeated, so that patches may reach beyond the image.

    Otherwise few patches would cover what lies at its border. If it must be ``odd``, an even one gets one row
    or column less at its end: patches at every other row and column then cover all of it.
    """
    ends = [width - (odd and length % 2 == 0) for length in level.shape[1:]]
    framed = F.pad(level.float(), (width, ends[1], width, ends[0]), mode="replicate")
    return framed > 0 if level.dtype == torch.bool else framed
