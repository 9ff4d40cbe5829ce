"""What the buttons of the page do that take a while: to be watched and stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from studio.web import result_views, views
from studio.web.choice import Choice, aimed, choice
from studio.web.desk import STOPPED, Desk, Studio
from studio.web.mishap import told
from studio.web.page import QUICK, Parts, Runner
from studio.web.spelled import Task
from studio.web.turns import Work

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
NOT_BEGUN = "Stopped before its turn came. Your settings are as they were."
_COUNT = (
    "() => {{ const runs = Number(sessionStorage.getItem('infill-running') || 0); "
    "sessionStorage.setItem('infill-running', Math.max(0, runs {} 1)); "
    "const heard = document.getElementById('heard'); if (heard) heard.textContent = '{}'; }}"
)
"""How many runs the page waits for; one that is refused counts as the others do until that is told. Whoever
listens hears when one begins and when it ends, and nothing of what changes four times a second meanwhile."""


class Running:
    """Ties the buttons to the work that they begin and stop."""

    def __init__(self, studio: Studio, parts: Parts) -> None:
        self.studio, aim = studio, [parts.target, parts.other]
        self._tie(parts.explain, self.explain, [*parts.way.parts, *aim])
        self._tie(parts.find, self.find, [*parts.search.parts, *aim])
        first, second = parts.ways
        self._tie(parts.compare, self.compare, [*first.parts, *second.parts, *aim])
        parts.explain.run.click(lambda: "", None, parts.spot, queue=False, **QUIET)
        parts.explain.result.select(self.spot, None, parts.spot, **QUIET)

    def _tie(self, runner: Runner, do: Callable[..., Any], inputs: list[Any]) -> None:
        outputs = [runner.said, runner.result, runner.rest, runner.run, runner.stop]
        runner.run.click(None, None, None, js=_COUNT.format("+", "The run has begun."), **QUIET)
        # They wait in `Turns`, which tells how many come before.
        going = runner.run.click(do, inputs, outputs, **QUIET, concurrency_limit=None)
        going.then(None, None, None, js=_COUNT.format("-", "The run has ended."), **QUIET)
        runner.stop.click(self.stop, None, runner.stop, queue=False, **QUIET)

    def stop(self, request: gr.Request) -> Any:
        """Stop what is going on; who watches it tells when it has ended."""
        self.studio.turns.stop(str(request.session_hash))
        return gr.Button("Stopping …", interactive=False)

    def explain(self, request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        """Explain the picture."""
        yield from self._one(request, values, "explain")

    def find(self, request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        """Look for the smallest removal."""
        yield from self._one(request, values, "counterfactual")

    def _one(self, request: gr.Request, values: Sequence[Any], task: Task) -> Iterator[list[Any]]:
        way, target = values[:4], aimed(*values[4:])
        yield from self._watched(
            request,
            lambda desk: desk.explain(_choice(desk, way, target), task),
            lambda desk, found: desk.shown(found, task),
        )

    def compare(self, request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        """Explain the picture in two ways."""
        ways, target = (values[:4], values[4:8]), aimed(*values[8:])
        yield from self._watched(
            request,
            lambda desk: desk.compare(*(_choice(desk, way, target) for way in ways)),
            lambda desk, both: desk.compared(*both),
        )

    def _watched(
        self,
        request: gr.Request,
        begin: Callable[[Desk], Work],
        show: Callable[[Desk, Any], tuple[str, str]],
    ) -> Iterator[list[Any]]:
        """Yield the course of a piece of work, and what comes of it; whoever leaves stops it.

        What is of a picture or a classifier that is no longer looked at is not shown.
        """
        try:
            desk = self.studio.desk(str(request.session_hash))
            with desk.lock:
                picture, classifier, work = desk.chosen, desk.classifier, begin(desk)
        except Exception as error:  # whatever it is, the page must say so
            yield [told(error), *[gr.skip()] * 4]
            return

        def left() -> bool:
            return desk.chosen is not picture or desk.classifier != classifier

        going = [gr.Button(interactive=False), gr.Button("Stop", interactive=True)]
        try:
            for _ in work.watch():
                if left():
                    break
                ahead = self.studio.turns.ahead(work)
                shown = result_views.live(work) if work.begun else result_views.waiting(ahead)
                yield ["", shown, "", *going]
                going = [gr.skip(), gr.skip()]
        finally:
            work.stop()
        with desk.lock:
            found = ["", "", ""] if left() else _ended(work, partial(show, desk))
        yield [*found, gr.Button(interactive=True), gr.Button("Stop", interactive=False)]

    def spot(self, event: gr.EventData, request: gr.Request) -> Any:
        """Show the samples behind a spot of the map; those of a map that has gone are not shown."""
        try:
            piece = self.studio.desk(str(request.session_hash)).spot(float(event.x), float(event.y))
            return piece or gr.skip()
        except ValueError as error:
            return views.notice(str(error), "note")
        except Exception as error:
            return told(error)


def _ended(work: Work, show: Callable[[Any], tuple[str, str]]) -> list[Any]:
    """Return what is to be said at the end, and what came of it."""
    if work.stopped and not work.begun:
        return [views.notice(NOT_BEGUN, "note"), "", gr.skip()]
    if work.stopped:
        return [views.notice(STOPPED, "note"), result_views.live(work), gr.skip()]
    if work.error is not None:
        return [told(work.error), "", ""]
    try:
        return ["", *show(work.result)]
    except Exception as error:
        return [told(error), "", ""]


def _choice(desk: Desk, way: Sequence[Any], target: str) -> Choice:
    method, filler, detail, settings = way
    return choice(desk.classifier, method, filler, target, detail == QUICK, settings or "")
