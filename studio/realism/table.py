"""Figures of all images: with intervals, compared filler by filler, and told as a table."""

from __future__ import annotations

import csv
import math
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from infill.realism.distances import frechet_distance, kernel_distance, two_sample_accuracy
from infill.realism.resampling import (
    Estimate,
    Statistic,
    best,
    bootstrap,
    calibration_error,
    leave_out,
    mean,
    top_share,
)
from studio import version
from studio.realism.batches import Reader
from studio.realism.metrics import METRICS, OF_FEATURES, Metric
from studio.realism.results import Records

if TYPE_CHECKING:
    from studio.realism.setup import Setting

_ARROWS = {"lower": "↓", "higher": "↑", None: " "}
_FOLDS = 5
_PER_IMAGE = (
    "label", "accuracy", "probability", "confidence", "entropy", "ms_ssim", "lpips", "l1", "psnr",
    "lpips_truth",
)  # fmt: skip


def summary(records: Records, made: Setting, seed: int) -> dict[str, Any]:
    """Return what ``realism.json`` says."""
    missing = dict(made.missing)
    figures = _figures(records, seed % 2**64, missing)
    better = {name: _better(name, made.reader) for name in METRICS}
    return {
        "title": made.title,
        "images": len(records.numbers),
        "area": float(np.mean(records.areas)),
        "rows": list(records.values),
        "metrics": {
            name: _metric(METRICS[name], figures[name], list(made.fillers), better[name])
            for name in METRICS
            if name in figures
        },
        "missing": missing,
        "notes": [*made.notes, *_caution(made.reader, figures)],
        "labels": {row: _histogram(values, made.labels) for row, values in records.values.items()},
        "skipped": [{"image": name, "reason": reason} for name, reason in records.skipped],
        "settings": {**made.told, "fillers": made.fillers},
        "versions": _versions(),
    }


def save_csv(records: Records, labels: Sequence[str], path: Path) -> None:
    """Write ``realism.csv``: a line for each image and filler."""
    names = [name for name in _PER_IMAGE if any(name in values for values in records.values.values())]
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["image", "filler", "hole", "target", *names])
        for i, image in enumerate(records.names):
            target = labels[records.targets[i]] if records.targets[i] >= 0 else ""
            for row, values in records.values.items():
                cells = [_cell(name, values[name][i], labels) if name in values else "" for name in names]
                lines.writerow([image, row, f"{records.areas[i]:.6g}", target, *cells])


def text_table(found: Mapping[str, Any], width: int = 15) -> str:
    """Return the table for a terminal: a figure, and below it its interval; columns of ``width`` or more."""
    told = [[_told(metric, row) for row in found["rows"]] for metric in found["metrics"].values()]
    texts = [*found["rows"], *(text for cells in told for cell in cells for text in cell)]
    width = max(width, 1 + max(len(text) for text in texts))
    lines = [f"{found['title']} · {found['images']} images, {100 * found['area']:.1f} % of the view removed"]
    lines.append(" " * 30 + "".join(f"{row:>{width}}" for row in found["rows"]))
    for metric, cells in zip(found["metrics"].values(), told, strict=True):
        arrow = _ARROWS[metric["better"]]
        lines.append(f"{metric['title']:27} {arrow} " + "".join(f"{value:>{width}}" for value, _ in cells))
        lines.append(" " * 30 + "".join(f"{interval:>{width}}" for _, interval in cells))
    return "\n".join([*lines, "", *remarks(found)])


