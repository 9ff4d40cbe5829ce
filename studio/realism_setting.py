"""Everything that judging fillers needs, made from what was asked for before any work is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from infill.realism import SMALLEST_SIDE, Perceptual
from models import store
from studio import registry, version
from studio.batches import Labels, Reader, class_of
from studio.choices import parse_settings
from studio.datasets import Dataset, Example, open_dataset
from studio.filler_names import split_names
from studio.job import chosen_device
from studio.judging import Judging, judging
from studio.measure import OF_CLASSES, OF_FEATURES, Measure
from studio.regions import SEGMENTED, Regions, check_annotated, chosen
from studio.settings import known

if TYPE_CHECKING:
    from models.segmenters import AnySegmenter
    from studio.realism import Request


_BACKBONES = {"squeeze": "squeezenet1_1", "alex": "alexnet", "vgg": "vgg16"}
_SEVERAL = "accuracy: how often the class has a probability of 0.5 or more; entropy: summed over all classes"


@dataclass(frozen=True, eq=False)
class Setting:
    """What is measured, on what, and how.

    Attributes:
        fillers: By name, what each depends on.
        labels: Names of the classes.
        missing: Metrics that cannot be taken here, with the reasons.
        notes: What the user must know.
        identity: All that every figure depends on.
    """

    data: Dataset
    reader: Reader
    measure: Measure
    fillers: Mapping[str, Any]
    settings: registry.Settings
    labels: Sequence[str]
    missing: Mapping[str, str]
    notes: Sequence[str]
    identity: Mapping[str, Any]
    told: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What is removed from what."""
        return f"{self.data.title} · holes: {self.reader.regions.kind}"


def setting(request: Request) -> Setting:
    """Make everything ready.

    Raises:
        ValueError: if something asked for is unknown, impossible or cannot be read.
    """
    asked, said = split_names(request.fillers)
    names = [name for name in asked if name not in ("real", "truth")]
    for name in names:
        known(name, [*registry.EVERY_FILLER, "real", "truth"], "filler")
    settings = parse_settings((*said, *request.settings), names)
    device = chosen_device(request.device)
    data = open_dataset(request.data, request.limit)
    regions = _regions(request, data, device)
    check_annotated(regions, data)
    if "truth" in asked and not regions.uncovers(data):
        raise ValueError(f"--filler truth: what is behind the {regions.kind} of {data.title} is not known")
    example = _first(data)
    judges = judging(request, data, example, device)
    regions = replace(regions, view_box=judges.view.view_box)
    regions.check_view(judges.view.crop)
    labels, notes = _labels(request.labels, data, example, judges)
    perceptual, blind = _perceptual(request.lpips, device)
    reader = Reader(data, regions, judges.view, judges.classifier, labels, request.seed)
    of_lpips = ("lpips", "lpips_truth") if reader.true_background else ("lpips",)
    missing = {
        **dict.fromkeys((*OF_CLASSES, *OF_FEATURES) if judges.judge is None else (), judges.missing),
        **dict.fromkeys(of_lpips if perceptual is None else (), blind),
    }
    several = judges.judge_eye is not None and judges.judge_eye.multi_label
    if several:
        missing["calibration"] = "an image may be of several of the judge's classes"
        notes = [*notes, _SEVERAL]
    side = judges.view.crop
    if side < SMALLEST_SIDE:
        missing["ms_ssim"] = f"needs sides of {SMALLEST_SIDE} px; the classifier's view has {side}"
    told = _told(request, data, regions, judges, labels)
    measure = Measure(
        judges.judge, judges.judge_eye, "ms_ssim" not in missing, perceptual, reader.knows_truth
    )
    return Setting(
        data=data,
        reader=reader,
        measure=measure,
        fillers={name: _depends(name, settings) for name in names},
        settings=settings,
        labels=judges.labels,
        missing=missing,
        notes=[*data.notes, *notes],
        identity={
            **told,
            "fingerprint": data.fingerprint(),
            "weights": [_state(path) for path in (request.weights, request.judge_weights)],
            "segmenter_weights": _state(request.segmenter_weights),
            "missing": sorted(missing),
            "versions": [version(), torch.__version__],
        },
        told=told,
    )


