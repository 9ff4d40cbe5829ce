"""The score as an optimizing method calls it: fills are kept for some steps, and calls are counted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.baseline import chessboard_fill
from attribution.score import MaskedScore
from infill.filler import Fill, Hole

Outlook: TypeAlias = Literal["chessboard", "none"]
"""What stands for the fill of pixels that are still observed."""


Scale: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""``(scores "m", which image each is of "m") -> "m"``."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call within a step.

    Attributes:
        hole: The holes of the active images, of each equally many.
        fill: What was put into them, of each hole equally many; ``None`` if it does not depend on the hole.
        scores: The mean score of each active image, in the units of the images' own score.
    """

    hole: Float[Tensor, "m 1 h w"]
    fill: Float[Tensor, "_ c h w"] | None
    scores: Float[Tensor, " n"]


class CachedScore:
    """The score of the active images as a function of holes alone.

    A filler is run on binary holes. What it proposes outside of them is not to be relied upon, and yet
    the derivative of the score with respect to a hole's *observed* pixels is the effect of putting something
    there. That something is the outlook: what the filler puts into every second square of a chessboard over
    the image, and then into the others. So a method can rate pixels that it has not removed yet by what
    would take their place, and a binary hole's composite still holds nothing but observed pixels and the
    hole's own fill. Without an outlook it is what the filler proposes there, as in published code; many
    fillers return the image, and such pixels have no slope at all.

    Args:
        score: The score of a group of images.
        refresh: After how many steps the fills of a hole are made anew. In between, what is newly removed
            shows the outlook.
        inverse_link: Maps scores to the units of the images' own score.
        outlook: ``"chessboard"`` or ``"none"``; of no consequence for fills that do not depend on the hole.
        scale: What calls return instead of the scores; by default these themselves.

    Attributes:
        rows: Which images are active.
        due: Which of the active images get new fills in this step.
        calls: The calls of this step, in order.
        composites: How many composites of each image the classifier was given.
        fills: How many fills of each image the filler was run for.
        outlooks: How many of these were for its outlook.
    """

    def __init__(
        self,
        score: MaskedScore,
        refresh: int = 1,
        inverse_link: Callable[[Tensor], Tensor] = torch.clone,
        outlook: Outlook = "chessboard",
        scale: Scale | None = None,
    ) -> None:
        self.score = score
        self.rows = torch.arange(len(score), device=score.image.device)
        self.due = torch.ones_like(self.rows, dtype=torch.bool)
        self.calls: list[Call] = []
        self.composites, self.fills = torch.zeros(len(score)).long(), torch.zeros(len(score)).long()
        self.outlooks = torch.zeros(len(score)).long()
        self._per_hole = score.filler.per_hole
        self._threshold = float(getattr(score.filler, "threshold", 0.5))
        self._refresh, self._inverse_link, self._scale = refresh, inverse_link, scale
        self._age = torch.full_like(self.rows, refresh)
        # One generator an image: what an image gets does not depend on those beside it.
        self._generators = [score.sampling.generator() for _ in range(len(score))]
        self._kept: dict[int, Tensor] = {}
        looks_out = self._per_hole and outlook == "chessboard"
        self._outlook = self._make_outlook() if looks_out else None

    @property
    def clean(self) -> Float[Tensor, " n"]:
        """The scores of the untouched active images."""
        return self.score.clean[self.rows]

    def begin(self, rows: Int[Tensor, " n"]) -> None:
        """Begin a step in which these images are active."""
        self.rows, self.calls = rows, []
        # What does not depend on the hole is never old.
        self.due = (self._age[rows] >= self._refresh) | (not self._per_hole)
        self._age[rows] = torch.where(self.due, 1, self._age[rows] + 1)

    def expire(self, rows: Int[Tensor, " k"]) -> None:
        """Have the fills of these images made anew in the next step."""
        self._age[rows] = self._refresh

    def __call__(
        self,
        hole: Hole,
        shift: Int[Tensor, "n 2"] | None = None,
        removed: Hole | None = None,
        mirrored: bool = False,
    ) -> Float[Tensor, " n"]:
        """Return the scores of holes, of each active image equally many, one image's after another's.

        Args:
            hole: 1 where pixels are removed; may be soft.
            shift: As for `attribution.score.MaskedScore`.
            removed: The holes that the filler is run on, if not these.
            mirrored: Whether the classifier is shown mirror images.
        """
        holes_per_image = len(hole) // len(self.rows)
        rows = self.rows.repeat_interleave(holes_per_image)
        removed = hole.detach() if removed is None else removed
        fill = self._fill(removed, rows, holes_per_image) if self._per_hole else None
        scores = self.score(hole, rows, fill=fill, shift=shift, mirrored=mirrored)
        self.composites[self.rows.cpu()] += holes_per_image * self.score.fills_per_hole
        means = self._inverse_link(scores.detach()).view(-1, holes_per_image).mean(dim=1)
        self.calls.append(Call(hole.detach(), fill, means))
        return scores if self._scale is None else self._scale(scores, rows)

    def _fill(self, hole: Tensor, rows: Tensor, holes_per_image: int) -> Fill:
        """Return the fills of all holes of this call, new ones for images that are due."""
        call, fills_per_image = len(self.calls), holes_per_image * self.score.fills_per_hole
        new = self._new_fill(hole, rows, holes_per_image)
        if self._refresh == 1:
            return cast(Tensor, new)
        if call not in self._kept:
            shape = (len(self.score), fills_per_image, *self.score.image.shape[1:])
            self._kept[call] = self.score.image.new_zeros(shape)
        if new is not None:
            self._kept[call][self.rows[self.due]] = new.view(-1, fills_per_image, *new.shape[1:])
        return self._kept[call][self.rows].flatten(0, 1)

    def _new_fill(self, hole: Tensor, rows: Tensor, holes_per_image: int) -> Fill | None:
        if not self.due.any():
            return None
        which = self.due.repeat_interleave(holes_per_image)
        some = rows[which]
        binary = (hole[which] >= self._threshold).to(hole.dtype)
        fill = self.score.fills(binary, some, [self._generators[row] for row in some.tolist()])
        times = self.score.fills_per_hole
        self.fills[self.rows[self.due].cpu()] += holes_per_image * times
        if self._outlook is None:
            return fill
        outlook = self._outlook[some].repeat_interleave(times, dim=0)
        return torch.where(binary.repeat_interleave(times, dim=0) > 0, fill, outlook)

    def _make_outlook(self) -> Float[Tensor, "b c h w"]:
        """Return what the filler puts into the black squares of a chessboard, and into the white ones."""
        self.fills += 2
        self.outlooks += 2
        return chessboard_fill(self.score.with_sampling(samples=1), self._generators)
