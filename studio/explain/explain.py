"""The job of ``infill explain``: every method with every filler on every image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from studio.explain.default_classifier import with_classifier
from studio.explain.figure import draw
from studio.explain.page import page
from studio.explain.paper import as_published, fillers_of
from studio.explain.report import save_heatmaps, save_report
from studio.explain.request import FILLERS, ExplainRequest
from studio.explain.result import Explanation
from studio.explain.several import explain_each
from studio.explain.trace import save_trace
from studio.explain.worker import Files, Job
from studio.registry.parse import parse_selection, quick_settings
from studio.registry.tables import OPTIMIZING, Preset


def explain(request: ExplainRequest, echo: Callable[[str], object]) -> None:
    """Explain every image and write its files; ``echo`` gets the result of each in a line.

    What can be wrong with the names, settings, files and the target is found before any work is done.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    fillers = fillers_of(request)
    request = as_published(request) if request.paper else replace(request, fillers=request.fillers or FILLERS)
    request = with_classifier(request, echo)
    selection = parse_selection(request.fillers, request.settings, request.methods)
    for option, given in {"trace": request.trace, "final": request.final}.items():
        if given and not OPTIMIZING.keys() & set(selection.methods):
            names, got = ", ".join(OPTIMIZING), ", ".join(selection.methods)
            raise ValueError(f"--{option}: expected one of {names} among the methods, got {got}")
    preset: Preset = "paper" if request.paper else "quick"
    explain_each(Job(request, selection, preset, _files, _line, fillers), echo)
    quick = quick_settings(selection.methods, selection.settings)
    if quick and not request.paper:
        echo(f"quick settings: {quick}; --paper for the papers'")


def _line(result: Explanation) -> str:
    label, p = result.label(result.target), float(result.probabilities[result.target])
    return f"{result.image.title}: {label}, p = {p:.3f} ({result.seconds:.1f} s)"


def _files(result: Explanation) -> Files:
    """Return what writes each file."""
    files: dict[str, Callable[[Path], object]] = {
        "explain.png": partial(draw, page(result)),
        "heatmaps.npz": partial(save_heatmaps, result),
    }
    for (filler, method), run in result.results.items():
        if run.search and run.search.trace:
            files[f"trace-{method}-{filler}.gif"] = partial(save_trace, run.search.trace, run.search.outcome)
    return {**files, "explain.json": partial(save_report, result)}
