"""A score that somebody watches, and the map that grows meanwhile of what a method asks it, hole by hole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attribution import MaskedScore

Watch: TypeAlias = Callable[[Tensor, Tensor], object]
"""Called with holes "n 1 h w" and their scores "n"."""


def _unwatched(hole: Tensor, scores: Tensor) -> None:
    """Take no note."""


@dataclass(frozen=True, eq=False)
class WatchedScore(MaskedScore):
    """A score that tells of all that a method asks it; the method gets what it would get anyway.

    Attributes:
        watch: Gets the holes of a stream with their scores, and those that a search differentiates.
    """

    watch: Watch = field(default=_unwatched, repr=False, kw_only=True)

    def stream(self, chunks: Iterable[Any], total: int) -> Iterator[tuple[Any, Any]]:
        """Yield what the score yields."""
        for hole, scores in super().stream(chunks, total):
            self.watch(hole.detach(), scores.detach())
            yield hole, scores

    def stream_images(self, chunks: Iterable[Any], total: int) -> Iterator[tuple[Any, Any, Any]]:
        """Yield what the score yields."""
        for hole, composites, scores in super().stream_images(chunks, total):
            self.watch(hole.detach(), scores.detach())
            yield hole, composites, scores

    def __call__(self, hole: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the score returns."""
        scores = super().__call__(hole, *args, **kwargs)
        if hole.requires_grad:
            self.watch(hole.detach(), scores.detach())
        return scores


def watched(score: MaskedScore, watch: Watch) -> WatchedScore:
    """Return a score that somebody watches; what has been computed for it is shared."""
    same = {each.name: getattr(score, each.name) for each in fields(MaskedScore)}
    return WatchedScore(**same, watch=watch)


class Growing:
    """What samples have told so far: how much more the score falls where a pixel is removed than where not.

    Attributes:
        scores: Of all samples, in order.
        hole: The latest one "h w".
        score: Its score.
    """

    def __init__(self, clean: float) -> None:
        self.scores: list[float] = []
        self.hole: Float[Tensor, "h w"] | None = None
        self.score = clean
        self._clean = clean
        self._removed: Tensor | None = None

    def __call__(self, hole: Float[Tensor, "n 1 h w"], scores: Float[Tensor, " n"]) -> None:
        """Take note of samples."""
        holes, fall = hole[:, 0].float().cpu(), (self._clean - scores.float()).cpu()
        if holes.shape[1:] != (self.hole if self.hole is not None else holes[0]).shape:
            return  # a larger view, as it is moved about: what is seen of it is not known here
        sums = torch.stack([holes.sum(0), torch.einsum("n,nhw->hw", fall, holes)])
        self._removed = sums if self._removed is None else self._removed + sums
        self.scores += scores.float().tolist()
        self.hole, self.score = holes[0], float(scores[0])

    def map(self) -> Float[Tensor, "h w"] | None:
        """Return the map as it is now; 0 where nothing is known yet."""
        if self._removed is None:
            return None
        mass, fallen = self._removed
        count, fall = len(self.scores), sum(self._clean - each for each in self.scores)
        inside = fallen / mass.clamp_min(1e-6)
        outside = (fall - fallen) / (count - mass).clamp_min(1e-6)
        return torch.where((mass > 1e-6) & (mass < count - 1e-6), inside - outside, inside * (mass > 1e-6))

    def known(self) -> Bool[Tensor, "h w"] | None:
        """Return where something is known."""
        return None if self._removed is None else self._removed[0] > 1e-6
