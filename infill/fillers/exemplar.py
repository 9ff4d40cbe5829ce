"""Fills a hole with what the rest of the image looks like, patch by patch, coarse to fine."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from infill.filler import Chance, Fill, Hole, Images, check_rgb
from infill.fillers.classical import NavierStokes
from infill.fillers.crops import dilated
from infill.fillers.patches import Patches, untouched
from infill.fillers.static import IMAGENET_MEAN, Color, check_threshold_and_empty
from infill.fillers.synthesis import Synthesis
from infill.validate import require

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
        threshold: Pixels with ``hole >= threshold`` are hidden and filled.
        empty: The fill's color where an image has no observed pixel.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    patch: int = 5
    texture: float = 5.0
    depth: int = 8
    exhaustive: int = 13000
    rounds: tuple[int, int, int] = (2, 3, 6)
    threshold: float = 0.5
    empty: Color = IMAGENET_MEAN
    per_hole: ClassVar[bool] = True
    sees_hidden: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        odd = self.patch % 2 == 1 and 3 <= self.patch <= 15
        require(odd, "patch", "odd and between 3 and 15", self.patch)
        require(0 <= self.texture < float("inf"), "texture", "0 or more", self.texture)
        require(self.depth >= 1, "depth", "1 or more", self.depth)
        require(self.exhaustive >= 1, "exhaustive", "1 or more", self.exhaustive)
        counts = len(self.rounds) == 3 and min(self.rounds) >= 1
        require(counts, "rounds", "3 numbers, each 1 or more", self.rounds)
        check_threshold_and_empty(self.threshold, self.empty)

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
                    sizes = self._sizes(fill[index])
                fill[index] = self._filled(torch.where(gone, 0.0, fill[index]), gone, sizes)
        return fill.to(image.dtype)

    def _sizes(self, picture: Float[Tensor, "3 h w"]) -> list[Patches]:
        """The image's patches at full size, at half, a quarter, ... of it."""
        level = self._features(picture, torch.ones_like(picture[0], dtype=torch.bool))
        made = []
        while min(level.shape[1:]) >= self.patch:
            made.append(Patches(_odd(level).permute(1, 2, 0), self.patch))
            if min(level.shape[1:]) < 2 * self.patch:
                break
            level = _halved(level)
        return made

    def _features(self, picture: Float[Tensor, "3 h w"], seen: Bool[Tensor, "h w"]) -> Float[Tensor, "5 h w"]:
        """Colors, and the mean steepness along both axes, of what is seen alone."""
        gray = picture.mean(0)
        across = F.pad(seen[:, 1:] & seen[:, :-1], (0, 1))
        down = F.pad(seen[1:] & seen[:-1], (0, 0, 0, 1))
        steep = torch.stack(
            [F.pad(gray.diff(dim=1).abs(), (0, 1)), F.pad(gray.diff(dim=0).abs(), (0, 0, 0, 1))]
        )
        counted = torch.stack([across, down]).to(picture.dtype)
        mean = F.avg_pool2d(torch.cat([steep * counted, counted]), _SMOOTHED, 1, _SMOOTHED // 2)
        return torch.cat([picture, self.texture * mean[:2] / mean[2:].clamp(min=1e-6)])

    def _filled(
        self, picture: Float[Tensor, "3 h w"], gone: Bool[Tensor, "h w"], sizes: list[Patches]
    ) -> Float[Tensor, "3 h w"]:
        levels = self._levels(picture, gone, sizes)
        if not levels:
            hole = gone[None, None].to(picture.dtype)
            return NavierStokes(empty=self.empty)(picture[None], hole)[0]
        coarse = None
        for number, level in reversed(list(enumerate(levels))):
            if coarse is None:
                level.peel()
            else:
                level.inherit(coarse)
            exhaustive = len(level.match) <= self.exhaustive
            for turn in range(self.rounds[min(number, 2)]):
                level.search(turn + 1, exhaustive)
                votes = level.paint()
            coarse = level
        levels[0].blend(*votes)
        height, width = gone.shape
        return levels[0].canvas[:height, :width, :3].permute(2, 0, 1).clamp(0, 1)

    def _levels(
        self, picture: Float[Tensor, "3 h w"], gone: Bool[Tensor, "h w"], sizes: list[Patches]
    ) -> list[Synthesis]:
        """The hole at full size and at every smaller one that it takes; none without a patch to take."""
        hidden = gone[None]
        # What is averaged at a place that is so near may be made of hidden pixels.
        near = dilated(hidden[None], _SMOOTHED // 2 + 1)[0]
        canvas = self._features(picture, ~gone)
        levels: list[Synthesis] = []
        for patches in sizes:
            sources = untouched(_odd(near)[0], self.patch).nonzero()[:, 0]
            if len(sources) < (_LEAST_SOURCES if levels else 1):
                break
            # At full size patches overlap enough if every other one is matched.
            step = 1 if levels else 2
            levels.append(Synthesis(patches, _odd(canvas).permute(1, 2, 0), _odd(hidden)[0], sources, step))
            thick = not dilated(~hidden[None], self.depth).all()
            if not thick and len(levels[-1].match) <= self.exhaustive:
                break
            canvas, hidden, near = _halved(canvas), _halved(hidden), _halved(near)
        return levels


def _halved(level: Tensor) -> Tensor:
    """Means of 2 x 2 pixels, or of what there is of them; of booleans: whether any is true."""
    if level.dtype == torch.bool:
        return F.max_pool2d(level.float(), 2, ceil_mode=True) > 0
    return F.avg_pool2d(level, 2, ceil_mode=True, count_include_pad=False)


def _odd(level: Tensor) -> Tensor:
    """The map with an odd number of rows and columns, the last one twice if need be.

    Patches of an odd side at every other row and column then cover all of it.
    """
    pad = (0, 1 - level.shape[2] % 2, 0, 1 - level.shape[1] % 2)
    if not any(pad):
        return level
    padded = F.pad(level.float(), pad, mode="replicate")
    return padded > 0 if level.dtype == torch.bool else padded
