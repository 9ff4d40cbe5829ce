"""Metrics that run a method again: with other settings, other seeds, another network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch

from attribution import PredictionDifference
from attribution.evaluation.agreement import AGREEMENTS, agreement, agreement_across, pixel_deviation
from attribution.evaluation.sanity import layers, randomized, shifted
from studio.evaluate.explained import Explained

if TYPE_CHECKING:
    from torch import Tensor

    from attribution import Explainer
    from studio.runs.part import Values

PATCHES = (5, 17, 29, 41, 53)
CELLS = (28, 56, 112)
SEEDS = 5
SEGMENTS = (50, 150)
"""What Agarwal & Nguyen (2020, sec. 4.4) change: SP's patch, LIME's seed at two numbers of superpixels, and
MP2's grid."""
SAMPLES = 500
"""Of LIME there, at most; elsewhere the paper draws 1000."""
SHARES = (0.0, 0.25, 0.5, 1.0)
"""Of the layers that are randomized from the last one on; 0: the last one alone."""

TINT = (1.0, 0.5, 0.0)
"""The color with which images are mixed to see whether heatmaps follow."""


def sensitivity(explained: Explained, _: str) -> Values:
    """Return the agreement of the heatmaps of several settings, over all pairs, and their deviation.

    Raises:
        ValueError: If the method has neither such a setting nor a seed.
    """
    method = cast("Explainer", explained.method)
    fields = {field.name for field in dataclasses.fields(method)}  # type: ignore[arg-type]
    if "segments" in fields:
        return _of_superpixels(explained, method)
    values = _heatmaps(explained, _variants(method, fields))
    return _told(agreement(values), pixel_deviation(values))


def _variants(method: Any, fields: set[str]) -> Sequence[Explainer]:
    if "patch" in fields:
        return [replace(method, patch=patch, **_overlapping(method, patch)) for patch in PATCHES]
    if "seed" in fields:
        return [replace(method, seed=method.seed + number) for number in range(SEEDS)]
    if "cells" in fields:
        return [replace(method, cells=cells) for cells in CELLS]
    raise ValueError("sensitivity: the method has no patch, grid or seed to be changed")


def _overlapping(method: Any, patch: int) -> dict[str, int]:
    """Return the stride that a smaller patch needs of a method whose patches must cover the image."""
    covering = isinstance(method, PredictionDifference) or getattr(method, "average", False)
    return {"stride": min(method.stride, patch)} if covering else {}


def _of_superpixels(explained: Explained, method: Any) -> Values:
    """LIME's agreement between seeds, at each number of superpixels and across both."""
    method = replace(method, samples=min(method.samples, SAMPLES))
    maps = {
        count: _heatmaps(
            explained,
            [replace(method, segments=count, seed=method.seed + number) for number in range(SEEDS)],
        )
        for count in SEGMENTS
    }
    fine, coarse = maps[SEGMENTS[1]], maps[SEGMENTS[0]]
    return {
        **_told(agreement(coarse), pixel_deviation(coarse)),
        **_told(agreement(fine), pixel_deviation(fine), f"-{SEGMENTS[1]}"),
        **_told(agreement_across(coarse[:1], fine[:1]), None, "-across"),
    }


def _heatmaps(explained: Explained, methods: Sequence[Explainer]) -> Tensor:
    return torch.stack([method(explained.score)[0].float().cpu() for method in methods])


def _told(found: dict[str, float], deviation: float | None, suffix: str = "") -> Values:
    values = {f"sensitivity{suffix}.{name}": [(math.nan, value)] for name, value in found.items()}
    if deviation is not None:
        values[f"sensitivity{suffix}.deviation"] = [(math.nan, deviation)]
    return values


def randomization(explained: Explained, _: str) -> Values:
    """Return how far heatmaps of networks that lost more and more layers agree with that of the whole one.

    Optimizing methods need a network that sees the class: their figure is of those images alone where what is
    left of it does, by chance, at every stop; others' is of all.

    Places are the shares of layers that are lost, from the last one on (`attribution.evaluation.sanity`).

    Raises:
        ValueError: If the classifier has no layers, or the method cannot work with what is left of it.
    """
    classifier, method = explained.subject.classifier, cast("Explainer", explained.method)
    count = len(layers(classifier.network))
    stops = sorted({max(1, round(share * count)) for share in SHARES})
    chance = explained.subject.chance("network")
    values: dict[str, list[tuple[float, float]]] = {}
    for stop, (_, network) in zip(stops, randomized(classifier.network, chance, stops=stops), strict=True):
        score = replace(explained.score, classifier=classifier.with_network(network))
        lost = method(score)[0].float().cpu()
        for name, alike in AGREEMENTS.items():
            found = alike(explained.heatmap.float().cpu(), lost)
            values.setdefault(f"randomization.{name}", []).append((stop / count, found))
    return values


def shift(explained: Explained, _: str) -> Values:
    """Return how far the heatmap of a tinted image, of which the classifier says the same, is the same.

    Raises:
        ValueError: If the filler is made for the image as it is.
    """
    score, method = explained.score, cast("Explainer", explained.method)
    color = torch.tensor(TINT, device=score.image.device)
    tinted = method(shifted(score, explained.subject.classifier, color))[0].float().cpu()
    return {
        f"shift.{name}": [(math.nan, alike(explained.heatmap.float().cpu(), tinted))]
        for name, alike in AGREEMENTS.items()
    }
