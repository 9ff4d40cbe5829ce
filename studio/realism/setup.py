"""Everything that judging fillers needs, made from the request before any work is done."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from infill.extras import require_extra
from infill.realism.similarity import BACKBONES, SMALLEST_SIDE, Perceptual, backbone_file
from models.weights import store
from studio.data.classes import unknown
from studio.data.dataset import open_dataset
from studio.data.example import Dataset, Example, first_readable
from studio.data.selection import Looking, select, unwatched
from studio.libraries import versions
from studio.realism.asked import among, build_regions
from studio.realism.batches import Reader
from studio.realism.judges import Judges, load_judges
from studio.realism.metrics import OF_CLASSES, OF_FEATURES, REVISION, ImageMetrics
from studio.realism.regions import Regions
from studio.realism.request import LabelSource, RealismRequest, default_fillers
from studio.registry.identity import added_by, classifier_identity, content, filler_identity, place_of
from studio.registry.own import NO_OWN, Own
from studio.registry.parse import parse_device, parse_selection
from studio.registry.runtime import precision_kept
from studio.registry.tables import SettingTexts
from studio.registry.variants import kinds_of

_SEVERAL = "accuracy: how often the class has a probability of 0.5 or more; entropy: summed over all classes"
ROWS = ("real", "truth")
"""Rows of the table that may be asked for among the fillers."""


@dataclass(frozen=True, eq=False)
class Setup:
    """What is measured, on what, and how; made whole before any work is done.

    Attributes:
        fillers: By name, all that each one's fills depend on.
        labels: Names of the classes.
        missing: Metrics that cannot be taken here, with the reasons.
        notes: What the user must know.
        identity: All that every figure depends on.
        settings: What the report says of how it was done.
        reference: Other images that composites are compared with.
        own: What the caller brings along.
    """

    data: Dataset
    reader: Reader
    metrics: ImageMetrics
    fillers: Mapping[str, Any]
    filler_settings: SettingTexts
    labels: Sequence[str]
    missing: Mapping[str, str]
    notes: Sequence[str]
    identity: Mapping[str, Any]
    settings: Mapping[str, Any]
    reference: Dataset | None = None
    own: Own = NO_OWN

    @property
    def title(self) -> str:
        """What is removed from what."""
        return f"{self.data.title} · holes: {self.reader.regions.kind}"


def set_up(
    request: RealismRequest,
    own: Own = NO_OWN,
    progress: Looking = unwatched,
) -> Setup:
    """Check the request and load everything.

    Args:
        request: What is asked for.
        own: What the caller brings along.
        progress: Told how the choice of images goes.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read, or a library is missing.
    """
    require_extra("realism", "infill realism")
    device = parse_device(request.device)
    chosen = request.selection(request.seed)
    data = open_dataset(request.data, split=request.split)
    # Classes can be asked for by name only once the classifier has said what it calls them.
    data = data if request.classes else select(data, chosen, progress=progress)
    reference = _reference(request.reference)
    fillers = request.fillers or default_fillers(data.kind == "scenes")
    selection = parse_selection(fillers, request.settings, rows=ROWS, own=own)
    regions = build_regions(request, data, device)
    if "truth" in kinds_of(fillers) and not regions.uncovers(data):
        raise ValueError(f"--filler truth: what is behind the {regions.kind} of {data.title} is not known")
    example = first_readable(data)
    judges = load_judges(request, data, example, device, own)
    if request.classes:
        data = select(data, chosen, judges.labels, progress)
        regions, example = among(regions, data), first_readable(data)
    regions.check_view(judges.classifier.crop)
    labels, notes = _label_source(request.labels, data, example, judges)
    if request.correct_only and labels != "data":
        raise ValueError(f"--correct-only: the classes are the classifier's own, not {data.title}'s")
    perceptual, no_lpips = _perceptual(request.lpips, judges.classifier.crop, device)
    reader = Reader(
        data, regions, judges.classifier, judges.explained, labels, request.seed, request.correct_only
    )
    missing = _missing(judges, reader, no_lpips)
    settings = _settings(request, data, regions, judges, labels)
    return Setup(
        data=data,
        reader=reader,
        metrics=ImageMetrics(
            judges.judge,
            judges.judging_classifier,
            "ms_ssim" not in missing,
            perceptual,
            reader.knows_truth,
            steady=not regions.removes,
            partial=regions.kind != "all",
        ),
        fillers={name: filler_identity(name, selection.settings, own) for name in selection.fillers},
        filler_settings=selection.settings,
        labels=judges.labels,
        missing=missing,
        notes=[*data.notes, *notes, *([_SEVERAL] if judges.multi_label else [])],
        identity={
            **settings,
            **_identity(request, data, judges),
            "missing": sorted(missing),
            **({"own": uuid.uuid4().hex} if own.classifier else {}),
        },
        settings=settings,
        reference=reference,
        own=own,
    )


def _reference(text: str | None) -> Dataset | None:
    """Return the other images that are asked for.

    Raises:
        ValueError: If they cannot be opened, or one is all.
    """
    if text is None:
        return None
    try:
        reference = open_dataset(text)
    except ValueError as error:
        raise ValueError(f"--reference: {str(error).removeprefix('DATA: ')}") from error
    if len(reference) < 2:
        raise ValueError(f"--reference: expected 2 or more images, got {len(reference)} in {reference.title}")
    return reference


def _missing(judges: Judges, reader: Reader, no_lpips: str) -> dict[str, str]:
    """Return the metrics that cannot be taken, with the reasons; ``no_lpips`` is why LPIPS is not at hand."""
    of_lpips = ("lpips", "lpips_truth") if reader.true_background else ("lpips",)
    side, several = judges.classifier.crop, "an image may be of several of the judge's classes"
    return {
        **dict.fromkeys((*OF_CLASSES, *OF_FEATURES) if judges.judge is None else (), judges.missing),
        **dict.fromkeys(OF_FEATURES if judges.featureless else (), judges.featureless),
        **dict.fromkeys(of_lpips if no_lpips else (), no_lpips),
        **({"calibration": several} if judges.multi_label else {}),
        **(
            {"ms_ssim": f"needs sides of {SMALLEST_SIDE} px; the classifier's view has {side}"}
            if side < SMALLEST_SIDE
            else {}
        ),
    }


def _label_source(
    wanted: LabelSource | None, data: Dataset, example: Example, judges: Judges
) -> tuple[LabelSource, Sequence[str]]:
    """Return whose word counts: the data's, if the classifier understands it."""
    if judges.judge is None or wanted == "top1":
        return "top1", ()
    error = unknown(data, example, judges.labels)
    if error is None:
        return "data", ()
    if wanted == "data":
        raise ValueError(f"--labels data: {error}") from error
    note = "the classes are the classifier's own top-1 of the untouched images"
    right = judges.judging_classifier is judges.classifier and not judges.multi_label
    return "top1", [f"{note}{', of which it is always right' if right else ''} ({error})"]


