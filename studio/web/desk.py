"""Where one person works: the picture that is looked at, what was found, and the work that is going on."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from attribution import MaskedScore
from attribution.explainer import SamplingExplainer
from models.classifiers import ImageClassifier
from studio.web import archive, result_views, views
from studio.web.archive import Result
from studio.web.bits import unpacked
from studio.web.choice import Choice
from studio.web.difference import difference
from studio.web.drawing import HOLE, Drawing, drawings
from studio.web.explained import Explained, counterfactual, explained, looked_at
from studio.web.networks import Networks, fillers
from studio.web.pictures import Chosen, chosen, offered, uploaded
from studio.web.removal import looks
from studio.web.shown import uri
from studio.web.spelled import Task, command, command_of_hole, python, python_of_hole
from studio.web.spot import spot
from studio.web.turns import Turns, Work
from studio.web.views import Card, Copies, rendered

FILLING = 2
"""Of how many people the holes are filled at once; the others' wait for moments."""
EMPTY = "Nothing is removed yet: draw on the picture. Whatever you paint is taken away and filled."
NO_FILLER = "Tick a filler to see the hole filled."
LOST = (
    "The server no longer knows this page: it was restarted, or the connection was cut. Reload the page: "
    "your settings, the picture and the hole come back."
)
STOPPED = "Stopped. Your settings are as they were; what had been found by then is below."


@dataclass(eq=False)
class Studio:
    """What all people share.

    Attributes:
        networks: The classifiers.
        turns: Whose run comes when.
        desks: By session.
        filling: Held while a hole is filled that somebody has drawn: of a few people at once. It is not one
            of the `turns`, for it takes moments and is to be seen while one draws.
    """

    networks: Networks
    turns: Turns = field(default_factory=Turns)
    desks: dict[str, Desk] = field(default_factory=dict)
    filling: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(FILLING), repr=False)

    def enter(self, session: str) -> Desk:
        """Return where a person works who has opened the page."""
        return self.desks.setdefault(session, Desk(session, self))

    def desk(self, session: str) -> Desk:
        """Return where this person works.

        Raises:
            ValueError: If nobody has entered, or whoever did has left: another desk has another picture.
        """
        if session not in self.desks:
            raise ValueError(LOST)
        return self.desks[session]

    def leave(self, session: str) -> None:
        """Stop what a person has going on, and forget what was found."""
        self.turns.stop(session)
        desk = self.desks.pop(session, None)
        if desk is not None:
            desk.leave()

    def archive(self, key: str) -> tuple[str, bytes]:
        """Return the name and the content of an archive that a page offers.

        Raises:
            KeyError: If there is none of this key.
        """
        for desk in list(self.desks.values()):
            if key in desk.results:
                return desk.archive(key)
        raise KeyError(key)


