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
_NONE = -(2**40)
_ALONG = 1.5
"""Distances grow as this power: there are more near ones."""


def offsets() -> Int[Tensor, "k 2"]:
    """Where the squares are that may be taken, in cells from the place that gets one; always the same."""
    share = torch.arange(CANDIDATES) / CANDIDATES
    radius = 1 + (FARTHEST - 1) * share**_ALONG
    angle = (
        2 * math.pi * torch.rand(CANDIDATES, generator=torch.Generator().manual_seed(5), dtype=torch.float32)
    )
    return torch.stack([radius * angle.sin(), radius * angle.cos()], 1).round().long()


def preferences(side: int) -> Float[Tensor, "s s k"]:
    """By how much chance prefers each of the squares, for a tile of places that is repeated.

    With these added (Gumbel 1954), the largest of some weights is one drawn in proportion to their
    exponentials. They are always the same.
    """
    drawn = torch.rand(
        side, side, CANDIDATES, generator=torch.Generator().manual_seed(7), dtype=torch.float32
    )
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
    shown = image * known
    grain = (shown - _blurred(shown, known)) * known
    lacking = F.max_pool2d(hole, CELL)
    place = (F.max_pool2d(F.pad(lacking, [1] * 4), 2, 1)[:, 0] > 0).nonzero()
    origin = _chosen(shown, grain, lacking, surface, away, preferred, place)
    tiles = grain.unflatten(3, (-1, CELL)).unflatten(2, (-1, CELL)).permute(0, 2, 4, 3, 5, 1)
    shape, window = tiles.shape, torch.hann_window(2 * CELL, device=hole.device)
    tiles = tiles.reshape(-1, CELL * CELL * 3)
    number, row, column = (lacking[:, 0] > 0).nonzero().T
    laid, overlaid = grain.new_zeros(len(number), CELL * CELL * 3), grain.new_zeros(CELL * CELL * 3)
    for down in (0, 1):  # each tile lies in four squares, in another quarter of each
        for right in (0, 1):
            start = origin[number, row + down, column + right]
            source = start + (1 - down) * shape[2] + (1 - right)
            y, x = (window[CELL * (1 - each) :][:CELL] for each in (down, right))
            weight = (y[:, None] * x)[..., None].expand(-1, -1, 3).flatten()
            some = tiles.index_select(0, source.clamp(min=0)).mul_(weight)
            laid += some.masked_fill_((start < 0)[:, None], 0)
            overlaid += weight.square()
    total = torch.zeros_like(tiles).view(*shape[:3], -1)
    total[number, row, column] = laid * (GAIN / overlaid.sqrt())
    return total.view(shape).permute(0, 5, 1, 3, 2, 4).reshape(grain.shape)


def _chosen(
    shown: Float[Tensor, "n 3 h w"],
    grain: Float[Tensor, "n 3 h w"],
    lacking: Float[Tensor, "n 1 r c"],
    surface: Float[Tensor, "n 3 h w"],
    away: Int[Tensor, "k 2"],
    preferred: Float[Tensor, "s s k"],
    place: Int[Tensor, "p 3"],
) -> Int[Tensor, "n y x"]:
    """Return the number of the first tile of the square that each place takes; below 0: there is none."""
    beside = [1] * 4
    hidden = F.max_pool2d(F.pad(lacking, beside, value=1.0), 2, 1)  # 0 where a square is all observed
    strength = _squares(grain.square()).mean(1, keepdim=True).sqrt() + _HIDDEN * hidden
    count, _, rows, columns = hidden.shape
    number, y, x = place.T[:, :, None]
    down, right = (y + away[:, 0]).clamp(0, rows - 1), (x + away[:, 1]).clamp(0, columns - 1)
    table = torch.cat([_squares(shown), strength], 1).permute(0, 2, 3, 1).reshape(-1, 4)
    there = F.avg_pool2d(F.pad(F.avg_pool2d(surface, CELL), beside, mode="replicate"), 2, 1)
    there = F.pad(there, (0, 0, 0, 0, 0, 1))[number, :, y, x]
    unlike = table.index_select(0, ((number * rows + down) * columns + right).flatten())
    unlike = unlike.view(*down.shape, 4).sub_(there).abs_()
    side = preferred.shape[0]
    liked = preferred[(y % side)[:, 0], (x % side)[:, 0]] - away.float().square().sum(1).sqrt() / _NEAR
    # not by a product of matrices, whose last digits depend on how many places there are
    weight = liked - (unlike[..., :3].sum(2) * (_COLOR / 3) + unlike[..., 3] * _CALM)
    best, index = weight.max(1, keepdim=True)
    first = (number * (rows - 1) + down.gather(1, index) - 1) * (columns - 1) + right.gather(1, index) - 1
    origin = first.new_full((count, rows, columns), _NONE)
    origin[tuple(place.T)] = torch.where(best > -_HIDDEN, first, _NONE)[:, 0]
    return origin


def _squares(values: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c r q"]:
    """The mean over every square, also over those that reach beyond the image."""
    return F.avg_pool2d(F.pad(F.avg_pool2d(values, CELL), [1] * 4), 2, 1)


def _blurred(shown: Float[Tensor, "n 3 h w"], known: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 h w"]:
    """What is shown of the image, without texture."""
    means = F.avg_pool2d(torch.cat([shown, known], 1), BLUR)
    means = F.interpolate(means, scale_factor=BLUR, mode="bilinear")
    return means[:, :3] / means[:, 3:].clamp(min=1e-6)
