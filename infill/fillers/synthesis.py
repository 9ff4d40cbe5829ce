"""One hole at one size of its image, filled with patches from elsewhere in the image."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from infill.fillers.patches import Patches, untouched, vote
from infill.validate import require

LATTICE = 3
"""An exhaustive search looks at every third row and column, at others each time; neighbors are tried, too."""
FRAME = 1
"""Maps have their outermost rows and columns so often more: patches may reach beyond the image by so much."""
_NEIGHBORS = (((0, 1), (1, 0)), ((0, -1), (-1, 0)))
_LEAST_COST, _LEAST_TRUST = 1e-6, 1e-6


class Synthesis:
    """Finds for every patch that touches the hole one like it outside, and lets those vote on its pixels.

    The two steps lower one energy in turn, the sum of the distances (Wexler et al. 2007, Space-time
    completion of video). A match is looked for among all patches, beside the matches of neighboring patches,
    and one pixel beside the match so far (Barnes et al. 2009, PatchMatch, section 3.2).

    Args:
        image: The patches to take from.
        canvas: The same features of a window, with hidden ones blanked; the hole is painted in here.
        hidden: Where the hole is in the window. Patches that touch it lie within the window.
        corner: Row and column of the image where the window begins, multiples of ``step``.
        sources: Numbers of the places that are outside the hole, at least one, rising.
        step: Only every so many rows and columns have a patch that is matched.
    """

    def __init__(
        self,
        image: Patches,
        canvas: Float[Tensor, "h w c"],
        hidden: Bool[Tensor, "h w"],
        corner: tuple[int, int],
        sources: Int[Tensor, " s"],
        step: int,
    ) -> None:
        self.image, self.canvas, self.hidden, self.sources, self.step = image, canvas, hidden, sources, step
        self.corner = corner
        self.grid = (hidden.shape[0] - image.side + 1, hidden.shape[1] - image.side + 1)
        wanted = ~untouched(hidden, image.side)
        every = torch.arange(len(wanted), device=canvas.device)
        y, x = every // self.grid[1], every % self.grid[1]
        if step > 1:
            wanted &= (y % step == 0) & (x % step == 0)
        self.targets = every[wanted]
        self.wanted = wanted
        self.source = torch.zeros(image.grid, dtype=torch.bool, device=canvas.device).flatten()
        self.source[sources] = True
        # of a place that is not matched: itself
        self.match = (y + corner[0]) * image.grid[1] + x + corner[1]
        self.cost = torch.full_like(self.targets, torch.inf, dtype=canvas.dtype)

    def peel(self) -> None:
        """Paint the hole from its rim inwards, by patches that are like what is painted so far.

        Each time those patches are matched of which at least half is painted, or else the best of the others.
        """
        painted = ~self.hidden
        while not painted.all():
            known = Patches(painted[..., None].float(), self.image.side).at(self.targets)
            share = known.mean(1)
            share = torch.where(share < 1, share, 0.0)
            rim = share >= min(0.5, float(share.max()))
            places, weight = self.targets[rim], share[rim].square()
            shown = Patches(self.canvas, self.image.side).at(places)
            match, cost = self.image.nearest(shown, self.sources, known[rim])
            voted, votes = self._voted(places, match, weight * _trust(cost))
            new = (votes > 0) & ~painted
            require(bool(new.any()), "image", "finite where it is observed", "what cannot be compared")
            self.canvas = torch.where(new[..., None], voted, self.canvas)
            painted = painted | new
        self.search(0, exhaustive=True)

    def inherit(self, coarse: "Synthesis") -> None:
        """Paint the hole with the matches that were found at half the size."""
        rows, columns = self.image.grid
        y, x = self.targets // self.grid[1], self.targets % self.grid[1]
        # the patch at half the size whose middle is this one's, and how far away its match is
        # from a patch's first pixel, without the frame, to its middle
        off = self.image.side // 2 - FRAME
        above = ((y + off) // 2 - off).clamp(0, coarse.grid[0] - 1) // coarse.step * coarse.step
        beside = ((x + off) // 2 - off).clamp(0, coarse.grid[1] - 1) // coarse.step * coarse.step
        place = above * coarse.grid[1] + beside
        match, wide = coarse.match[place], coarse.image.grid[1]
        down = y + self.corner[0] + 2 * (match // wide - above - coarse.corner[0])
        right = x + self.corner[1] + 2 * (match % wide - beside - coarse.corner[1])
        found = down.clamp(0, rows - 1) * columns + right.clamp(0, columns - 1)
        usable = coarse.wanted[place] & self.source[found]
        next_source = torch.searchsorted(self.sources, self.match[self.targets])
        otherwise = self.sources[next_source.clamp(max=len(self.sources) - 1)]
        self.match[self.targets] = torch.where(usable, found, otherwise)
        self.cost = torch.ones_like(self.cost)
        self.paint()

    def search(self, turn: int, exhaustive: bool) -> None:
        """Look for better matches of what is painted; ``turn`` chooses rows, columns and directions."""
        targets = Patches(self.canvas, self.image.side).at(self.targets)
        columns = self.image.grid[1]
        self.cost = self.image.distances(self.match[self.targets], targets)
        self.cost.masked_fill_(~self.source[self.match[self.targets]], torch.inf)
        if exhaustive:
            some = self.sources
            row, column = some // columns % LATTICE, some % columns % LATTICE
            chosen = some[(row == turn % LATTICE) & (column == turn // LATTICE % LATTICE)]
            places, cost = self.image.nearest(targets, chosen if len(chosen) else some)
            better = cost < self.cost
            self.match[self.targets[better]], self.cost[better] = places[better], cost[better]
        last = len(self.match) - 1
        for dy, dx in _NEIGHBORS[turn % 2]:
            neighbor = (self.targets - self.step * (dy * self.grid[1] + dx)).clamp(0, last)
            self._try(targets, self.match[neighbor] + self.step * (dy * columns + dx))
        for dy, dx in _NEIGHBORS[turn % 2]:
            self._try(targets, self.match[self.targets] + dy * columns + dx)

    def paint(self) -> tuple[Float[Tensor, "h w c"], Float[Tensor, "h w"]]:
        """Give each hidden pixel the mean of the matched patches over it; nearer ones count more.

        Returns:
            The mean of each pixel that a matched patch covers, observed ones too, and the sum of weights.
        """
        match = self.match[self.targets]
        voted, votes = self._voted(self.targets, match, _trust(self.cost))
        new = (votes > 0) & self.hidden
        self.canvas = torch.where(new[..., None], voted, self.canvas)
        return voted, votes

    def blend(self, voted: Float[Tensor, "h w c"], votes: Float[Tensor, "h w"]) -> None:
        """Take off what would show as a seam: how far votes at observed pixels near the rim are from these.

        The difference is continued smoothly into the hole (as in Perez et al. 2003, Poisson image editing).

        Args:
            voted: What `paint` returned last.
            votes: The weights that it returned.
        """
        rim = (votes > 0) & ~self.hidden
        away = smooth(
            ((self.canvas - voted) * rim[..., None]).permute(2, 0, 1)[None], rim.float()[None, None]
        )
        self.canvas = self.canvas + away[0].permute(1, 2, 0) * self.hidden[..., None]

    def _try(self, targets: Float[Tensor, "t d"], places: Int[Tensor, " t"]) -> None:
        """Take these places as matches where they are sources, and nearer than the matches so far."""
        last = len(self.source) - 1
        fits = (places >= 0) & (places <= last) & (places != self.match[self.targets])
        fits &= self.source[places.clamp(0, last)]
        index = fits.nonzero()[:, 0]
        cost = self.image.distances(places[index], targets.index_select(0, index))
        better = cost < self.cost[index]
        index, cost = index[better], cost[better]
        self.match[self.targets[index]] = places[index]
        self.cost[index] = cost

    def _voted(
        self, places: Int[Tensor, " t"], match: Int[Tensor, " t"], weight: Float[Tensor, " t"]
    ) -> tuple[Float[Tensor, "h w c"], Float[Tensor, "h w"]]:
        height, width, _ = self.canvas.shape
        return vote((height, width), places, self.image, match, weight, self.step)


def _trust(cost: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
    """How much patches at these distances count (Wexler et al. 2007; in units of the mean); never 0."""
    return torch.exp(-cost / (2 * cost.mean().clamp(min=_LEAST_COST))).clamp(min=_LEAST_TRUST)


def smooth(values: Float[Tensor, "1 c h w"], known: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 c h w"]:
    """A smooth surface through the known values (push-pull, Gortler et al. 1996).

    Means of what is known are pushed to ever coarser grids, and pulled back to where finer ones know too
    little.
    """
    level = torch.cat([values * known, known], 1)
    pyramid = [level]
    while max(level.shape[2:]) > 1:
        level = F.avg_pool2d(level, 2, ceil_mode=True, count_include_pad=False)
        pyramid.append(level)
    surface = _mean(level)
    for level in reversed(pyramid):
        if surface.shape[2:] != level.shape[2:]:
            surface = F.interpolate(surface, size=level.shape[2:], mode="bilinear")
        surface = torch.lerp(surface, _mean(level), level[:, -1:])
    return surface


def _mean(level: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 d h w"]:
    return level[:, :-1] / level[:, -1:].clamp(min=1e-12)
