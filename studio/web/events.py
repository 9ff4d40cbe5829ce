"""What the parts of the page do: they ask the person's desk, and show what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from studio.web import views
from studio.web.choice import aimed
from studio.web.desk import Desk, Studio
from studio.web.page import ALONE, FIRST_CHOICE, RUNNER_UP, Parts
from studio.web.pictures import chosen, offered
from studio.web.running import QUIET, Running

_LATEST = {**QUIET, "trigger_mode": "always_last"}
"""Of two changes of a part's value the second one counts."""
_EACH = {**QUIET, "trigger_mode": "multiple"}
"""Of what comes with an event itself "always_last" would send the first again; the last one is to count."""
_KEEP = "(...values) => { sessionStorage.setItem('infill-studio', JSON.stringify(values)); }"
STORED = ("infill-studio", "infill-running", "infill-hole")
"""What the browser keeps, until the tab is closed: settings, the run that is going on, the hole."""
_RECALL = f"() => {list(STORED)}.map(each => sessionStorage.getItem(each) || '')"
INTERRUPTED = (
    "The page was reloaded while a run was going on, so that run was stopped. Your settings are as they "
    "were; press the button again to start over."
)


class Events:
    """Ties the parts of one page to the desks of those who look at it."""

    def __init__(self, studio: Studio, parts: Parts, stored: Sequence[Any], page: Any) -> None:
        self.studio, self.parts = studio, parts
        # What another picture or classifier changes: what is said of it, and all that was found before.
        self._told = [parts.said, parts.picker, parts.seen, parts.canvas, parts.target, parts.other]
        runners = parts.explain, parts.find, parts.compare
        self._found = [parts.spot, *(each for runner in runners for each in (runner.result, runner.rest))]
        page.load(self.begin, list(stored), [*self._told, parts.completed, *parts.kept], js=_RECALL, **QUIET)
        gr.on([each.change for each in parts.kept], None, parts.kept, None, js=_KEEP, **QUIET)
        page.unload(self.leave)
        self._pictures()
        self._drawing()
        Running(studio, parts)

    def _pictures(self) -> None:
        parts, changed = self.parts, [*self._told, self.parts.completed, *self._found]
        parts.picker.select(self.pick, None, changed, **_EACH)
        parts.drop.upload(self.upload, parts.drop, [parts.drop, *changed], **QUIET)
        parts.classifier.input(self.choose, parts.classifier, changed, **_LATEST)
        for each in (parts.target, parts.other):
            each.input(self.aim, [parts.target, parts.other], [parts.said, parts.seen], **_LATEST)

    def _drawing(self) -> None:
        parts = self.parts
        asked = [parts.wanted, parts.target, parts.other]
        parts.canvas.input(self.draw, asked, parts.completed, **_EACH, concurrency_limit=None)
        for each in asked:
            each.input(self.again, asked, parts.completed, **_LATEST)

    def desk(self, request: gr.Request) -> Desk:
        """Return the desk of the one who asks."""
        return self.studio.desk(str(request.session_hash))

    def begin(self, kept: str, running: str, drawn: str, request: gr.Request) -> list[Any]:
        """Fill the page when it is opened; after a reload, with the settings and the hole as they were."""
        desk, values = self.desk(request), self._recalled(kept)
        said = views.notice(INTERRUPTED, "note") if running else ""
        if values and values[0] in self.studio.networks.names():
            desk.choose(values[0])
        if key := _picture(drawn):
            desk.pick(key)
        settings = values or [gr.skip() for _ in self.parts.kept]
        return [*self._look(desk, said), next(desk.draw(None, [])), *settings]

    def leave(self, request: gr.Request) -> None:
        """Forget a person who has closed the page, and stop what is going on for them."""
        self.studio.leave(str(request.session_hash))

    def pick(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Take one of the pictures that stand ready."""
        return self._changed(self.desk(request), lambda desk: desk.pick(str(event.key)))

    def upload(self, path: str | None, request: gr.Request) -> list[Any]:
        """Take a picture of one's own."""
        if path is None:
            return [gr.skip()] * (2 + len(self._told) + len(self._found))
        place = Path(path)
        return [None, *self._changed(self.desk(request), lambda desk: desk.upload(place, place.name))]

    def choose(self, classifier: str, request: gr.Request) -> list[Any]:
        """Have another classifier look."""
        return self._changed(self.desk(request), lambda desk: desk.choose(classifier))

    def aim(self, target: str, other: str, request: gr.Request) -> list[Any]:
        """Explain another class, or one rather than another."""
        try:
            piece, _, _ = self.desk(request).look(aimed(target, other))
        except ValueError as error:
            return [views.notice(str(error)), gr.skip()]
        return ["", piece]

    def draw(
        self, wanted: list[str], target: str, other: str, event: gr.EventData, request: gr.Request
    ) -> Iterator[str]:
        """Fill what was drawn."""
        yield from self._drawn(self.desk(request), str(event.hole), wanted, aimed(target, other))

    def again(self, wanted: list[str], target: str, other: str, request: gr.Request) -> Iterator[str]:
        """Fill the same hole by other fillers, or look for other classes."""
        yield from self._drawn(self.desk(request), None, wanted, aimed(target, other))

    def _drawn(self, desk: Desk, hole: str | None, wanted: list[str], target: str) -> Iterator[str]:
        try:
            yield from desk.draw(hole, wanted, target)
        except ValueError as error:
            yield views.notice(str(error))

    def _changed(self, desk: Desk, change: Callable[[Desk], object]) -> list[Any]:
        """Return all that follows another picture or classifier; a notice alone where it cannot be had."""
        try:
            change(desk)
            told = self._look(desk, "")
        except ValueError as error:
            rest = len(self._told) + len(self._found)
            return [views.notice(str(error)), *[gr.skip()] * rest]
        return [*told, next(desk.draw(None, [])), *[""] * len(self._found)]

    def _look(self, desk: Desk, said: str) -> list[Any]:
        piece, canvas, classes = desk.look()
        targets = gr.Dropdown(choices=[(FIRST_CHOICE, "top1"), *classes], value="top1")
        others = gr.Dropdown(choices=[(ALONE, ""), (RUNNER_UP, "next"), *classes], value="")
        return [said, views.picker(offered(), desk.chosen.key), piece, json.dumps(canvas), targets, others]

    def _recalled(self, kept: str) -> list[Any]:
        """Return the values of the parts as the browser has kept them; none if they do not fit."""
        try:
            values = json.loads(kept) if kept else []
        except ValueError:
            return []
        return values if isinstance(values, list) and len(values) == len(self.parts.kept) else []


def _picture(drawn: str) -> str:
    """Return the key of the picture that a kept hole was drawn on, if it can be had again: not an upload."""
    try:
        key = str(dict(json.loads(drawn)).get("key")) if drawn else ""
        return chosen(key).key if key else ""
    except (ValueError, TypeError):  # of the browser's text, or of the key
        return ""
