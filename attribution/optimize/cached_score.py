"""What an optimizing method sees of the score: fills that last some steps, and calls that are counted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attribution.score import MaskedScore
from infill.filler import Fill, Hole

BLOCKS = 4
"""Blocks along each side of the chessboard whose fills stand for pixels that are still observed."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One call within a step.

    Attributes:
        hole: The holes of the images at work, of each equally many.
        fill: What was put into them, of each hole equally many; ``None`` if it does not depend on the hole.
        scores: The mean score of each image, in the units of the images' own.
    """

    hole: Float[Tensor, "m 1 h w"]
    fill: Float[Tensor, "_ c h w"] | None
    scores: Float[Tensor, " n"]


class Sight:
    """The score of the images that are at work, as a function of holes alone.

    A filler is asked about binary holes. What it proposes outside of them is not to be relied upon, and yet
    the derivative of the score with respect to a hole's *observed* pixels is the effect of putting something
    there. That something is the outlook: what the filler puts into every second square of a chessboard over
    the image, and then into the others. So a method can judge pixels that it has not removed yet by what
    would take their place, and a binary hole's composite still holds nothing but observed pixels and the
    hole's own fill.

    Args:
        score: Of a group of images.
        refresh: After how many steps the fills of a hole are made anew. In between, what is newly removed
            shows the outlook.
        told: Brings scores into the units of the images' own.
    """

    def __init__(
        self, score: MaskedScore, refresh: int = 1, told: Callable[[Tensor], Tensor] = torch.clone
    ) -> None:
        self.score = score
        self.per_hole = score.filler.per_hole
        self.threshold = float(getattr(score.filler, "threshold", 0.5))
        self.rows = torch.arange(len(score), device=score.image.device)
        self.due = torch.ones_like(self.rows, dtype=torch.bool)
        self.seen: list[Seen] = []
        self.looked, self.asked = torch.zeros(len(score)).long(), torch.zeros(len(score)).long()
        self._refresh, self._told = refresh, told
        self._age = torch.full_like(self.rows, refresh)
        # One generator an image: what an image gets does not depend on those beside it.
        self._chance = [score.sampling.generator() for _ in range(len(score))]
        self._kept: dict[int, Tensor] = {}
        self._outlook = self._first_outlook() if self.per_hole else None

    @property
    def clean(self) -> Float[Tensor, " n"]:
        """The scores of the untouched images at work."""
        return self.score.clean[self.rows]

    def begin(self, rows: Int[Tensor, " n"]) -> None:
        """Begin a step in which these images are at work."""
        self.rows, self.seen = rows, []
        # What does not depend on the hole is never old.
        self.due = (self._age[rows] >= self._refresh) | (not self.per_hole)
        self._age[rows] = torch.where(self.due, 1, self._age[rows] + 1)

    def doubt(self, rows: Int[Tensor, " k"]) -> None:
        """Have the fills of these images made anew in the next step."""
        self._age[rows] = self._refresh

    def __call__(
        self, hole: Hole, shift: Int[Tensor, "n 2"] | None = None, gone: Hole | None = None
    ) -> Float[Tensor, " n"]:
        """Return the scores of holes, of each image at work equally many, one image's after another's.

        Args:
            hole: 1 where pixels are removed; may be soft.
            shift: As for `attribution.score.MaskedScore`.
            gone: What the filler is asked to fill, if not the hole.
        """
        each = len(hole) // len(self.rows)
        rows = self.rows.repeat_interleave(each)
        asked = hole.detach() if gone is None else gone
        fill = self._fill(asked, rows, each) if self.per_hole else None
        scores = self.score(hole, rows, fill=fill, shift=shift)
        self.looked[self.rows.cpu()] += each * self.score.fills_per_hole
        told = self._told(scores.detach()).view(-1, each).mean(dim=1)
        self.seen.append(Seen(hole.detach(), fill, told))
        return scores

    def _fill(self, hole: Tensor, rows: Tensor, each: int) -> Fill:
        """Return the fills of all holes of this call, new ones for images that are due."""
        call, lots = len(self.seen), each * self.score.fills_per_hole
        fresh = self._fresh(hole, rows, each)
        if self._refresh == 1:
            return cast(Tensor, fresh)
        if call not in self._kept:
            shape = (len(self.score), lots, *self.score.image.shape[1:])
            self._kept[call] = self.score.image.new_zeros(shape)
        if fresh is not None:
            self._kept[call][self.rows[self.due]] = fresh.view(-1, lots, *fresh.shape[1:])
        return self._kept[call][self.rows].flatten(0, 1)

    def _fresh(self, hole: Tensor, rows: Tensor, each: int) -> Fill | None:
        if not self.due.any():
            return None
        which = self.due.repeat_interleave(each)
        some = rows[which]
        hidden = (hole[which] >= self.threshold).to(hole.dtype)
        fill = self.score.fills(hidden, some, [self._chance[row] for row in some.tolist()])
        times = self.score.fills_per_hole
        self.asked[self.rows[self.due].cpu()] += each * times
        assert self._outlook is not None
        behind = self._outlook[some].repeat_interleave(times, dim=0)
        return torch.where(hidden.repeat_interleave(times, dim=0) > 0, fill, behind)

    def _first_outlook(self) -> Float[Tensor, "b c h w"]:
        """Return what the filler puts into the black squares of a chessboard, and into the white ones."""
        black = chessboard(*self.score.size).to(self.score.image.device)
        one, fills = self.score.with_sampling(samples=1), []
        for square in (black, ~black):
            hole = square.to(self.score.image).expand(len(self.score), 1, -1, -1)
            fills.append(one.fills(hole, self.rows, self._chance))
            self.asked += 1
        return torch.where(black, fills[0], fills[1])


def chessboard(height: int, width: int, blocks: int = BLOCKS) -> Bool[Tensor, "h w"]:
    """Return where the black squares of a board of ``blocks`` by ``blocks`` are; the first is black."""
    rows, columns = (
        (torch.arange(side) * blocks).div(side, rounding_mode="floor") for side in (height, width)
    )
    return (rows[:, None] + columns) % 2 == 0
