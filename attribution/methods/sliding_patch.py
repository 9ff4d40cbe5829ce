"""SP: how much the score drops where a sliding patch is removed (Zeiler & Fergus 2014)."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from attribution.explainer import Heatmap
from attribution.holes import PatchHoles, batches
from attribution.score import MaskedScore
from infill.network import unrounded
from infill.validate import Length, require, require_settings

Placement = Literal["resize", "centers"]


@dataclass(frozen=True)
class SlidingPatch:
    """Sliding patch (Zeiler & Fergus 2014; Agarwal & Nguyen 2020, sec. 3.3).

    A square is removed at every position of a grid; the position's value is ``s(x) - s(composite)``,
    in [-1, 1] for probabilities. With the defaults a 224 x 224 image has 66 x 66 positions.

    Attributes:
        patch: Side of the patch in pixels.
        stride: Step of the grid in pixels.
        average: If set, a pixel's value is the mean over all patches that cover it, as in captum's
            ``Occlusion``: the grid is continued until patches, cut off at the far edges, cover every
            pixel. If not, it is interpolated bilinearly between the grid's values.
        placement: How the grid's values are laid over the image for the interpolation.
            ``"resize"``, the paper's: the map of values is resized to the image, which moves values
            towards the borders, by up to half a patch. ``"centers"``: each value stays at the
            center of its patch, and beyond the outermost centers the map is constant.

    Raises:
        ValueError: If ``patch`` or ``stride`` is below 1, ``placement`` is unknown or, with
            ``average``, a ``stride`` larger than the patch leaves gaps.
    """

    patch: Length = 29
    stride: Length = 3
    average: bool = False
    placement: Placement = "resize"

    def __post_init__(self) -> None:
        require_settings(self)
        gapless = not self.average or self.stride <= self.patch
        require(gapless, "stride", f"at most the patch ({self.patch}) with average", self.stride)

    @unrounded()
    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the drop of the score, per pixel.

        Raises:
            ValueError: If the patch is larger than the image, or as for the score.
        """
        clean, holes = score.clean, self.holes(score)
        # Written in place: small results kept between large batches would scatter the heap, which then grows.
        drops = clean.new_empty(len(score), len(holes))
        total = torch.zeros_like(score.image[:, 0])
        for i, one in enumerate(score):
            done = 0
            for hole, scores in one.stream(batches(holes, one.execution.batch_size), len(holes)):
                drop = clean[i] - scores
                drops[i, done : done + len(drop)] = drop
                done += len(drop)
                if self.average:
                    total[i] += torch.einsum("n,nhw->hw", drop, hole[:, 0])
        if self.average:
            return total / sum(hole.sum(dim=(0, 1)) for hole in batches(holes, score.execution.batch_size))
        return self._interpolated(drops.view(-1, *holes.grid), score.size)

    def holes(self, score: MaskedScore) -> PatchHoles:
        """Return the patches, row by row.

        Raises:
            ValueError: If the patch is larger than the image.
        """
        return PatchHoles(score.size, self.patch, self.stride, self.average, score.image.device)

    def _interpolated(self, values: Float[Tensor, "b rows columns"], size: tuple[int, int]) -> Heatmap:
        if self.placement == "resize":
            return F.interpolate(values[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
        return self._centered(values, size)

    def _centered(self, values: Float[Tensor, "b rows columns"], size: tuple[int, int]) -> Heatmap:
        # A pixel's place in the grid: 0 at the first patch's center, 1 a stride further.
        places = [(torch.arange(side) - (self.patch - 1) / 2) / self.stride for side in size]
        # grid_sample counts from -1 to 1 between the outermost values.
        ends = [max(steps - 1, 1) for steps in values.shape[1:]]
        down, across = (2 * place / end - 1 for place, end in zip(places, ends, strict=True))
        grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1).to(values)
        grid = grid.expand(len(values), -1, -1, -1)
        return F.grid_sample(values[:, None], grid, padding_mode="border", align_corners=True)[:, 0]