def _perceptual(net: Any, side: int, device: torch.device) -> tuple[Perceptual | None, str]:
    """Return LPIPS, or why it cannot be had; its backbone is one of torchvision's networks."""
    backbone = BACKBONES[net].partition("-")[0]  # the file is named after the network and its hash
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


def _settings(
    request: RealismRequest, data: Dataset, regions: Regions, judges: Judges, labels: LabelSource
) -> dict[str, Any]:
    """Return how it is done, in values that JSON has."""
    paths = ("weights", "judge_weights", "segmenter_weights")
    return {
        "data": data.title,
        "holes": regions.kind,
        **{name: getattr(regions, name) for name in ("grow", "side", "superpixels", "hole_area")},
        "classifier": judges.name,
        "judge": request.judge,
        "multi_label": request.multi_label,
        **{name: str(path) if (path := getattr(request, name)) else None for name in paths},
        "segmenter": request.segmenter,
        "segmenter_class": request.segmenter_class,
        "segmenter_point": regions.point,
        "view": {"crop": judges.classifier.crop, "resize": judges.classifier.resize},
        "labels": None if judges.judge is None else labels,
        "correct_only": request.correct_only,
        "reference": request.reference,
        "lpips": request.lpips,
        "seed": request.seed,
        "device": str(judges.classifier.mean.device),
        "precision": precision_kept(request.precision, judges.classifier.mean.device, judges.explained),
        "batch_size": request.batch_size,
    }


def _identity(request: RealismRequest, data: Dataset, judges: Judges) -> dict[str, Any]:
    """Return what figures depend on beside the settings: files, and versions."""
    classifiers = [(judges.classifier, request.classifier)]
    if judges.judging_classifier not in (None, judges.classifier):
        classifiers.append((judges.judging_classifier, request.judge))
    added = {**added_by((), request.classifier), **added_by((), request.judge)}
    return {
        "revision": REVISION,
        "fingerprint": data.fingerprint(),
        "classifiers": [classifier_identity(*each) for each in classifiers],
        "segmenter_weights": content(request.segmenter_weights),
        "segmenter": content(place_of(request.segmenter)),
        "backbone": content(Path(backbone_file(request.lpips))),
        "versions": {**versions(packages=("lpips", "pytorch-msssim")), **added},
    }
