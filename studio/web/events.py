"""What the parts of the page do: they ask the person's desk, and show what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from studio.web import views
from studio.web.choice import aimed
from studio.web.desk import Desk, Studio
from studio.web.mishap import told
from studio.web.page import ALONE, FIRST_CHOICE, RUNNER_UP, Parts
from studio.web.pictures import offered
from studio.web.running import QUIET, Running

_LATEST = {**QUIET, "trigger_mode": "always_last"}
"""Of two changes of a part's value the second one counts."""
_EACH = {**QUIET, "trigger_mode": "multiple"}
"""Of what comes with an event itself "always_last" would send the first again; the last one is to count."""
_CALLED = "file => [file, file?.orig_name ?? '']"
"""The server's own name of an upload lacks letters that a file's name may have."""
_KEEP = "(...values) => {{ sessionStorage.setItem('{}', JSON.stringify(values)); }}"
SETTINGS, RUNS, PICTURE, TARGET = STORED = (
    "infill-studio", "infill-running", "infill-picture", "infill-target",
)  # fmt: skip
"""What the browser keeps, until the tab is closed, beside the hole: settings, how many runs are going on, the
picture's key, and the target with what it is compared with."""
_RECALL = (
    f"() => {{ const kept = {list(STORED)}.map(each => sessionStorage.getItem(each) || ''); "
    f"sessionStorage.removeItem('{RUNS}'); return kept; }}"
)
INTERRUPTED = (
    "The page was reloaded while a run was going on, so that run was stopped. Your settings are as they "
    "were; press the button again to start over."
)
UPLOADED = "Your own photograph is not kept when the page is reloaded: drop it again."


