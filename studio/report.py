"""Turn an explanation into files: a picture, heatmaps and numbers."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attribution.explainer import SamplingExplainer
from infill import Filler
from models.classifiers import ImageClassifier
from studio import version
from studio.figures import Cell, Page, Panel, Sample
from studio.registry import FILLERS
from studio.subjects import Subject

TOP = 5
SHOWN_SIDE = 640
_AGAINST = torch.tensor([0.45, 0.62, 0.85]).view(3, 1, 1)  # the blue of what speaks against


@dataclass(frozen=True, eq=False)
class Run:
    """One method with one filler; the heatmap is in the classifier's view."""

    heatmap: Float[Tensor, "crop crop"]
    samples: Sequence[Sample]
    composites: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """All that was found out about one image; ``runs`` are by (filler, method)."""

    subject: Subject
    classifier: ImageClassifier
    name: str
    target: int
    probabilities: Float[Tensor, " k"]
    methods: Mapping[str, SamplingExplainer]
    fillers: Mapping[str, Filler]
    runs: Mapping[tuple[str, str], Run]
    settings: Mapping[str, Any]
    seconds: float


def report(found: Explanation) -> dict[str, Any]:
    """Return what ``explain.json`` says."""
    size = found.subject.image.shape[1:]
    best = found.probabilities.topk(min(TOP, len(found.probabilities))).indices.tolist()
    return {
        "image": {**found.subject.origin, "view": list(found.classifier.view_box((size[0], size[1])))},
        "classifier": {
            "name": found.name,
            "classes": len(found.probabilities),
            **{key: getattr(found.classifier, key) for key in ("crop", "resize", "interpolation")},
            **{key: getattr(found.classifier, key).flatten().tolist() for key in ("mean", "std")},
        },
        "target": _class(found, found.target),
        "top": [_class(found, index) for index in best],
        "methods": {name: described(method) for name, method in found.methods.items()},
        "fillers": {name: described(filler) for name, filler in found.fillers.items()},
        "runs": [_timing(*names, run) for names, run in found.runs.items()],
        "settings": dict(found.settings),
        "seconds": round(found.seconds, 3),
        "versions": {"infill": version(), "torch": torch.__version__, "python": platform.python_version()},
    }


def save_report(found: Explanation, path: Path) -> None:
    """Write ``explain.json``."""
    path.write_text(json.dumps(report(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def save_heatmaps(found: Explanation, path: Path) -> None:
    """Write ``heatmaps.npz``: under ``method/filler`` a float32 array of the input image's size."""
    height, width = found.subject.image.shape[1:]
    maps = {
        f"{method}/{filler}": found.classifier.to_input(run.heatmap, (height, width)).float().numpy()
        for (filler, method), run in found.runs.items()
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **maps)  # type: ignore[arg-type]


def page(found: Explanation) -> Page:
    """Return what ``explain.png`` shows; large images are shown smaller."""
    image = _shown(found.subject.image)
    size = (image.shape[1], image.shape[2])
    best = found.probabilities.topk(min(TOP, len(found.probabilities)))
    probability = float(found.probabilities[found.target])
    labels = found.classifier.labels
    composites = {method: run.composites for (_, method), run in found.runs.items()}
    return Page(
        title=f"{found.name} · {labels[found.target]} · p = {probability:.3f}",
        subtitle=f"{found.subject.title}. Red speaks for {labels[found.target]!r}, blue against it; "
        "yellow lines bound what was removed from the samples.",
        image=_pixels(image),
        box=found.classifier.view_box(size),
        target=labels[found.target],
        top=[(labels[index], value) for value, index in zip(*(part.tolist() for part in best), strict=True)],
        fillers=[(name, brief(filler, FILLERS[name].fixed)) for name, filler in found.fillers.items()],
        methods=[
            (name, f"{brief(method)} · {composites[name]} composites")
            for name, method in found.methods.items()
        ],
        cells={
            names: Cell(found.classifier.to_input(run.heatmap, size).numpy(), run.samples)
            for names, run in found.runs.items()
        },
        truth=_truth(found),
    )


def described(thing: object) -> dict[str, Any]:
    """Return the class and all settings of a dataclass, in what JSON knows."""
    fields = [field for field in dataclasses.fields(thing) if field.init]  # type: ignore[arg-type]
    return {
        "class": type(thing).__name__,
        **{field.name: _plain(getattr(thing, field.name)) for field in fields},
    }


def brief(thing: object, hidden: Collection[str] = ()) -> str:
    """Return settings in a line: numbers, and what is not as usual; without the ``hidden`` ones."""
    shown = []
    for field in dataclasses.fields(thing):  # type: ignore[arg-type]
        value = getattr(thing, field.name)
        if not field.init or field.name in {"seed", *hidden} or isinstance(value, Tensor | nn.Module):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number or value != field.default:
            shown.append(f"{field.name} {value:g}" if number else f"{field.name} {value}")
    return ", ".join(shown[:4])


def _class(found: Explanation, index: int) -> dict[str, Any]:
    return {
        "index": index,
        "name": found.classifier.labels[index],
        "probability": float(found.probabilities[index]),
    }


def _timing(filler: str, method: str, run: Run) -> dict[str, Any]:
    return {
        "method": method,
        "filler": filler,
        "composites": run.composites,
        "seconds": round(run.seconds, 3),
        "composites_per_second": round(run.composites / run.seconds, 1),
    }


def _plain(value: object) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor):
        return f"tensor of shape {tuple(value.shape)}"
    return getattr(value, "__qualname__", type(value).__name__)


def _truth(found: Explanation) -> list[Panel]:
    """Return what a scene knows: the background behind the objects, and where they are."""
    scene = found.subject.scene
    if scene is None:
        return []
    with torch.inference_mode():
        logits = found.classifier(scene.background[None].to(found.classifier.mean.device))
    left = float(logits[0].float().softmax(0)[found.target])
    gray = 0.25 * scene.image.mean(0, keepdim=True) + 0.7
    lit = gray.expand(3, -1, -1)
    for silhouette, label in zip(scene.silhouettes, found.subject.origin["objects"], strict=True):
        same = label["label"] == found.classifier.labels[found.target]
        lit = torch.where(silhouette, scene.image if same else gray * _AGAINST, lit)
    return [
        Panel(f"truth: nothing there, p {left:.3f}", _pixels(scene.background)),
        Panel("truth: the target (blue: the rest)", _pixels(lit)),
    ]


def _shown(image: Float[Tensor, "c h w"]) -> Float[Tensor, "c y x"]:
    scale = SHOWN_SIDE / max(image.shape[1:])
    if scale >= 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[1:]]
    return F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def _pixels(image: Float[Tensor, "c h w"]) -> Any:
    return image.permute(1, 2, 0).numpy()
