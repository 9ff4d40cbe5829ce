"""What ``infill counterfactual`` does: the smallest removal that takes the class away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor

from attribution.explainer import Explainer
from attribution.optimize.loop import OptimizingExplainer
from studio.drawing.captions import percent, settings_line
from studio.drawing.pixels import channels_last
from studio.explain.counterfactual_figure import Change, draw
from studio.explain.default_classifier import with_classifier
from studio.explain.page import course, filler_brief
from studio.explain.paper import as_published
from studio.explain.report import compared, named, numbers, report
from studio.explain.request import FILLER, METHOD, PAPERS, ExplainRequest
from studio.explain.result import Explanation, MethodResult, SearchResult
from studio.explain.worker import Files, Job
from studio.output import save_image, save_json
from studio.registry.build import build_method
from studio.registry.entry import Entry
from studio.registry.own import NO_OWN, Own
from studio.registry.parse import parse_selection
from studio.registry.tables import OPTIMIZING, REMOVING, Preset

ROWS = 7
FINAL = "exemplar"
"""What fills the hole of a photograph at the end, where the shipped network looked for it."""


def removing(request: ExplainRequest, echo: Callable[[str], object], own: Own = NO_OWN) -> Job:
    """Return the job of taking the class away from each image, with the request's one method and filler.

    The request calls what the caller brings along, its ``own``, by the names that it has there.

    Raises:
        ValueError: If something asked for is unknown or impossible.
    """
    request = with_classifier(_completed(request, own), echo, "counterfactual")
    selection = parse_selection(request.fillers, request.settings, request.methods, own=own)
    preset: Preset = "paper" if request.paper else "smallest"
    for name in selection.methods:
        if name not in OPTIMIZING and not isinstance(own.methods.get(name), OptimizingExplainer):
            raise ValueError(f"--method: expected one of {', '.join(REMOVING)}, got {name}")
        _require_removing(name, build_method(name, selection.settings, request.seed, preset, own))
    return Job(request, selection, preset, files_of, _line, own=own, report="counterfactual.json")


def _require_removing(name: str, method: Explainer) -> None:
    """Check that a method tries what is left without its evidence.

    Raises:
        ValueError: If it keeps what is enough for the class, and takes nothing away.
    """
    entry = _entry(name, method)
    if entry is not None and entry.kept_by(method):
        settings = ", ".join(f"{field}={getattr(method, field)}" for field in entry.keeping or {})
        got = f"{name}{'' if entry.keeps else f' with {settings}'}, which keeps what is enough for the class"
        raise ValueError(f"--method: expected one that removes ({', '.join(REMOVING)}), got {got}")


def _line(explanation: Explanation) -> str:
    return Counterfactual(explanation).line()


def files_of(explanation: Explanation) -> Files:
    """Return what writes each file."""
    result = Counterfactual(explanation)
    return {
        "counterfactual.png": partial(draw, result.change()),
        "counterfactual-image.png": partial(save_image, result.run.samples[0].image),
        "counterfactual-hole.png": partial(save_image, result.run.samples[0].hole),
        "counterfactual.json": partial(save_json, result.report()),
    }


def _entry(name: str, method: object) -> Entry | None:
    """Return the row of a method's name, or else of its class."""
    return OPTIMIZING.get(name) or next((row for row in OPTIMIZING.values() if row.is_of(method)), None)


def _completed(request: ExplainRequest, own: Own) -> ExplainRequest:
    """Return the request with the method, the filler and the final one that are not asked for."""
    request = replace(request, methods=request.methods or (PAPERS if request.paper else METHOD,))
    if request.paper:
        # Of a paper's fillers the last one is its best; what was found is judged by what found it.
        published = as_published(request)
        return replace(published, fillers=published.fillers[-1:])
    fillers = tuple(request.fillers) or (FILLER,)
    # Where another class is enough, what another filler leaves of the class says nothing.
    entries = [_entry(name, own.methods.get(name)) for name in request.methods]
    changing = any(entry is not None and entry.changes for entry in entries)
    by_itself = request.images and fillers == (FILLER,) and request.final is None and not changing
    return replace(request, fillers=fillers, final=FINAL if by_itself else request.final)


