"""Texture for the middle of a hole, taken from what is observed elsewhere in the image.

Far from the rim a small network knows the colors of a hole, not its grain: there it is smooth. Squares of
what is left of the observed image once its blurred self is taken off are laid over that, blended where they
overlap: random patches of the image's own texture (Efros & Freeman 2001, Image quilting; without the search
for seams, which such squares hardly show). Near ones are taken rather than far ones, those of similar
colors, and calm ones: an edge that is laid elsewhere looks like a thing.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

CELL = 8
"""Squares have twice as many pixels a side, and lie so far apart."""
CANDIDATES = 96
"""So many squares are looked at for each place, and one is taken."""
FARTHEST = 26
"""How far away they are at most, in cells."""
BLUR = 4
"""Texture is what means over so many pixels a side, enlarged again, do not have."""
GAIN = 0.5
"""Strength of the texture: in the right place it would be 1, anywhere else a weaker one offends less."""
_NEAR, _COLOR, _CALM = 4.0, 60.0, 60.0
"""How squares are weighed: by e for so many cells of distance, for 1 / 60 of color, or of strength."""
_HIDDEN = 1e4
"""A square that is hidden in part counts as so strong that it is never taken."""
_ALONG = 1.5
"""Distances grow as this power: there are more near ones."""


def offsets() -> Int[Tensor, "k 2"]:
    """Where the squares are that may be taken, in cells from the place that gets one; always the same."""
    share = torch.arange(CANDIDATES) / CANDIDATES
    radius = 1 + (FARTHEST - 1) * share**_ALONG
    angle = 2 * math.pi * torch.rand(CANDIDATES, generator=torch.Generator().manual_seed(5))
    return torch.stack([radius * angle.sin(), radius * angle.cos()], 1).round().long()


def preferences(side: int) -> Float[Tensor, "s s k"]:
    """By how much chance prefers each of the squares, for a tile of places that is repeated.

    With these added (Gumbel 1954), the largest of some weights is one drawn in proportion to their
    exponentials. They are always the same.
    """
    drawn = torch.rand(side, side, CANDIDATES, generator=torch.Generator().manual_seed(7))
    return -(-drawn.clamp(1e-6, 1 - 1e-6).log()).log()


def deep(hole: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    """How much of the texture a pixel gets: little at the rim, none in a thin hole, all from 4 pixels on.

    Beyond the image the hole goes on as at its border.
    """
    observed = F.max_pool2d(1 - hole, 2)  # any of four pixels
    near = F.avg_pool2d(F.pad(observed, [1] * 4, mode="replicate"), 3, 1)
    return F.interpolate(1 - near, scale_factor=2, mode="bilinear")


def transplanted(
    image: Float[Tensor, "n 3 h w"],
    hole: Float[Tensor, "n 1 h w"],
    surface: Float[Tensor, "n 3 h w"],
    away: Int[Tensor, "k 2"],
    preferred: Float[Tensor, "s s k"],
) -> Float[Tensor, "n 3 h w"]:
    """Return texture for every place, from where it is observed; 0 where no whole square is near enough.

    Args:
        image: RGB in [0, 1]; what lies under the hole is not looked at. Sides must be multiples of `CELL`.
        hole: 1 where pixels are removed, else 0.
        surface: What the texture shall lie on, RGB.
        away: What `offsets` returned.
        preferred: What `preferences` returned.
    """
    known = 1 - hole
    grain = (image - _blurred(image, known)) * known
    framed = F.pad(grain, [CELL] * 4).permute(0, 2, 3, 1).contiguous()
    squares = framed.unfold(1, 2 * CELL, CELL).unfold(2, 2 * CELL, CELL).permute(0, 1, 2, 4, 5, 3)
    count, rows, columns = squares.shape[:3]
    place = (F.max_pool2d(F.pad(hole, [CELL] * 4), 2 * CELL, CELL)[:, 0] > 0).nonzero()
    source, found = _chosen(image * known, grain, known, surface, away, preferred, place)
    window = torch.hann_window(2 * CELL, device=hole.device)
    weight = window[:, None] * window
    laid = grain.new_zeros(squares.shape)
    laid[tuple(place.T)] = squares[tuple(source.T)] * (weight[:, :, None] * found.view(-1, 1, 1, 1))
    # each cell lies in four squares, in another quarter of each
    quarters, overlaid = laid.view(count, rows, columns, 2, CELL, 2, CELL, 3), grain.new_zeros(CELL, CELL)
    total = grain.new_zeros(count, rows - 1, columns - 1, CELL, CELL, 3)
    for down in (0, 1):
        for right in (0, 1):
            some = quarters[:, down : rows - 1 + down, right : columns - 1 + right]
            total += some[:, :, :, 1 - down, :, 1 - right]
            overlaid += weight.view(2, CELL, 2, CELL)[1 - down, :, 1 - right].square()
    total *= (GAIN / overlaid.sqrt())[..., None]
    return total.permute(0, 5, 1, 3, 2, 4).reshape(grain.shape)


def _chosen(
    shown: Float[Tensor, "n 3 h w"],
    grain: Float[Tensor, "n 3 h w"],
    known: Float[Tensor, "n 1 h w"],
    surface: Float[Tensor, "n 3 h w"],
    away: Int[Tensor, "k 2"],
    preferred: Float[Tensor, "s s k"],
    place: Int[Tensor, "p 3"],
) -> tuple[Int[Tensor, "p 3"], Float[Tensor, " p"]]:
    """Return which square each place takes (image, row, column), and 0 instead of 1 where there is none."""
    hidden = F.max_pool2d(F.pad(-known, [CELL] * 4), 2 * CELL, CELL) + 1  # 0 where a square is all observed
    strength = _squares(grain.square()).mean(1, keepdim=True).sqrt() + _HIDDEN * hidden
    _, _, rows, columns = hidden.shape
    number, y, x = place.T[:, :, None]
    down, right = (y + away[:, 0]).clamp(0, rows - 1), (x + away[:, 1]).clamp(0, columns - 1)
    table = torch.cat([_squares(shown), strength], 1).permute(0, 2, 3, 1).reshape(-1, 4)
    there = F.avg_pool2d(F.pad(surface, [CELL] * 4, mode="replicate"), 2 * CELL, CELL)
    there = F.pad(there, (0, 0, 0, 0, 0, 1))[number, :, y, x]
    unlike = table[(number * rows + down) * columns + right].sub_(there).abs_()
    side = preferred.shape[0]
    liked = preferred[(y % side)[:, 0], (x % side)[:, 0]] - away.float().square().sum(1).sqrt() / _NEAR
    # not by a product of matrices, whose last digits depend on how many places there are
    weight = liked - (unlike[..., :3].sum(2) * (_COLOR / 3) + unlike[..., 3] * _CALM)
    best, index = weight.max(1, keepdim=True)
    source = torch.cat([number, down.gather(1, index), right.gather(1, index)], 1)
    return source, (best[:, 0] > -_HIDDEN).float()


def _squares(values: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c r q"]:
    """The mean over every square, also over those that reach beyond the image."""
    return F.avg_pool2d(F.pad(values, [CELL] * 4), 2 * CELL, CELL)


def _blurred(image: Float[Tensor, "n 3 h w"], known: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 h w"]:
    """What is observed, without texture."""
    means = F.avg_pool2d(torch.cat([image * known, known], 1), BLUR)
    means = F.interpolate(means, scale_factor=BLUR, mode="bilinear")
    return means[:, :3] / means[:, 3:].clamp(min=1e-6)