def _regions(request: Request, data: Dataset, device: torch.device) -> Regions:
    kind, segmenter = chosen(request.holes, data, request.segmenter is not None), None
    point = None if request.segmenter_point is None else _point(request.segmenter_point)
    if request.segmenter is not None:
        if kind not in SEGMENTED:
            raise ValueError(f"--segmenter: only for --holes {' and '.join(SEGMENTED)}, got --holes {kind}")
        from models.segmenters import load_segmenter

        segmenter = load_segmenter(request.segmenter, request.segmenter_weights).to(device)
        _check_asked(request, segmenter)
        if segmenter.prompted and point is None and "boxes" not in data.offers:
            point = (0.5, 0.5)
    elif request.segmenter_weights or request.segmenter_class or point:
        raise ValueError(
            "--segmenter: expected a name beside --segmenter-weights, --segmenter-class and --segmenter-point"
        )
    return Regions(
        kind, request.grow, request.side, segmenter=segmenter, wanted=request.segmenter_class, point=point
    )


def _check_asked(request: Request, segmenter: AnySegmenter) -> None:
    """Check that the segmenter can be asked for what it is asked for: a class, or a place."""
    name, label = request.segmenter, request.segmenter_class
    if segmenter.prompted and label is not None:
        raise ValueError(f"--segmenter-class: {name} knows no classes; it takes --segmenter-point X,Y")
    if not segmenter.prompted and request.segmenter_point is not None:
        raise ValueError(f"--segmenter-point: {name} takes no point; it takes --segmenter-class C")
    if label is not None:
        known(label, segmenter.labels, "class of the segmenter")


def _point(text: str) -> tuple[float, float]:
    """Return the point that a text means, in fractions of the view's sides."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"--segmenter-point: expected X,Y with both from 0 to 1, got {text!r}")
    return x, y


def _first(data: Dataset) -> Example:
    """Return the first example that can be read."""
    first = ""
    for number in range(len(data)):
        try:
            return data.read(number)
        except ValueError as error:
            first = first or str(error)
    raise ValueError(f"DATA: none of {len(data)} images can be used; {first}")


def _labels(
    asked: Labels | None, data: Dataset, example: Example, judges: Judging
) -> tuple[Labels, Sequence[str]]:
    """Return whose word counts: the data's, if the classifier understands it."""
    if judges.judge is None or asked == "top1":
        return "top1", ()
    try:
        class_of(example, data.kind, judges.labels)
    except ValueError as error:
        if asked == "data":
            raise ValueError(f"--labels data: {error}") from error
        own = (
            "the classes are the classifier's own top-1 of the untouched images, of which it is always right"
        )
        return "top1", [f"{own} ({error})"]
    return "data", ()


def _perceptual(net: Any, device: torch.device) -> tuple[Perceptual | None, str]:
    """Return LPIPS, or why it cannot be had; its backbone is one of torchvision's networks."""
    backbone = _BACKBONES[net]
    try:
        if not store.here(backbone):
            store.fetch(backbone)
    except ValueError as error:
        ways = f"run `infill weights fetch {backbone}` where there is a network"
        return None, f"LPIPS needs its backbone's weights: {error}; {ways}"
    try:
        return Perceptual(net).to(device), ""
    except ValueError as error:
        return None, str(error)


def _depends(name: str, settings: registry.Settings) -> Mapping[str, Any]:
    entry = registry.EVERY_FILLER[name]
    weights = registry.weights_of(name, settings)
    own = settings.get("lime", {}) if entry.of_image else {}
    said = {**own, **settings.get(name, {})}
    return {"place": entry.place, "fixed": dict(entry.fixed), "set": said, "weights": _state(weights)}


def _told(
    request: Request, data: Dataset, regions: Regions, judges: Judging, labels: Labels
) -> dict[str, Any]:
    """Return the settings in what JSON knows."""
    paths = ("weights", "judge_weights", "segmenter_weights")
    return {
        "data": data.title,
        "holes": regions.kind,
        **{name: getattr(regions, name) for name in ("grow", "side", "superpixels")},
        "classifier": judges.name,
        "judge": request.judge,
        "multi_label": request.multi_label,
        **{name: str(path) if (path := getattr(request, name)) else None for name in paths},
        "segmenter": request.segmenter,
        "segmenter_class": request.segmenter_class,
        "segmenter_point": regions.point,
        "view": {"crop": judges.view.crop, "resize": judges.view.resize},
        "labels": None if judges.judge is None else labels,
        "lpips": request.lpips,
        "seed": request.seed,
        "device": str(judges.view.mean.device),
        "precision": request.precision,
        "batch_size": request.batch_size,
    }


def _state(path: Path | None) -> Sequence[Any]:
    """What changes when a file does."""
    if path is None or not path.exists():
        return [str(path)]
    known = path.stat()
    return [str(path.resolve()), known.st_size, known.st_mtime_ns]