def markdown_table(found: Mapping[str, Any]) -> str:
    """Return the table as Markdown."""
    lines = ["| | " + " | ".join(found["rows"]) + " |", "|---|" + "---|" * len(found["rows"])]
    for metric in found["metrics"].values():
        cells = [" ".join(_told(metric, row)).strip() for row in found["rows"]]
        lines.append(f"| {metric['title']} {_ARROWS[metric['better']]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def remarks(found: Mapping[str, Any]) -> list[str]:
    """Return what must be said below the table."""
    told = [
        "below each figure: its 95 % interval over images; *: better than every other filler (no interval of "
        "their paired differences contains 0)"
    ]
    frequent = [_frequent(row, labels) for row, labels in found["labels"].items() if labels]
    told += [f"most frequent labels: {'; '.join(frequent)}"] if frequent else []
    told += [f"note: {note}" for note in found["notes"]]
    reasons: dict[str, list[str]] = {}
    for name, reason in found["missing"].items():
        reasons.setdefault(reason, []).append(METRICS[name].title.split(",")[0])
    told += [f"left out: {'; '.join(titles)} ({reason})" for reason, titles in reasons.items()]
    skipped = found["skipped"]
    if skipped:
        told.append(f"skipped {len(skipped)} images that could not be used (all are in realism.json):")
        told += [f"  {each['image']}: {each['reason']}" for each in skipped[:5]]
    return told


def _frequent(row: str, labels: Mapping[str, int]) -> str:
    """Return the first labels of a row's histogram, without their numbers."""
    return f"{row}: " + ", ".join(
        f"{name.split(' ', 1)[1]} {count}" for name, count in list(labels.items())[:3]
    )


def _figures(records: Records, seed: int, missing: dict[str, str]) -> dict[str, dict[str, Estimate]]:
    """Return the estimates by metric and row; a metric that needs more images goes to ``missing``."""
    found: dict[str, dict[str, Estimate]] = {}
    for resampled, statistics in ((bootstrap, _means), (leave_out, _shapes)):
        asked = {
            f"{name}/{row}": statistic
            for row, values in records.values.items()
            for name, statistic in statistics(values).items()
        }
        rng = torch.Generator().manual_seed(seed)
        for place, estimate in resampled(asked, len(records.numbers), rng).items():
            name, row = place.split("/", 1)
            found.setdefault(name, {})[row] = estimate
    if "accuracy" in found:
        for name, figures in _of_features(records, seed, missing).items():
            found[name] = figures
    return found


def _means(values: Mapping[str, np.ndarray]) -> dict[str, Statistic]:
    return {name: mean(torch.from_numpy(values[name])) for name in METRICS if name in values}


def _shapes(values: Mapping[str, np.ndarray]) -> dict[str, Statistic]:
    """Figures of how predictions are distributed, which are no means."""
    if "label" not in values:
        return {}
    shapes = {"top3": top_share(torch.from_numpy(values["label"]))}
    if "confidence" in values:
        confidence, accuracy = (torch.from_numpy(values[name]) for name in ("confidence", "accuracy"))
        shapes["calibration"] = calibration_error(confidence, accuracy > 0.5)
    return shapes


def _of_features(records: Records, seed: int, missing: dict[str, str]) -> dict[str, dict[str, Estimate]]:
    count = len(records.numbers)
    least = {"frechet": 2, "kernel": 2, "two_sample": 2 * _FOLDS}
    for name in OF_FEATURES:
        if name not in missing and count < least[name]:
            missing[name] = f"needs at least {least[name]} images, got {count}"
    if missing.keys() >= set(OF_FEATURES):
        return {}
    found: dict[str, dict[str, Estimate]] = {}
    with TemporaryDirectory() as scratch:
        real = records.features(records.reference, Path(scratch))
        for row in records.values:
            ours = records.features(row, Path(scratch)) if row != records.reference else real
            for name in OF_FEATURES:
                if name not in missing:
                    found.setdefault(name, {})[row] = _compared(name, ours, real, seed)
    return found


def _compared(name: str, ours: torch.Tensor, real: torch.Tensor, seed: int) -> Estimate:
    rng = torch.Generator().manual_seed(seed)
    if name == "two_sample":
        right = two_sample_accuracy(ours, real, seed, _FOLDS)
        return bootstrap({name: mean(right)}, len(right), rng)[name]
    return (frechet_distance if name == "frechet" else kernel_distance)(ours, real, rng)


def _better(name: str, reader: Reader) -> str | None:
    """Return what is better; nothing, where real images differ from composites for more than one reason."""
    if not reader.regions.removes:
        return METRICS[name].kept
    return None if name in OF_FEATURES and not reader.true_background else METRICS[name].removed


def _caution(reader: Reader, figures: Mapping[str, Any]) -> list[str]:
    if not any(name in figures and _better(name, reader) is None for name in OF_FEATURES):
        return []
    return [
        "the real images still have the object: Frechet distance, kernel distance and telling them apart say "
        "how much changed, for whatever reason, not what is better"
    ]


def _metric(
    metric: Metric, figures: Mapping[str, Estimate], fillers: Sequence[str], better: str | None
) -> dict[str, Any]:
    index = best([figures[name] for name in fillers], better == "lower") if better else None
    return {
        "title": metric.title,
        "better": better,
        "scale": metric.scale,
        "digits": metric.digits,
        "figures": {row: _numbers(estimate, metric.possible) for row, estimate in figures.items()},
        "best": None if index is None else fillers[index],
        "differences": [
            {"of": one, "from": other, **_numbers(gap), "sure": gap.sure}
            for one, other in combinations(figures, 2)
            for gap in [figures[one].minus(figures[other])]
        ],
    }


def _numbers(estimate: Estimate, possible: tuple[float, float] = (-math.inf, math.inf)) -> dict[str, Any]:
    if estimate.interval is None:
        return {"value": estimate.value, "low": None, "high": None}
    # Student's interval of a few images goes beyond what there is.
    low, high = (min(max(bound, possible[0]), possible[1]) for bound in estimate.interval)
    return {"value": estimate.value, "low": low, "high": high}


def _told(metric: Mapping[str, Any], row: str) -> tuple[str, str]:
    """Return a figure and its interval."""
    figure, digits, scale = metric["figures"][row], metric["digits"], metric["scale"]
    star = "*" if metric["best"] == row else " "
    value = f"{scale * figure['value']:{digits}}{star}"
    if figure["low"] is None:
        return value, ""
    return value, f"{scale * figure['low']:{digits}}…{scale * figure['high']:{digits}} "


def _histogram(values: Mapping[str, np.ndarray], labels: Sequence[str]) -> dict[str, int]:
    """Return how often each label is the top one, the most frequent first."""
    counted = Counter(values.get("label", np.empty(0, dtype=int)).tolist())
    return {f"{index} {labels[index]}": count for index, count in counted.most_common()}


def _cell(name: str, value: Any, labels: Sequence[str]) -> str:
    return labels[int(value)] if name == "label" else f"{float(value):.6g}"


def _versions() -> dict[str, str]:
    from importlib.metadata import version as installed

    packages = ("torch", "torchvision", "lpips", "pytorch-msssim", "scikit-learn")
    return {
        "infill": version(),
        "python": platform.python_version(),
        **{package: installed(package) for package in packages},
    }
