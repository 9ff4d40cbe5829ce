"""Deletion and insertion: how fast the score falls, or comes back, in the order of a heatmap."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.explainer import Heatmap
from attribution.holes import batches
from attribution.score import MaskedScore
from infill.filler import Hole
from infill.validate import require

STEPS = 28
"""In so many steps: of 224 x 224 pixels 224 * 8 each (Petsiuk et al. 2018; Agarwal & Nguyen 2020, sec. 4.3).

The same share of every image, as 1792 pixels would be all of a small one.
"""

Change: TypeAlias = Literal["deletion", "insertion"]
"""Whether pixels are removed from the image, or shown in one of which nothing is left."""


@dataclass(frozen=True, eq=False)
class RankedHoles:
    """The holes of one image as its pixels go, or come, in an order; made when they are sliced.

    Attributes:
        rank: Of each pixel: how many go, or come, before it.
        pixels: How many do so in a step; in the last one the rest.
        change: What happens to them.
    """

    rank: Int[Tensor, "h w"]
    pixels: int
    change: Change = "deletion"

    def __post_init__(self) -> None:
        require(self.change in get_args(Change), "change", f"one of {get_args(Change)}", self.change)

    def __len__(self) -> int:
        return 1 + -(-self.rank.numel() // self.pixels)

    def __getitem__(self, part: slice) -> Hole:
        steps = torch.arange(len(self), device=self.rank.device)[part]
        reached = self.rank < steps[:, None, None, None] * self.pixels
        return (reached if self.change == "deletion" else ~reached).float()


def ranks(heatmap: Float[Tensor, "h w"]) -> Int[Tensor, "h w"]:
    """Return how many pixels have more evidence than each; equals come row by row, from the top."""
    order = heatmap.flatten().argsort(descending=True, stable=True)
    places = torch.arange(len(order), device=order.device)
    return torch.empty_like(order).scatter_(0, order, places).view_as(heatmap)


def pixels_a_step(size: tuple[int, int]) -> int:
    """Return how many pixels of an image of this height and width are a step, by default."""
    return -(-size[0] * size[1] // STEPS)


def curve(
    score: MaskedScore, heatmap: Heatmap, change: Change = "deletion", pixels: int | None = None
) -> Float[Tensor, "b t 2"]:
    """Return the scores of each image as its pixels go, or come, those with the most evidence first.

    A point is the share of the pixels that have gone, or come, from 0 to 1, and the score. The first score is
    that of the image (insertion: of the filled image), the last that of the other. Removed
    is what the score's filler fills: with gray (which normalization makes 0) the published deletion game
    (Petsiuk et al. 2018), with an inpainter one whose images stay plausible.

    Args:
        score: Of the images.
        heatmap: One for each.
        change: ``"deletion"`` or ``"insertion"``.
        pixels: How many in a step; by default those of one in `STEPS`.

    Raises:
        ValueError: If heatmaps are not of the images' number and size, not finite, or a step is empty.
    """
    shape = (len(score), *score.size)
    require(tuple(heatmap.shape) == shape, "heatmap", f"of shape {shape} as the images", tuple(heatmap.shape))
    require(bool(heatmap.isfinite().all()), "heatmap", "finite", "NaN or infinity")
    pixels = pixels_a_step(score.size) if pixels is None else pixels
    require(pixels >= 1, "pixels", "at least 1", pixels)
    curves = []
    for one, order in zip(score, heatmap, strict=True):
        holes = RankedHoles(ranks(order.to(score.image.device)), pixels, change)
        parts = one.stream(batches(holes, one.execution.batch_size), len(holes))
        scores = torch.cat([scores for _, scores in parts])
        share = (torch.arange(len(holes)) * pixels / order.numel()).clamp_max(1)
        curves.append(torch.stack([share.to(scores), scores], 1))
    return torch.stack(curves)


def area_under(curves: Float[Tensor, "b t 2"]) -> Float[Tensor, " b"]:
    """Return the area under curves, by trapezoids; where the last step is of fewer pixels, it is narrower."""
    return torch.trapezoid(curves[..., 1], curves[..., 0], dim=1)


def deletion(score: MaskedScore, heatmap: Heatmap, pixels: int | None = None) -> Float[Tensor, " b"]:
    """Return the area under the deletion curve: low if the evidence is found. Arguments as for `curve`."""
    return area_under(curve(score, heatmap, "deletion", pixels))


def insertion(score: MaskedScore, heatmap: Heatmap, pixels: int | None = None) -> Float[Tensor, " b"]:
    """Return the area under the insertion curve: high if the evidence is found. Arguments as for `curve`."""
    return area_under(curve(score, heatmap, "insertion", pixels))


def relevance_gain(score: MaskedScore, heatmap: Heatmap, pixels: int | None = None) -> Float[Tensor, " b"]:
    """Return the symmetric relevance gain (Bluecher et al. 2024): what the order is worth.

    The area when the pixels with the least evidence go first minus that when those with the most do. A filler
    that lowers the score by its own evidence lowers both. Arguments as for `curve`.
    """
    return deletion(score, -heatmap, pixels) - deletion(score, heatmap, pixels)
