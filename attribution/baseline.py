"""Images in which nothing is left of the original: what methods compare it with that need a whole image."""

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from attribution.score import MaskedScore

BLOCKS = 4
"""Blocks along each side of the chessboard."""


def baselines(score: MaskedScore, blocks: int = BLOCKS) -> Float[Tensor, "b m c h w"]:
    """Return images in which every pixel is what the score's filler puts in its place, m of each image.

    A fill that does not depend on the hole is the baseline itself: a constant filler's is the constant image
    of Sundararajan et al. (2017). A filler that looks around the hole has nothing to look at where
    everything is removed, so it fills the black squares of a chessboard, and then the white ones: each
    pixel is replaced by what its surroundings make likely. The larger the squares, the less of an object is
    left to continue it from.

    A stochastic filler gives as many baselines as the score has samples; attributions averaged over them are
    expected gradients (Erion et al. 2021), whose expectation over the path is an integral here.

    Args:
        score: Of any number of images; what one gets does not depend on the others.
        blocks: Squares along each side of the chessboard.
    """
    if not score.filler.per_hole:
        return score.evaluator.shared.pixels[:, None]
    fill = chessboard_fill(score, [score.sampling.generator() for _ in range(len(score))], blocks)
    return fill.view(len(score), score.fills_per_hole, *fill.shape[1:])


def chessboard_fill(
    score: MaskedScore, generators: list[Generator], blocks: int = BLOCKS
) -> Float[Tensor, "n c h w"]:
    """Return what the filler puts into the black squares of a chessboard, and into the white ones.

    Args:
        score: Of any number of images.
        generators: One for each image, from which a stochastic filler draws.
        blocks: Squares along each side.
    """
    black = chessboard(*score.size, blocks).to(score.image.device)
    rows, fills = torch.arange(len(score), device=score.image.device), []
    for square in (black, ~black):
        hole = square.to(score.image).expand(len(score), 1, -1, -1)
        fills.append(score.fills(hole, rows, generators))
    return torch.where(black, fills[0], fills[1])


def chessboard(height: int, width: int, blocks: int = BLOCKS) -> Bool[Tensor, "h w"]:
    """Return where the black squares of a board of ``blocks`` by ``blocks`` are; the first is black."""
    rows, columns = (
        (torch.arange(side) * blocks).div(side, rounding_mode="floor") for side in (height, width)
    )
    return (rows[:, None] + columns) % 2 == 0
