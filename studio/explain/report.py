"""Write heatmaps and numbers."""

from __future__ import annotations

import dataclasses
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from torch import Tensor

from attribution import Outcome
from attribution.estimate import Estimate
from attribution.explainer import AttributingExplainer, Attribution
from infill import Adaptive, Filler, Given
from models.classifiers import ImageClassifier
from studio.explain.result import Explanation, MethodResult, SearchResult
from studio.libraries import versions
from studio.output import save_json
from studio.registry.identity import added_by

_PREPROCESSING = ("crop", "resize", "interpolation", "multi_label")


def report(explanation: Explanation) -> dict[str, Any]:
    """Return what ``explain.json`` says."""
    size, probabilities = explanation.image.pixels.shape[1:], explanation.probabilities
    view = explanation.classifier.view_box((size[0], size[1]))
    return {
        "image": {
            **explanation.image.origin,
            "view": list(view),
        },
        "classifier": {
            "name": explanation.name,
            "classes": len(probabilities),
            **_preprocessing(explanation.classifier),
            **{key: getattr(explanation.classifier, key).flatten().tolist() for key in ("mean", "std")},
        },
        "target": _target(explanation),
        **compared(explanation, probabilities),
        "score": {"kind": explanation.quantity.kind, "clean": explanation.clean},
        **_seen(explanation),
        "methods": {name: described(method) for name, method in explanation.methods.items()},
        "fillers": {name: _filler(explanation, name) for name in explanation.fillers},
        **({"final": _final(*explanation.final)} if explanation.final else {}),
        "runs": [_run(*names, run) for names, run in explanation.results.items()],
        "settings": dict(explanation.settings),
        **({"departures": dict(explanation.departures)} if explanation.settings["paper"] else {}),
        **({"identity": explanation.identity} if explanation.identity else {}),
        "seconds": round(explanation.seconds, 3),
        "versions": {
            **versions(any(isinstance(each, AttributingExplainer) for each in explanation.methods.values())),
            **added_by([*explanation.methods, *explanation.fillers], explanation.name),
        },
    }


def _preprocessing(classifier: ImageClassifier) -> dict[str, Any]:
    """Return how images are shown; one that is shown whole images has neither crop nor size."""
    whole = {} if classifier.crop else {"crop": None, "resize": None}
    return {**{key: getattr(classifier, key) for key in _PREPROCESSING}, **whole}


def save_report(explanation: Explanation, path: Path) -> None:
    """Write ``explain.json``."""
    save_json(report(explanation), path)


def save_heatmaps(explanation: Explanation, path: Path) -> None:
    """Write ``heatmaps.npz``: under ``method/filler`` a float32 array of the input image's size.

    A method to which no filler matters is there once, as ``method/none``.

    Beside it, under ``method/filler/error``, the standard error of each pixel, of a method that estimates it
    from samples; under ``method/filler/hole``, what an optimizing method removes: 1 there and 0 elsewhere;
    under ``method/filler/stage1``, what its first stage found, if it has several.
    """
    # As `numpy.savez_compressed` does, but one array after the other: those of a photograph are large.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in heatmaps(explanation):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def heatmaps(explanation: Explanation) -> Iterator[tuple[str, ndarray]]:
    """Yield what ``heatmaps.npz`` holds, by name."""
    height, width = explanation.image.pixels.shape[1:]

    def mapped(view: Tensor) -> Tensor:
        return explanation.classifier.to_input(view.float().cpu(), (height, width))

    for (filler, method), run in explanation.results.items():
        name = f"{method}/{filler}"
        yield name, mapped(run.heatmap).numpy()
        if run.estimate:
            yield f"{name}/error", mapped(run.estimate.error[0]).numpy()
        if run.search:
            outcome = run.search.outcome
            yield f"{name}/hole", (mapped(outcome.hole[0, 0]) >= 0.5).numpy().astype(np.uint8)
            for i, stage in enumerate(outcome.earlier):
                yield f"{name}/stage{i + 1}", mapped(stage[0]).numpy()


def described(thing: object) -> dict[str, Any]:
    """Return the class and all settings of a dataclass, in what JSON knows."""
    named = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    fields = [field for field in named if field.init]
    return {
        "class": type(thing).__name__,
        **{field.name: _plain(getattr(thing, field.name)) for field in fields},
    }


def _filler(explanation: Explanation, name: str) -> dict[str, Any]:
    loaded = {"loaded": dict(explanation.loaded[name])} if name in explanation.loaded else {}
    filler = explanation.fillers[name]
    filled = {"filled": filler.filled} if isinstance(filler, Adaptive) else {}
    return {**_described(filler), **loaded, **filled}


