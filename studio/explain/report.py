"""Write heatmaps and numbers."""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio import version
from studio.explain.result import Explanation, Run, Search
from studio.output import save_json

_SEEN = ("crop", "resize", "interpolation", "multi_label")


def report(found: Explanation) -> dict[str, Any]:
    """Return what ``explain.json`` says."""
    size = found.subject.image.shape[1:]
    return {
        "image": {**found.subject.origin, "view": list(found.classifier.view_box((size[0], size[1])))},
        "classifier": {
            "name": found.name,
            "classes": len(found.probabilities),
            **{key: getattr(found.classifier, key) for key in _SEEN},
            **{key: getattr(found.classifier, key).flatten().tolist() for key in ("mean", "std")},
        },
        "target": named(found, found.target, found.probabilities),
        "top": [named(found, index, found.probabilities) for index in found.best(found.probabilities)],
        "methods": {name: described(method) for name, method in found.methods.items()},
        "fillers": {name: _filler(found, name) for name in found.fillers},
        "runs": [_run(*names, run) for names, run in found.runs.items()],
        "settings": dict(found.settings),
        "seconds": round(found.seconds, 3),
        "versions": {"infill": version(), "torch": torch.__version__, "python": platform.python_version()},
    }


def save_report(found: Explanation, path: Path) -> None:
    """Write ``explain.json``."""
    save_json(report(found), path)


def save_heatmaps(found: Explanation, path: Path) -> None:
    """Write ``heatmaps.npz``: under ``method/filler`` a float32 array of the input image's size.

    Beside it, under ``method/filler/hole``, what an optimizing method removes: 1 there and 0 elsewhere.
    """
    height, width = found.subject.image.shape[1:]
    maps: dict[str, Any] = {}
    for (filler, method), run in found.runs.items():
        heatmap = found.classifier.to_input(run.heatmap, (height, width))
        maps[f"{method}/{filler}"] = heatmap.float().numpy()
        if run.search:
            hole = found.classifier.to_input(run.search.outcome.hole[0, 0].cpu(), (height, width))
            maps[f"{method}/{filler}/hole"] = (hole >= 0.5).numpy().astype(np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(file, **maps)


def described(thing: object) -> dict[str, Any]:
    """Return the class and all settings of a dataclass, in what JSON knows."""
    fields = [field for field in dataclasses.fields(thing) if field.init]  # type: ignore[arg-type]
    return {
        "class": type(thing).__name__,
        **{field.name: _plain(getattr(thing, field.name)) for field in fields},
    }


def _filler(found: Explanation, name: str) -> dict[str, Any]:
    loaded = {"loaded": dict(found.loaded[name])} if name in found.loaded else {}
    return {**described(found.fillers[name]), **loaded}


def named(found: Explanation, index: int, probabilities: Tensor) -> dict[str, Any]:
    """Return a class with its probability."""
    return {"index": index, "name": found.label(index), "probability": float(probabilities[index])}


def numbers(search: Search) -> dict[str, Any]:
    """Return what an optimizing method came to, in numbers."""
    outcome = search.outcome
    steps = int(outcome.steps)
    values = ("reached", "removable", "clean", "left", "left_error", "kept", "floor", "chance")
    counts = ("steps", "looks", "fills")
    return {
        **{name: getattr(outcome, name).item() for name in values},
        "area": search.area,
        **{name: int(getattr(outcome, name)) for name in counts},
        "curves": {name: _rounded(curve[0, :steps]) for name, curve in outcome.curves.items()},
    }


def _rounded(curve: Tensor) -> list[float]:
    return [round(value, 6) for value in curve.tolist()]


def _run(filler: str, method: str, run: Run) -> dict[str, Any]:
    return {
        "method": method,
        "filler": filler,
        "composites": run.composites,
        "seconds": round(run.seconds, 3),
        "composites_per_second": round(run.composites / run.seconds, 1),
        **(numbers(run.search) if run.search else {}),
    }


def _plain(value: object) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor):
        return f"tensor of shape {tuple(value.shape)}"
    return getattr(value, "__qualname__", type(value).__name__)
