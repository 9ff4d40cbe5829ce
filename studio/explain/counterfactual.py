"""The job behind ``infill counterfactual``: the smallest removal that takes the class away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from studio.drawing.captions import brief, percent
from studio.explain.counterfactual_figure import Change, draw
from studio.explain.page import course, filler_brief
from studio.explain.report import named, numbers, report
from studio.explain.result import Explanation, Run, Search
from studio.explain.session import Request, at_work
from studio.output import save_json
from studio.registry.tables import OPTIMIZING, optimizes

ROWS = 7


def counterfactual(request: Request, tell: Callable[[str], object]) -> None:
    """Take the class away from one image, with the request's one method and filler, and write the files.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    for name in request.methods:
        if not optimizes(name):
            raise ValueError(f"--method: expected one of {', '.join(OPTIMIZING)}, got {name}")
    with at_work(request, "smallest") as (job, subjects, folder):
        for subject in subjects:
            found = Counterfactual(job.explained(subject))
            written = folder.publish(
                {
                    "counterfactual.png": partial(draw, found.change()),
                    "counterfactual-image.png": partial(_save_image, found.run.samples[0].image),
                    "hole.png": partial(_save_image, found.run.samples[0].hole),
                    "counterfactual.json": partial(save_json, found.report()),
                }
            )
            tell(found.line())
            tell("  " + " ".join(str(path) for path in written))


class Counterfactual:
    """An explanation by one optimizing method with one filler, told as a change."""

    def __init__(self, found: Explanation) -> None:
        ((self.filler, self.method),) = found.runs
        self.found = found
        self.run: Run = found.runs[self.filler, self.method]
        assert self.run.search is not None
        self.search: Search = self.run.search

    def line(self) -> str:
        """Return all of it in a line."""
        return f"{self.headline('->')} ({self._now()}), {self._verdict()}"

    def headline(self, arrow: str) -> str:
        """Return the class with its probability before and after."""
        before = float(self.found.probabilities[self.found.target])
        return f"{self._target} {before:.3f} {arrow} {self.search.outcome.left.item():.3f}"

    def change(self) -> Change:
        """Return what the sheet shows."""
        found, sample = self.found, self.run.samples[0]
        method, filler = brief(found.methods[self.method], count=8), filler_brief(found, self.filler)
        how = f"{self.method} ({method}), {self.filler} ({filler})"
        return Change(
            title=self.headline("→"),
            subtitle=f"{found.subject.title}. {found.name}, {how}.".replace(" ()", ""),
            verdict=f"{self._now()}, {self._verdict()}",
            failed=bool(self.search.failure),
            image=found.classifier.view(found.subject.image).permute(1, 2, 0).cpu().numpy(),
            after=sample,
            target=self._target,
            bars=[
                (found.label(i), float(found.probabilities[i]), float(self.search.probabilities[i]))
                for i in self._classes()
            ],
            course=replace(course(self.search), notes=self._notes()),
        )

    def report(self) -> dict[str, Any]:
        """Return what ``counterfactual.json`` says."""
        told, after = report(self.found), self.search.probabilities
        return {
            **{key: told[key] for key in ("image", "classifier", "target", "top")},
            "after": {
                "target": named(self.found, self.found.target, after),
                "top": [named(self.found, index, after) for index in self.found.best(after)],
            },
            "method": {"name": self.method, **told["methods"][self.method]},
            "filler": {"name": self.filler, **told["fillers"][self.filler]},
            **numbers(self.search),
            **{key: told[key] for key in ("settings", "seconds", "versions")},
        }

    @property
    def _target(self) -> str:
        return self.found.label(self.found.target)

    def _now(self) -> str:
        first = self._first(self.search.probabilities)
        seen = f"{self.found.label(first)} {float(self.search.probabilities[first]):.2f}"
        return f"{'still' if first == self.found.target else 'now'}: {seen}"

    def _verdict(self) -> str:
        said = f"{percent(self.search.area)} of the {self._seen()} removed{self._failure()}"
        first = self._first(self.found.probabilities)
        if first == self.found.target:
            return said
        best = f"{self.found.label(first)} {float(self.found.probabilities[first]):.2f}"
        return f"{said}; the classifier's first choice was {best}"

    def _failure(self) -> str:
        outcome = self.search.outcome
        if not self.search.failure:
            return ""
        floor = "" if outcome.removable.item() else f", {self.search.failure}"
        return f"; the class is not gone: chance is {outcome.chance.item():.3f}{floor}"

    def _seen(self) -> str:
        """Return what the share that is removed is a share of."""
        height, width = self.found.subject.image.shape[1:]
        whole = (0, 0, width, height)
        return "image" if self.found.classifier.view_box((height, width)) == whole else "view"

    def _notes(self) -> list[str]:
        outcome = self.search.outcome
        error = outcome.left_error.item()
        return [
            *([f"result: p {outcome.left.item():.3f} ± {error:.3f}, as fills differ"] if error else []),
            f"{int(outcome.steps)} steps, {int(outcome.looks)} looks of the classifier",
            f"all but the hole filled: p {outcome.kept.item():.3f}",
            f"everything filled: p {outcome.floor.item():.3f}",
            f"chance: p {outcome.chance.item():.3f}",
        ]

    def _first(self, probabilities: Tensor) -> int:
        return int(probabilities.argmax())

    def _classes(self) -> list[int]:
        """Return the most probable classes, before or after, and the one that is explained."""
        before, after = self.found.probabilities, self.search.probabilities
        highest = before.maximum(after)
        best = {*self.found.best(before), *self.found.best(after)} - {self.found.target}
        others = sorted(best, key=lambda index: float(highest[index]), reverse=True)[: ROWS - 1]
        return [self.found.target, *others]


def _save_image(pixels: Any, path: Path) -> None:
    """Write colors or a hole, in [0, 1], as PNG."""
    from PIL import Image

    Image.fromarray((pixels * 255).round().astype("uint8")).save(path, format="PNG")
