"""A hole that is drawn on the page: what ``infill remove`` does with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from studio.explain.completions import Completion
from studio.explain.drawn import Drawn
from studio.explain.remove import Removed, files_of, removed, removing
from studio.explain.worker import Files
from studio.progress import Progress
from studio.registry.own import Own
from studio.registry.tables import ALL_FILLERS
from studio.web.choice import Choice, request
from studio.web.networks import Networks
from studio.web.pictures import Chosen
from studio.web.removal import Seen, seen
from studio.web.views import Card

HOLE = "hole.png"
"""What the hole is called in the archive, and by the command."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture with a hole in it, and what the fillers have made of that so far."""

    chosen: Chosen
    removed: Removed

    @property
    def files(self) -> Files:
        """Return what writes each of the command's files."""
        return files_of(self.removed)

    @property
    def cards(self) -> list[Card]:
        """Return what the page shows: the untouched view, then the completions."""
        found = self.removed
        whole = Card(
            "original",
            "nothing removed",
            found.view,
            self._seen(found.explanation.probabilities),
            score=self._score(found.explanation.clean),
        )
        return [whole, *map(self._card, found.completions)]

    def _card(self, done: Completion) -> Card:
        summary = ALL_FILLERS[done.filler].summary
        if done.probabilities is None:
            return Card(done.filler, summary, done.image, None, done.error)
        looked = self._seen(done.probabilities)
        return Card(done.filler, summary, done.image, looked, done.error, self._score(done.score))

    def _seen(self, probabilities: Float[Tensor, " k"]) -> Seen:
        asked = self.removed.explanation
        return seen(probabilities, asked.target, asked.classifier.labels, asked.against)

    def _score(self, score: float) -> str:
        """Return what the bars do not say: how much more likely a class is than the other one."""
        quantity = self.removed.explanation.quantity
        return "" if quantity.bounded else f"{self.removed.explanation.about}: {quantity.written(score)}"


def drawings(
    chosen: Chosen, hole: Float[Tensor, "c c"], fillers: Sequence[str], choice: Choice, networks: Networks
) -> Iterator[Drawing]:
    """Yield the picture with its hole, then what is known after each filler.

    Args:
        chosen: The picture.
        hole: 1 where it is removed, in the classifier's view.
        fillers: Names.
        choice: Says who looks, and for which class.
        networks: Has the classifier.

    Raises:
        ValueError: As the command.
    """
    given = Drawn(hole, (), None, {"file": HOLE})
    asked = request(chosen, choice, networks, methods=(), fillers=tuple(fillers))
    own = Own(classifier=networks.classifier(choice.classifier))  # loaded once, for all
    job = removing(asked, given, lambda _: None, own)
    session = job.opened(Progress(quiet=True))
    session.prepared = networks.prepared(choice.classifier)
    for found in removed(job, session, chosen.image):
        networks.keep(choice.classifier, session.prepared)
        yield Drawing(chosen, found)
