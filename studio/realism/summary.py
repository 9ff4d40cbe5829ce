"""What ``realism.json`` says: all figures with intervals, compared filler by filler."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from infill.realism.distances import frechet_distance, kernel_distance, two_sample_accuracy
from infill.realism.resampling import (
    LEAST,
    Estimate,
    Statistic,
    best,
    bootstrap,
    calibration_error,
    group_places,
    leave_out,
    mean,
    share,
    together,
    top_share,
)
from infill.realism.unpaired import frechet_to_others, kernel_to_others
from studio.libraries import versions
from studio.realism.batches import Reader
from studio.realism.metrics import METRICS, OF_FEATURES, Metric
from studio.realism.results import Results

if TYPE_CHECKING:
    from studio.realism.setup import Setup

_FOLDS = 5
TO_OTHERS = {"frechet": frechet_to_others, "kernel": kernel_to_others}
"""How a set is compared with images that it has nothing to do with."""


def summarize(results: Results, setup: Setup, seed: int) -> dict[str, Any]:
    """Return what ``realism.json`` says."""
    missing = dict(setup.missing)
    photographs = [setup.data.photographs[number] for number in results.numbers]
    figures = _figures(results, photographs, seed % 2**64, missing)
    others = bool(results.others)
    better = {name: _better(name, setup.reader, others) for name in METRICS}
    return {
        "title": setup.title,
        "images": len(results.numbers),
        "area": float(np.mean(results.areas)),
        "rows": list(results.values),
        "metrics": {
            name: _metric(METRICS[name], figures[name], list(setup.fillers), better[name])
            for name in METRICS
            if name in figures
        },
        "missing": missing,
        "notes": [
            *setup.notes,
            *_caution(better, figures),
            *_compared_with(setup, results),
            *_once(photographs, figures),
        ],
        "labels": {row: _histogram(values, setup.labels) for row, values in results.values.items()},
        "skipped": [{"image": name, "reason": reason} for name, reason in results.skipped],
        "settings": {**setup.settings, "fillers": setup.fillers},
        "versions": versions(packages=("lpips", "pytorch-msssim", "scikit-learn")),
    }


def _figures(
    results: Results, photographs: Sequence[str], seed: int, missing: dict[str, str]
) -> dict[str, dict[str, Estimate]]:
    """Return the estimates by metric and row; a metric that needs more images goes to ``missing``.

    Several images of one photograph are drawn together, and of few photographs nothing is sure.
    """
    place = group_places(photographs)
    count = int(place.max()) + 1
    estimates: dict[str, dict[str, Estimate]] = {}
    for resampled, statistics in ((bootstrap, _means), (leave_out, _shapes)):
        wanted = {
            f"{name}/{row}": together(statistic, place)
            for row, values in results.values.items()
            for name, statistic in statistics(values).items()
        }
        rng = torch.Generator().manual_seed(seed)
        for key, estimate in resampled(wanted, count, rng).items():
            name, row = key.split("/", 1)
            if name == "accuracy":
                estimate = share(estimate, torch.from_numpy(results.values[row][name]), place)
            estimates.setdefault(name, {})[row] = estimate
    if "accuracy" in estimates:
        firsts = [photographs.index(photograph) for photograph in dict.fromkeys(photographs)]
        for name, figures in _of_features(results, firsts, seed, missing).items():
            estimates[name] = figures
    if count >= LEAST:
        return estimates
    return {name: {row: each.alone for row, each in rows.items()} for name, rows in estimates.items()}


def _means(values: Mapping[str, np.ndarray]) -> dict[str, Statistic]:
    return {name: mean(torch.from_numpy(values[name]), name) for name in METRICS if name in values}


def _shapes(values: Mapping[str, np.ndarray]) -> dict[str, Statistic]:
    """Figures of how predictions are distributed, which are no means."""
    if "label" not in values:
        return {}
    shapes = {"top3": top_share(torch.from_numpy(values["label"]))}
    if "confidence" in values:
        confidence, accuracy = (torch.from_numpy(values[name]) for name in ("confidence", "accuracy"))
        shapes["calibration"] = calibration_error(confidence, accuracy > 0.5)
    return shapes


def _of_features(
    results: Results, firsts: Sequence[int], seed: int, missing: dict[str, str]
) -> dict[str, dict[str, Estimate]]:
    """Compare sets of features, in which each photograph is once, by its first image.

    Twice in one set, it would be on both sides of a probe, and the untouched one nearest to itself.
    """
    count = len(firsts)
    least = {"frechet": 2, "kernel": 2, "two_sample": 2 * _FOLDS}
    for name in OF_FEATURES:
        if name not in missing and count < least[name]:
            missing[name] = f"needs at least {least[name]} images, got {count}"
    names = [name for name in OF_FEATURES if name not in missing]
    if not names:
        return {}
    with TemporaryDirectory() as scratch:
        load = partial(_features, results, firsts, Path(scratch))
        real = load(results.reference)
        others = results.features_of_others if results.others else None
        of_rows = {
            row: _distances(names, real if row == results.reference else load(row), real, others, seed)
            for row in results.values
        }
    return {name: {row: found[name] for row, found in of_rows.items()} for name in names}


def _features(results: Results, firsts: Sequence[int], scratch: Path, row: str) -> torch.Tensor:
    features = results.features(row, scratch)
    return features if len(firsts) == len(features) else features[list(firsts)]  # all may be beyond memory


def _distances(
    names: Sequence[str], features: torch.Tensor, real: torch.Tensor, others: torch.Tensor | None, seed: int
) -> dict[str, Estimate]:
    found = {}
    for name in names:
        if others is not None and name in TO_OTHERS:
            found[name] = TO_OTHERS[name](features, others, torch.Generator().manual_seed(seed))
        else:
            found[name] = _compared(name, features, real, seed)
    return found


def _compared(name: str, features: torch.Tensor, real: torch.Tensor, seed: int) -> Estimate:
    rng = torch.Generator().manual_seed(seed)
    if name == "two_sample":
        correct = two_sample_accuracy(features, real, seed, _FOLDS)
        estimate = bootstrap({name: mean(correct)}, len(correct), rng)[name]
        return share(estimate, correct, torch.arange(len(correct)))
    return (frechet_distance if name == "frechet" else kernel_distance)(features, real, rng)


def _better(name: str, reader: Reader, others: bool) -> str | None:
    """Return what is better; nothing, where real images differ from composites for more than one reason."""
    if not reader.regions.removes:
        return METRICS[name].kept
    known = reader.true_background or (others and name in TO_OTHERS)
    return None if name in OF_FEATURES and not known else METRICS[name].removed


def _caution(better: Mapping[str, str | None], figures: Mapping[str, Any]) -> list[str]:
    unclear = [name for name in OF_FEATURES if name in figures and better[name] is None]
    if not unclear:
        return []
    titles = (
        "telling them apart says"
        if len(unclear) == 1
        else ("Frechet distance, kernel distance and telling them apart say")
    )
    return [
        f"the real images still have the object: {titles} how much changed, for whatever reason, not what "
        "is better"
    ]


def _compared_with(setup: Setup, results: Results) -> list[str]:
    if not results.others or setup.reference is None:
        return []
    count, read = len(setup.reference), len(results.features_of_others)
    left = f" ({count - read} could not be read)" if read < count else ""
    images = f"the {read} images of {setup.reference.title}{left}"
    return [f"Frechet and kernel distance are those to {images}, not to the same"]


def _once(photographs: Sequence[str], figures: Mapping[str, Any]) -> list[str]:
    count = len(set(photographs))
    if count == len(photographs) or not figures.keys() & set(OF_FEATURES):
        return []
    return [f"Frechet and kernel distance and telling apart are of the {count} photographs, each once"]


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


def _histogram(values: Mapping[str, np.ndarray], labels: Sequence[str]) -> dict[str, int]:
    """Return how often each label is the top one, the most frequent first."""
    counted = Counter(values.get("label", np.empty(0, dtype=int)).tolist())
    return {f"{index} {labels[index]}": count for index, count in counted.most_common()}