@dataclass(eq=False)
class Desk:
    """Where one person works.

    Attributes:
        chosen: The picture; a scene at first.
        classifier: Its name.
        hole: What is drawn, in the classifier's view.
        results: What the page shows, by the keys of its archives: what it is called, the result, and how to
            get it.
        keys: By place on the page, the key of what is shown there.
        latest: By place on the page, the result that is shown there.
        asked: How often a hole was to be filled: a later one ends those before it.
        lock: Held by whoever changes what is looked at until all that follows is told: of two changes at
            once one comes after the other, for the page, too.
        filling: Held while a hole is filled.
    """

    session: str
    studio: Studio
    chosen: Chosen = field(default_factory=lambda: chosen(offered()[0]))
    classifier: str = ""
    hole: Float[Tensor, "c c"] | None = None
    results: dict[str, tuple[str, Result, str]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    latest: dict[str, Explained] = field(default_factory=dict)
    asked: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    filling: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.classifier = self.classifier or self.studio.networks.names()[0]

    def pick(self, key: str) -> bool:
        """Take another picture of those that are offered, or any scene; return whether it is another.

        Raises:
            ValueError: If there is none.
        """
        return key != self.chosen.key and self._take(chosen(key))

    def upload(self, path: Path, name: str) -> bool:
        """Take a picture of one's own, whose file is removed; return whether it is another.

        Raises:
            ValueError: If it is too large, or no picture.
        """
        return self._take(uploaded(path, name))

    def _take(self, picture: Chosen) -> bool:
        with self.lock:
            if picture.key == self.chosen.key:
                return False
            self._begin_anew()
            self.chosen = picture
            return True

    def leave(self) -> None:
        """Fill no more."""
        with self.lock:
            self.asked += 1

    def _begin_anew(self) -> None:
        """Stop and forget all that is of the picture and the classifier so far."""
        self.studio.turns.stop(self.session)
        self.asked += 1
        self.hole = None
        for kept in (self.latest, self.results, self.keys):
            kept.clear()

    @contextmanager
    def as_it_was(self) -> Iterator[None]:
        """Hold the lock; where what is done within fails, what was looked at and found before is back."""
        with self.lock:
            before = self.chosen, self.classifier, self.hole
            found = [(kept, dict(kept)) for kept in (self.latest, self.results, self.keys)]
            try:
                yield
            except BaseException:
                self.chosen, self.classifier, self.hole = before
                for kept, content in found:
                    kept.clear()
                    kept.update(content)  # type: ignore[arg-type]  # the content is its own
                raise

    def network(self) -> ImageClassifier:
        """Return the classifier that looks."""
        return self.studio.networks.classifier(self.classifier)

    def choose(self, classifier: str) -> bool:
        """Have another classifier look; return whether it is another.

        Raises:
            ValueError: If it is not offered or cannot be loaded.
        """
        self.studio.networks.classifier(classifier)
        with self.lock:
            if classifier == self.classifier:
                return False
            self._begin_anew()
            self.classifier = classifier
            return True

    def score(self, target: str = "top1") -> MaskedScore:
        """Return the score of the picture as it is.

        Raises:
            ValueError: If the classifier has no such class.
        """
        choice = Choice(self.classifier, "sp", "gray", target)
        return looked_at(self.chosen, choice, self.studio.networks)

    def look(self, target: str = "top1") -> tuple[str, dict[str, Any], list[tuple[str, str]]]:
        """Return what the classifier sees: a piece of the page, what the canvas needs, its classes in order.

        Classes are the most probable first: a name, and what a target says to mean it.

        Raises:
            ValueError: If the classifier has no such class.
        """
        with self.lock:
            return self._looked(target)

    def _looked(self, target: str) -> tuple[str, dict[str, Any], list[tuple[str, str]]]:
        score, classifier, image = self.score(target), self.network(), self.chosen.image
        (seen,) = looks(score, score.image, classifier)
        size = (image.pixels.shape[1], image.pixels.shape[2])
        cropped = classifier.view_box(size) != (0, 0, size[1], size[0])
        piece = views.looked_at(image, self.classifier, seen, cropped, target != "top1")
        order = classifier.probabilities(score.clean_logits)[0].argsort(descending=True, stable=True).tolist()
        canvas = {
            "image": uri(score.image[0], 92),
            "side": classifier.crop,
            "title": image.title,
            "key": self.chosen.key,
            "classifier": self.classifier,
        }
        names = Counter(label.casefold() for label in classifier.labels)
        return piece, canvas, [_class(index, classifier.labels[index], names) for index in order]

    def draw(
        self,
        hole: str | None,
        wanted: Sequence[str],
        target: str = "top1",
        of: tuple[str, str] | None = None,
    ) -> Iterator[str]:
        """Yield the hole as the fillers complete it, one after another; without a hole, the latest one.

        It ends where another one is to be filled meanwhile. A hole ``of`` another picture (its key) and
        classifier than those that are looked at by now is not filled.

        Raises:
            ValueError: If it is no hole, or a filler is none of those offered.
        """
        unknown = [name for name in wanted if name not in fillers()]
        if unknown:
            raise ValueError(f"filler: expected one of {', '.join(fillers())}, got {unknown[0]!r}")
        ordered = [name for name in fillers() if name in wanted]
        with self.lock:
            if of is not None and of != (self.chosen.key, self.classifier):
                return
            self.asked += 1
            mine = self.asked
            if hole is not None:
                self.hole = unpacked(hole, self.network().crop)
            picture, drawn = self.chosen, self.hole
            choice = Choice(self.classifier, "sp", "gray", target)
        if drawn is None or not drawn.any():
            yield self._untouched(target, EMPTY)
            return
        if not ordered:
            yield self._untouched(target, NO_FILLER)
            return
        for each in self._filled(mine, drawings(picture, drawn, ordered, choice, self.studio.networks)):
            with self.lock:
                if self.asked != mine:
                    return
                waiting = ordered[len(each.removed.completions) :]
                copies = self._copies_of_hole(each, choice) if not waiting else None
            yield views.completed(each.cards, waiting, each.removed.notes, copies)

    def _filled(self, mine: int, made: Iterator[Drawing]) -> Iterator[Drawing]:
        """Yield what is made until another hole is to be filled: of many strokes only the last one is."""
        while True:
            with self.filling, self.studio.filling:
                each = next(made, None) if self.asked == mine else None
            if each is None:
                return
            yield each

    def _untouched(self, target: str, said: str) -> str:
        """Return the picture as it is, and forget what was made of the last hole."""
        self._forget(HOLE)
        score = self.score(target)
        (seen,) = looks(score, score.image, self.network())
        card = Card("original", "nothing removed", score.image[0].cpu(), seen)
        return views.completed([card], [], [said], None)

    def explain(self, choice: Choice, task: Task = "explain") -> Work:
        """Begin to explain the picture.

        Raises:
            ValueError: If there is a run going on already.
        """
        do: Callable[..., Explained] = explained if task == "explain" else counterfactual
        with self.lock:
            picture, networks = self.chosen, self.studio.networks
            work = self.studio.turns.begin(self.session, lambda work: do(picture, choice, networks, work))
            self.latest.pop(task, None)  # the page shows the new one from now on
            return work

    def compare(self, first: Choice, second: Choice) -> Work:
        """Begin to explain the picture in two ways.

        Raises:
            ValueError: If there is a run going on already.
        """
        picture, networks = self.chosen, self.studio.networks

        def both(work: Work) -> tuple[Explained, Explained]:
            found = explained(picture, first, networks, work, removing=False)
            work.recount()
            return found, explained(picture, second, networks, work, removing=False)

        return self.studio.turns.begin(self.session, both)

    def shown(self, result: Explained, task: Task = "explain") -> tuple[str, str]:
        """Return a result, and what stands below it, as pieces of the page; keep it."""
        self.latest[task] = result
        copies = self._copies(result, task)
        view = result_views.explained if task == "explain" else result_views.counterfactual
        return view(result), result_views.rest(result, copies)

    def compared(self, first: Explained, second: Explained) -> tuple[str, str]:
        """Return two results side by side, and what stands below them."""
        found = difference(first.heatmap, second.heatmap, first.choice.method != second.choice.method)
        copies = [self._copies(each, "explain", name) for name, each in (("A", first), ("B", second))]
        return result_views.difference(first, second, found), rendered("copies", each_commands=copies)

    def spot(self, x: float, y: float) -> str:
        """Return the samples behind a spot of the map that is shown; x and y are shares of the view's sides.

        It is empty where another map, or none, is shown by the time they are found.

        Raises:
            ValueError: If no map is shown, or the spot is outside of it.
        """
        result = self.latest.get("explain")
        if result is None:
            raise ValueError("spot: there is no map yet; press Explain first")
        explanation, side = result.explanation, result.heatmap.shape[0]
        method = explanation.methods[result.choice.method]
        if not isinstance(method, SamplingExplainer):
            raise ValueError(f"spot: {result.choice.method} looks for one hole; it has no samples to show")
        place = int(y * side), int(x * side)
        found = spot(method, result.score, result.scores, result.heatmap, explanation.classifier, place)
        piece = result_views.spot(found, explanation.about, explanation.quantity)
        with self.lock:
            return piece if self.latest.get("explain") is result else ""

    def archive(self, key: str) -> tuple[str, bytes]:
        """Return the name and the content of the archive of this key."""
        name, result, line = self.results[key]
        return f"infill-{name}.zip", archive.packed(result, line)

    def _copies(self, result: Explained, task: Task, title: str = "") -> Copies:
        asked = result.chosen, result.choice, self.studio.networks
        line = command(task, *asked)
        download = self._kept(f"{task} {title}", title or result.chosen.image.folder, result, line)
        copies = [("command", line), ("Python", python(task, *asked))]
        return Copies(copies, download, ", ".join(result.files), _notes(result.chosen), title)

    def _copies_of_hole(self, drawing: Drawing, choice: Choice) -> Copies:
        names = [each.filler for each in drawing.removed.completions]
        asked = HOLE, names, drawing.chosen, choice, self.studio.networks
        line = command_of_hole(*asked)
        download = self._kept(HOLE, drawing.chosen.image.folder, drawing, line)
        copies = [("command", line), ("Python", python_of_hole(*asked))]
        notes = [f"{HOLE} is in the zip; both read it.", *_notes(drawing.chosen)]
        return Copies(copies, download, ", ".join(drawing.files), notes)

    def _kept(self, place: str, name: str, result: Result, line: str) -> str:
        """Keep a result as long as the page shows it in this place; return where its archive is."""
        self._forget(place)
        key = self.keys[place] = secrets.token_urlsafe(16)
        self.results[key] = name, result, line
        return f"download/{key}"

    def _forget(self, place: str) -> None:
        self.results.pop(self.keys.pop(place, ""), None)


def _notes(picture: Chosen) -> list[str]:
    return [f"{picture.name} is in the zip, too."] if picture.key.startswith("example:") else []


def _class(index: int, label: str, names: Counter[str]) -> tuple[str, str]:
    """Return a class's name, and what a target says to mean it: the name, if it is the only one so called."""
    plain = names[label.casefold()] == 1 and not label.isdecimal() and ":" not in label and label != "top1"
    return label, label if plain else str(index)
