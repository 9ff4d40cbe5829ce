"""Everything that judging fillers needs, made from what was asked for before any work is done."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from infill.realism.similarity import SMALLEST_SIDE, Perceptual
from models.weights import store
from studio import version
from studio.data.dataset import Dataset, Example, open_dataset
from studio.realism.asked_regions import asked_regions
from studio.realism.batches import Labels, Reader, class_of
from studio.realism.judges import Judging, fingerprint, judging
from studio.realism.metrics import OF_CLASSES, OF_FEATURES, Measure
from studio.realism.regions import Regions, check_annotated
from studio.registry.build import weights_of
from studio.registry.fields import known
from studio.registry.parse import parse_device, parse_settings, split_fillers
from studio.registry.tables import ALL_FILLERS, SettingTexts

if TYPE_CHECKING:
    from studio.realism.run import Request

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
    settings: SettingTexts
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
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    names, truth, settings = _fillers(request)
    device = parse_device(request.device)
    data = open_dataset(request.data, request.limit)
    regions = asked_regions(request, data, device)
    check_annotated(regions, data)
    if truth and not regions.uncovers(data):
        raise ValueError(f"--filler truth: what is behind the {regions.kind} of {data.title} is not known")
    example = _first(data)
    judges = judging(request, data, example, device)
    regions = replace(regions, view_box=judges.view.view_box)
    regions.check_view(judges.view.crop)
    labels, notes = _labels(request.labels, data, example, judges)
    perceptual, blind = _perceptual(request.lpips, judges.view.crop, device)
    reader = Reader(data, regions, judges.view, judges.classifier, labels, request.seed)
    missing = _missing(judges, reader, blind)
    told = _told(request, data, regions, judges, labels)
    return Setting(
        data=data,
        reader=reader,
        measure=Measure(
            judges.judge, judges.judge_eye, "ms_ssim" not in missing, perceptual, reader.knows_truth
        ),
        fillers={name: _depends(name, settings) for name in names},
        settings=settings,
        labels=judges.labels,
        missing=missing,
        notes=[*data.notes, *notes, *([_SEVERAL] if judges.several else [])],
        identity={**told, **_identity(request, data, judges), "missing": sorted(missing)},
        told=told,
    )


def _fillers(request: Request) -> tuple[Sequence[str], bool, SettingTexts]:
    """Return the fillers asked for, whether the truth is among them, and what is set of them."""
    asked, said = split_fillers(request.fillers)
    for name in asked:
        known(name, [*ALL_FILLERS, "real", "truth"], "filler")
    names = [name for name in asked if name not in ("real", "truth")]
    return names, "truth" in asked, parse_settings((*said, *request.settings), names)


def _missing(judges: Judging, reader: Reader, blind: str) -> dict[str, str]:
    """Return the metrics that cannot be taken, with the reasons; ``blind`` is why LPIPS is not at hand."""
    of_lpips = ("lpips", "lpips_truth") if reader.true_background else ("lpips",)
    side = judges.view.crop
    return {
        **dict.fromkeys((*OF_CLASSES, *OF_FEATURES) if judges.judge is None else (), judges.missing),
        **dict.fromkeys(OF_FEATURES if judges.featureless else (), judges.featureless),
        **dict.fromkeys(of_lpips if blind else (), blind),
        **({"calibration": "an image may be of several of the judge's classes"} if judges.several else {}),
        **(
            {"ms_ssim": f"needs sides of {SMALLEST_SIDE} px; the classifier's view has {side}"}
            if side < SMALLEST_SIDE
            else {}
        ),
    }


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


def _perceptual(net: Any, side: int, device: torch.device) -> tuple[Perceptual | None, str]:
    """Return LPIPS, or why it cannot be had; its backbone is one of torchvision's networks."""
    backbone = _BACKBONES[net]
    try:
        if not store.here(backbone):
            store.fetch(backbone)
    except ValueError as error:
        ways = f"run `infill weights fetch {backbone}` where there is a network"
        return None, f"LPIPS needs its backbone's weights: {error}; {ways}"
    try:
        perceptual = Perceptual(net).to(device)
    except ValueError as error:
        return None, str(error)
    try:
        perceptual.features(torch.zeros(1, 3, side, side, device=device))
    except RuntimeError:
        return None, f"needs larger sides than the {side} px of the classifier's view"
    return perceptual, ""


def _depends(name: str, settings: SettingTexts) -> Mapping[str, Any]:
    entry = ALL_FILLERS[name]
    weights = weights_of(name, settings)
    own = settings.get("lime", {}) if entry.of_image else {}
    said = {**own, **settings.get(name, {})}
    return {"place": entry.target, "fixed": dict(entry.fixed), "set": said, "weights": _state(weights)}


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


def _identity(request: Request, data: Dataset, judges: Judging) -> dict[str, Any]:
    """Return what figures depend on beside the settings: files, and versions."""
    eyes = [judges.view]
    if judges.judge_eye not in (None, judges.view):
        eyes.append(judges.judge_eye)
    return {
        "fingerprint": data.fingerprint(),
        "classifiers": [fingerprint(eye) for eye in eyes],
        "code": [_state(_code(name)) for name in (request.classifier, request.judge)],
        "segmenter_weights": _state(request.segmenter_weights),
        "segmenter": _state(_place(request.segmenter)),
        "versions": [version(), torch.__version__],
    }


def _code(name: str | None) -> Path | None:
    """Return the file of the module in ``python:MODULE:FUNCTION``."""
    kind, _, rest = (name or "").partition(":")
    found = importlib.util.find_spec(rest.partition(":")[0]) if kind == "python" else None
    return Path(found.origin) if found and found.origin else None


def _place(name: str | None) -> Path | None:
    """Return the file or folder in a name such as ``hf:FOLDER``."""
    place = (name or "").partition(":")[2].partition("@")[0]
    return Path(place).expanduser() if place else None


def _state(path: Path | None) -> Sequence[Any]:
    """What changes when a file does, or a file in a folder."""
    if path is None or not path.exists():
        return [str(path)]
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    known = [(str(file), file.stat()) for file in files if file.is_file()]
    return [str(path.resolve()), *([name, stat.st_size, stat.st_mtime_ns] for name, stat in known)]
