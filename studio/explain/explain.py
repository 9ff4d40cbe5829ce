"""The job behind ``infill explain``: every method with every filler on every image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from studio.explain.figure import draw
from studio.explain.inputs import Subject
from studio.explain.page import page
from studio.explain.report import save_heatmaps, save_report
from studio.explain.result import Explanation
from studio.explain.session import Job, Request, at_work
from studio.explain.trace import save_trace
from studio.registry.parse import shortcuts
from studio.registry.tables import OPTIMIZING, optimizes


def explain(request: Request, tell: Callable[[str], object]) -> None:
    """Explain every image and write its files; ``tell`` is told each result in a line.

    What can be wrong with the names, settings, files and the target is found before any work is done.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    if request.trace and not any(map(optimizes, request.methods)):
        names, got = ", ".join(OPTIMIZING), ", ".join(request.methods)
        raise ValueError(f"--trace: expected one of {names} among the methods, got {got}")
    with at_work(request, "paper" if request.paper else "quick") as (job, subjects, folder):
        for subject in subjects:
            found = _explained(job, subject, len(subjects))
            written = folder.publish(_files(found), within=subject.folder if len(subjects) > 1 else "")
            label, p = found.label(found.target), float(found.probabilities[found.target])
            tell(f"{subject.title}: {label}, p = {p:.3f} ({found.seconds:.1f} s)")
            tell("  " + " ".join(str(path) for path in written))
    quick = shortcuts(job.methods, job.settings)
    if quick and not request.paper:
        tell(f"quick settings: {quick}; --paper for the papers'")


def _explained(job: Job, subject: Subject, images: int) -> Explanation:
    try:
        return job.explained(subject, images)
    except ValueError as error:
        # With several images it must be said which.
        raise ValueError(f"{subject.title}: {error}" if images > 1 else str(error)) from error


def _files(found: Explanation) -> dict[str, Callable[[Path], object]]:
    """Return what writes each file."""
    files: dict[str, Callable[[Path], object]] = {
        "explain.png": partial(draw, page(found)),
        "heatmaps.npz": partial(save_heatmaps, found),
        "explain.json": partial(save_report, found),
    }
    for (filler, method), run in found.runs.items():
        if run.search and run.search.trace:
            files[f"trace-{method}-{filler}.gif"] = partial(save_trace, run.search.trace, run.search.outcome)
    return files
