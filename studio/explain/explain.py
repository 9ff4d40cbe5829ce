"""What ``infill explain`` does: every method with every filler on every image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from attribution import Explainer
from attribution.optimize.loop import OptimizingExplainer
from studio.explain.default_classifier import with_classifier
from studio.explain.figure import draw
from studio.explain.page import page
from studio.explain.paper import as_published, fillers_of
from studio.explain.report import save_heatmaps, save_report
from studio.explain.request import FILLERS, ExplainRequest
from studio.explain.result import Explanation, MethodResult
from studio.explain.runner import most_passes
from studio.explain.trace import save_trace
from studio.explain.worker import Files, Job
from studio.registry.own import NO_OWN, Own
from studio.registry.parse import parse_selection, quick_settings
from studio.registry.tables import OPTIMIZING, UNTIL, Preset


def explaining(request: ExplainRequest, echo: Callable[[str], object], own: Own = NO_OWN) -> Job:
    """Return the job of explaining every image and writing its files; ``echo`` gets what is chosen meanwhile.

    The request calls what the caller brings along, its ``own``, by the names that it has there.

    What can be wrong with names, settings and the target is found here, before any work is done.

    Raises:
        ValueError: If something asked for is unknown or impossible.
    """
    fillers = fillers_of(request)
    request = as_published(request) if request.paper else replace(request, fillers=request.fillers or FILLERS)
    request = with_classifier(request if request.until is None else _until(request, request.until), echo)
    selection = parse_selection(request.fillers, request.settings, request.methods, own=own)
    optimizing = {name for name, each in own.methods.items() if isinstance(each, OptimizingExplainer)}
    for option, given in {"trace": request.trace, "final": request.final}.items():
        if given and not (OPTIMIZING.keys() | optimizing) & set(selection.methods):
            names, got = ", ".join(OPTIMIZING), ", ".join(selection.methods)
            raise ValueError(f"--{option}: expected one of {names} among the methods, got {got}")
    preset: Preset = "paper" if request.paper else "quick"
    quick = "" if request.paper else quick_settings(selection.methods, selection.settings)
    closing = f"quick settings: {quick}; --paper for the papers'" if quick else ""
    return Job(request, selection, preset, files_of, _line, fillers, closing, own)


def _until(request: ExplainRequest, until: float) -> ExplainRequest:
    """Return the request with settings that end sampling when a map is reliable, or at a larger number.

    Whether anything is drawn at all is known once fillers are made (`studio.explain.session`).

    Raises:
        ValueError: If that is not between 0 and 1.
    """
    if not 0 < until < 1:
        raise ValueError(f"--until: expected a reliability between 0 and 1, as in 0.95, got {until:g}")
    names = [name for name in request.methods if name in UNTIL]
    most = [f"{name}.{UNTIL[name][0]}={UNTIL[name][1]}" for name in names]
    ends = [f"{name}.until={until}" for name in names]
    return replace(request, settings=(*most, *request.settings, *ends))


def _line(result: Explanation) -> str:
    score = result.quantity.written(result.clean, " = ")
    precision = str(result.settings["computed_in"]).partition(",")[0]
    head = f"{result.image.title}: {result.about}, {score} ({result.seconds:.1f} s, {precision})"
    return "\n".join([head, *(f"  {text}" for text in _runs(result))])


def _runs(result: Explanation) -> Iterator[str]:
    """Yield what each run took, and how far its map can be trusted."""
    wide, wider = (max(12, *map(len, names)) for names in zip(*result.results, strict=True))
    for (filler, method), run in result.results.items():
        text = f"{method:{wider}} {filler:{wide}} {run.forwards:6} forwards {run.seconds:8.1f} s"
        if run.estimate:
            found = float(run.estimate.reliability)
            text += f"   reliability {found:.3f}"
            until = getattr(result.methods[method], "until", result.settings.get("until"))
            if until is not None and found < until:
                text += f", {until:g} not reached: {_more(result, method, run)} takes more"
        text += _unseen(result.methods[method])
        compared = run.attribution
        if compared and compared.change is not None:
            share = 100 * float(compared.heatmap.sum() / compared.change)
            text += f"   adds up to {share:.1f} % of the change from the baseline"
        yield text


def _unseen(method: Explainer) -> str:
    """Return what must be said where patches leave gaps: nothing is known of what is never hidden."""
    patch, stride = getattr(method, "patch", None), getattr(method, "stride", None)
    if not isinstance(patch, int) or not isinstance(stride, int) or stride <= patch:
        return ""
    return f"   about {100 * (1 - (patch / stride) ** 2):.0f} % never hidden (stride above patch)"


def _more(result: Explanation, method: str, run: MethodResult) -> str:
    """Return what to set for four times as many samples, or fills."""
    if method in UNTIL:
        return f"--set {method}.{UNTIL[method][0]}={4 * run.composites}"
    return f"--samples {4 * most_passes(result.settings['samples'])}"


TRACES = "trace-*.gif"
"""Files that a result has only if it was asked for them."""


def files_of(result: Explanation) -> Files:
    """Return what writes each file."""
    files: dict[str, Callable[[Path], object]] = {
        "explain.png": partial(draw, page(result)),
        "heatmaps.npz": partial(save_heatmaps, result),
    }
    for (filler, method), run in result.results.items():
        if run.search and run.search.trace:
            files[f"trace-{method}-{filler}.gif"] = partial(
                save_trace, run.search.trace, run.search.outcome, quantity=result.quantity
            )
    return {**files, "explain.json": partial(save_report, result)}