def _final(name: str, filler: Filler) -> dict[str, Any]:
    return {"name": name, **_described(filler)}


def _described(filler: Filler) -> dict[str, Any]:
    if isinstance(filler, Given) and filler.maker:
        return {**described(filler.maker), "where": "photograph"}
    return described(filler)


def _target(explanation: Explanation) -> dict[str, Any]:
    """Return what is explained: a class, or what else was asked for."""
    if explanation.asked.probable:
        return named(explanation, explanation.target, explanation.probabilities)
    text, box = explanation.asked.text, explanation.scored.box
    told = {"kind": text.kind, "name": explanation.about, "text": f"{text.kind}:{text.place}"}
    return {**told, **({"box": list(box)} if box else {})}


def _seen(explanation: Explanation) -> dict[str, Any]:
    """Return the most probable classes, or what else is found."""
    probabilities = explanation.probabilities
    if explanation.asked.probable:
        best = explanation.best(probabilities)
        return {"top": [named(explanation, index, probabilities) for index in best]}
    found = explanation.scored.found
    return {"found": [{"name": name, "value": value} for name, value in found]} if found else {}


def compared(explanation: Explanation, probabilities: Tensor) -> dict[str, Any]:
    """Return the class that the target is compared with, if it is."""
    if explanation.against is None:
        return {}
    return {"against": named(explanation, explanation.against, probabilities)}


def named(explanation: Explanation, index: int, probabilities: Tensor) -> dict[str, Any]:
    """Return a class with its probability."""
    return {"index": index, "name": explanation.label(index), "probability": float(probabilities[index])}


def numbers(search: SearchResult) -> dict[str, Any]:
    """Return what an optimizing method came to, in numbers."""
    outcome = search.outcome
    steps = int(outcome.steps)
    values = ("reached", "removable", "clean", "left", "left_error", "kept", "floor", "chance")
    counts, judged = ("steps", "looks", "fills", "outlooks"), ("reached", "left", "kept", "floor")
    found = search.found if search.found is not outcome else None
    return {
        **{name: getattr(outcome, name).item() for name in values},
        **_answered(outcome),
        "area": search.area,
        **({"as_found": _found(found, judged)} if found else {}),
        **{name: int(getattr(outcome, name)) for name in counts},
        "curves": {name: _rounded(curve[0, :steps]) for name, curve in outcome.curves.items()},
    }


def _answered(outcome: Outcome) -> dict[str, bool]:
    """What a method asks that looks for something else than chance."""
    asked = {name: getattr(outcome, name) for name in ("enough", "changed")}
    return {name: bool(answer) for name, answer in asked.items() if answer is not None}


def _found(found: Outcome, judged: Sequence[str]) -> dict[str, Any]:
    """What the search had come to, before its hole was filled and judged anew."""
    values = {name: getattr(found, name).item() for name in judged}
    return {**values, "area": found.hole.mean().item()}


def _rounded(curve: Tensor) -> list[float | None]:
    """Return the values, ``None`` for a step that had none."""
    return [None if math.isnan(value) else round(value, 6) for value in curve.tolist()]


def _run(filler: str, method: str, run: MethodResult) -> dict[str, Any]:
    return {
        "method": method,
        "filler": filler,
        "composites": run.composites,
        "forwards": run.forwards,
        "seconds": round(run.seconds, 3),
        "composites_per_second": round(run.composites / run.seconds, 1),
        **(numbers(run.search) if run.search else {}),
        **(_trusted(run.estimate) if run.estimate else {}),
        **(_compared(run.attribution) if run.attribution else {}),
    }


def _compared(found: Attribution) -> dict[str, Any]:
    """How far what is explained falls to the baseline, and the heatmap's sum: alike, if it is complete."""
    if found.change is None:
        return {}
    return {"change": float(found.change), "sum": float(found.heatmap.sum())}


def _trusted(estimate: Estimate) -> dict[str, Any]:
    return {
        "reliability": round(float(estimate.reliability), 4),
        "told": round(float(estimate.told.float().mean()), 4),
        "mean_error": float(estimate.error.mean()) if bool(estimate.error.isfinite().all()) else None,
    }


def _plain(value: object) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON knows neither infinity nor NaN
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor | ndarray):
        return f"{'tensor' if isinstance(value, Tensor) else 'array'} of shape {tuple(value.shape)}"
    return getattr(value, "__qualname__", type(value).__name__)