class Counterfactual:
    """An explanation by one optimizing method with one filler, as a change from before to after."""

    def __init__(self, explanation: Explanation) -> None:
        ((self.filler, self.method),) = explanation.results
        self.explanation = explanation
        self.run: MethodResult = explanation.results[self.filler, self.method]
        assert self.run.search is not None
        self.search: SearchResult = self.run.search

    def line(self) -> str:
        """Return all of it in a line."""
        now = self._now()
        return f"{self.headline('->')}{f' ({now})' if now else ''}, {self._verdict()}"

    def headline(self, arrow: str) -> str:
        """Return what is explained, with its score before and after."""
        outcome, quantity = self.search.outcome, self.explanation.quantity
        about = self._target if quantity.bounded else f"{self.explanation.about}: {quantity.symbol}"
        before, after = (quantity.number(value.item()) for value in (outcome.clean, outcome.left))
        return f"{about} {before} {arrow} {after}"

    def change(self) -> Change:
        """Return what the sheet shows."""
        explanation = self.explanation
        method = settings_line(explanation.methods[self.method], count=8)
        filler = filler_brief(explanation, self.filler)
        how = f"{self.method} ({method}), {self.filler} ({filler})"
        return Change(
            title=self.headline("→"),
            subtitle=f"{explanation.image.title}. {explanation.name}, {how}.".replace(" ()", ""),
            verdict=", ".join(text for text in (self._now(), self._verdict()) if text),
            failed=bool(self.search.failure),
            image=channels_last(explanation.classifier.view(explanation.image.pixels)),
            after=self.run.samples[0],
            target=self._target,
            against="" if explanation.against is None else explanation.label(explanation.against),
            bars=self._bars(),
            course=replace(course(self.search), notes=self._notes()),
        )

    def report(self) -> dict[str, Any]:
        """Return what ``counterfactual.json`` says."""
        full = report(self.explanation)
        return {
            **{
                key: full[key]
                for key in ("image", "classifier", "target", "against", "score", "top", "found")
                if key in full
            },
            **({"after": self._after()} if self.explanation.asked.probable else {}),
            "method": {"name": self.method, **full["methods"][self.method]},
            "filler": {"name": self.filler, **full["fillers"][self.filler]},
            **{key: full[key] for key in ("final", "departures", "identity") if key in full},
            **numbers(self.search),
            **{key: full[key] for key in ("settings", "seconds", "versions")},
        }

    def _after(self) -> dict[str, Any]:
        after = self.search.probabilities
        return {
            "target": named(self.explanation, self.explanation.target, after),
            **compared(self.explanation, after),
            "top": [named(self.explanation, index, after) for index in self.explanation.best(after)],
        }

    @property
    def _target(self) -> str:
        return self.explanation.asked.title or self.explanation.label(self.explanation.target)

    def _now(self) -> str:
        """Return what is seen now, if that is classes."""
        if not self.explanation.asked.probable:
            return ""
        first = self._first(self.search.probabilities)
        other = self.explanation.against
        label = f"{self.explanation.label(first)} {float(self.search.probabilities[first]):.2f}"
        if first == self.explanation.target:
            return f"still: {label}" if self.search.failure else f"now: {label}, which counts as gone"
        if other is None or first == other:
            return f"now: {label}"
        found = f"{self.explanation.label(other)} {float(self.search.probabilities[other]):.2f}"
        return f"now neither: {label}, and {found}"

    def _verdict(self) -> str:
        text = f"{percent(self.search.area)} of the {self._whole()} removed{self._failure()}"
        if not self.explanation.asked.probable:
            return text
        first = self._first(self.explanation.probabilities)
        if first == self.explanation.target:
            return text
        best = f"{self.explanation.label(first)} {float(self.explanation.probabilities[first]):.2f}"
        return f"{text}; the classifier's first choice was {best}"

    def _failure(self) -> str:
        outcome = self.search.outcome
        if not self.search.failure:
            return ""
        floor = "" if outcome.removable.item() else f", {self.search.failure}"
        if not self.explanation.asked.probable:
            goal = self.explanation.quantity.number(outcome.chance.item())
            return f"; not at the goal of {goal}{floor}"
        if outcome.changed is not None:
            return f"; {self.search.failure}"
        if self.explanation.against is not None:
            return f"; {self.explanation.label(self.explanation.against)} is not as likely{floor}"
        return f"; the class is not gone: chance is {outcome.chance.item():.3f}{floor}"

    def _whole(self) -> str:
        """Return what the share that is removed is a share of."""
        height, width = self.explanation.image.pixels.shape[1:]
        whole = (0, 0, width, height)
        return "image" if self.explanation.classifier.view_box((height, width)) == whole else "view"

    def _notes(self) -> list[str]:
        outcome = self.search.outcome
        error, quantity = outcome.left_error.item(), self.explanation.quantity
        left, kept, floor, chance = (
            quantity.written(getattr(outcome, name).item()) for name in ("left", "kept", "floor", "chance")
        )
        return [
            *([f"result: {left} ± {error:.3f}, as fills differ"] if error else []),
            f"{int(outcome.steps)} steps, {int(outcome.looks)} looks of the classifier",
            f"all but the hole filled: {kept}",
            f"everything filled: {floor}",
            f"{quantity.end}: {chance}",
            *self._as_found(),
        ]

    def _as_found(self) -> list[str]:
        """Return what the search had come to, if another filler took its place at the end."""
        final, found = self.explanation.final, self.search.found
        if not final:
            return []
        left = self.explanation.quantity.written(found.left.item())
        area = percent(found.hole.mean().item())
        return [f"filled at the end by {final[0]}", f"as {self.filler} had it: {left}, {area} removed"]

    def _first(self, probabilities: Tensor) -> int:
        return int(probabilities.argmax())

    def _bars(self) -> list[tuple[str, float, float]]:
        """Return what stands beside the pictures: classes, or the value before and after."""
        if not self.explanation.asked.probable:
            outcome = self.search.outcome
            return [(self._target, outcome.clean.item(), outcome.left.item())]
        before, after = self.explanation.probabilities, self.search.probabilities
        return [(self.explanation.label(i), float(before[i]), float(after[i])) for i in self._classes()]

    def _classes(self) -> list[int]:
        """Return the most probable classes, before or after, and those that are explained."""
        explanation = self.explanation
        named = [explanation.target, *([] if explanation.against is None else [explanation.against])]
        before, after = self.explanation.probabilities, self.search.probabilities
        highest = before.maximum(after)
        best = {*explanation.best(before), *explanation.best(after)} - {*named}
        others = sorted(best, key=lambda index: float(highest[index]), reverse=True)
        return [*named, *others[: ROWS - len(named)]]