class Events:
    """Ties the parts of one page to the desks of those who look at it."""

    def __init__(self, studio: Studio, parts: Parts, stored: Sequence[Any], page: Any) -> None:
        self.studio, self.parts = studio, parts
        # What another picture or classifier changes: what is told of it, and all that was found before.
        self._told = [
            parts.picker, parts.seen, parts.canvas, parts.target, parts.other, parts.completed,
        ]  # fmt: skip
        runners = parts.explain, parts.find, parts.compare
        self._found = [parts.spot, *(each for runner in runners for each in (runner.result, runner.rest))]
        page.load(self.begin, list(stored), [parts.said, *self._told, *parts.kept], js=_RECALL, **QUIET)
        for name, kept in ((SETTINGS, parts.kept), (TARGET, [parts.target, parts.other])):
            gr.on([each.change for each in kept], None, kept, None, js=_KEEP.format(name), **QUIET)
        page.unload(self.leave)
        self._pictures()
        self._drawing()
        Running(studio, parts)

    def _pictures(self) -> None:
        parts, changed = self.parts, [self.parts.said, *self._told, *self._found]
        parts.picker.select(self.pick, None, changed, **_EACH)
        told = [parts.drop, parts.called]
        parts.drop.upload(self.upload, told, [parts.drop, *changed], js=_CALLED, **QUIET)
        parts.classifier.input(self.choose, parts.classifier, [parts.classifier, *changed], **_LATEST)
        for each in (parts.target, parts.other):
            each.input(self.aim, [parts.target, parts.other], [parts.said, parts.seen], **_LATEST)

    def _drawing(self) -> None:
        parts = self.parts
        asked = [parts.wanted, parts.target, parts.other]
        parts.canvas.input(self.draw, asked, parts.completed, **_EACH, concurrency_limit=None)
        for each in asked:
            each.input(self.again, asked, parts.completed, **_LATEST)

    def desk(self, request: gr.Request) -> Desk:
        """Return the desk of the one who asks.

        Raises:
            ValueError: If there is none.
        """
        return self.studio.desk(str(request.session_hash))

    def begin(self, kept: str, runs: str, picture: str, target: str, request: gr.Request) -> list[Any]:
        """Fill the page when it is opened; after a reload, with all that can be had again as it was."""
        desk, values = self.studio.enter(str(request.session_hash)), self._recalled(kept)
        said = [INTERRUPTED] if runs not in ("", "0") else []
        try:
            with desk.as_it_was():
                said += _resumed(desk, values[0], picture)
                seen = self._look(desk, *_aimed_at(target))
            notice = views.notice(" ".join(said), "note") if said else ""
        except Exception as error:  # whatever it is, the page must not stay empty
            notice, seen = told(error), self._first_look(desk)
        return [notice, *seen, desk.classifier, *values[1:]]

    def _first_look(self, desk: Desk) -> list[Any]:
        """Return what is seen with nothing recalled; nothing where that cannot be had either."""
        try:
            return self._look(desk)
        except Exception:
            return [gr.skip()] * len(self._told)

    def leave(self, request: gr.Request) -> None:
        """Forget a person who has closed the page, and stop what is going on for them."""
        self.studio.leave(str(request.session_hash))

    def pick(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """Take one of the pictures that stand ready."""
        return self._changed(request, lambda desk: desk.pick(str(event.key)))

    def upload(self, path: str | None, called: str | None, request: gr.Request) -> list[Any]:
        """Take a picture of one's own, which is ``called`` so where it comes from."""
        if path is None:
            return [gr.skip()] * (2 + len(self._told) + len(self._found))
        place = Path(path)
        return [None, *self._changed(request, lambda desk: desk.upload(place, called or place.name))]

    def choose(self, classifier: str, request: gr.Request) -> list[Any]:
        """Have another classifier look; the former one goes on where that cannot be had."""
        told = self._changed(request, lambda desk: desk.choose(classifier))
        desk = self.studio.desks.get(str(request.session_hash))
        return [desk.classifier if desk else gr.skip(), *told]

    def aim(self, target: str, other: str, request: gr.Request) -> list[Any]:
        """Explain another class, or one rather than another."""
        try:
            piece, _, _ = self.desk(request).look(aimed(target, other))
        except Exception as error:
            return [told(error), gr.skip()]
        return ["", piece]

    def draw(
        self, wanted: list[str], target: str, other: str, event: gr.EventData, request: gr.Request
    ) -> Iterator[str]:
        """Fill what was drawn."""
        of = str(event.key), str(event.classifier)
        yield from self._drawn(request, str(event.hole), wanted, aimed(target, other), of)

    def again(self, wanted: list[str], target: str, other: str, request: gr.Request) -> Iterator[str]:
        """Fill the same hole by other fillers, or look for other classes."""
        yield from self._drawn(request, None, wanted, aimed(target, other))

    def _drawn(
        self,
        request: gr.Request,
        hole: str | None,
        wanted: list[str],
        target: str,
        of: tuple[str, str] | None = None,
    ) -> Iterator[str]:
        try:
            yield from self.desk(request).draw(hole, wanted, target, of)
        except Exception as error:
            yield told(error)

    def _changed(self, request: gr.Request, change: Callable[[Desk], bool]) -> list[Any]:
        """Return all that follows another picture or classifier; a notice alone where it cannot be had."""
        rest = [gr.skip()] * (len(self._told) + len(self._found))
        try:
            desk = self.desk(request)
            with desk.as_it_was():
                if not change(desk):
                    return ["", *rest]
                return ["", *self._look(desk), *[""] * len(self._found)]
        except Exception as error:
            return [told(error), *rest]

    def _look(self, desk: Desk, target: str = "top1", other: str = "") -> list[Any]:
        """Return what is seen, and the picture as it is among the completions."""
        try:
            piece, canvas, classes = desk.look(aimed(target, other))
            untouched = next(desk.draw(None, [], aimed(target, other)))
        except ValueError:  # it was kept of another classifier
            if (target, other) == ("top1", ""):
                raise
            return self._look(desk)
        targets = gr.Dropdown(choices=[(FIRST_CHOICE, "top1"), *classes], value=target)
        others = gr.Dropdown(choices=[(ALONE, ""), (RUNNER_UP, "next"), *classes], value=other)
        picked = views.picker(offered(), desk.chosen.key)
        return [picked, piece, json.dumps(canvas), targets, others, untouched]

    def _recalled(self, kept: str) -> list[Any]:
        """Return what the browser has kept: the classifier, and other parts' values as far as they fit."""
        try:
            values = json.loads(kept) if kept else []
        except ValueError:
            values = []
        if not isinstance(values, list) or len(values) != len(self.parts.kept):
            values = [None] * len(self.parts.kept)
        pairs = zip(self.parts.kept[1:], values[1:], strict=True)
        return [values[0], *(_offered(part, value) for part, value in pairs)]


def _offered(part: Any, value: Any) -> Any:
    """Return a part's value as far as the part has it to offer; it keeps its own where that is nothing."""
    choices = getattr(part, "choices", None)
    if choices is None:
        return value if isinstance(value, str) else gr.skip()
    known = [each for _, each in choices]
    if isinstance(value, list):
        return [each for each in value if each in known]
    return value if value in known else gr.skip()


def _resumed(desk: Desk, classifier: Any, picture: str) -> list[str]:
    """Have the classifier and the picture of before a reload again; return what is to be said of them."""
    said = []
    if isinstance(classifier, str):
        try:
            desk.choose(classifier)
        except ValueError as error:
            said.append(str(error))
    if picture.startswith("upload:"):
        said.append(UPLOADED)
    elif picture:
        with suppress(ValueError):  # of a key that the browser says
            desk.pick(picture)
    return said


def _aimed_at(kept: str) -> tuple[str, str]:
    """Return the target, and what it is compared with, as the browser has kept them."""
    try:
        target, other = json.loads(kept) if kept else ("top1", "")
    except (ValueError, TypeError):
        return "top1", ""
    return str(target or "top1"), str(other or "")
