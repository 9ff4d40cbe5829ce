"""How sure the figures are, and whether one filler's are better than another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from infill.realism.resampling import DRAWS, Estimate, ResampleWeights, Statistic, bootstrap, leave_out, mean
from studio.report.figures import Figure
from studio.report.results import Results, Row

LEAST = 10
"""Images below which no interval is given."""
SURE = 0.05
"""Probabilities below which a difference is told."""
_FLIPS = 9999


@dataclass(frozen=True)
class Value:
    """A figure of one row.

    Attributes:
        low, high: Its 95 % interval over images; ``None`` if there are too few.
        images: How many.
    """

    value: float
    low: float | None
    high: float | None
    images: int


@dataclass(frozen=True)
class Difference:
    """What a figure of a method with one filler is beyond that of the same method with another.

    Attributes:
        low, high: Its 95 % interval over the images that both have.
        p: That both are the same, by exchanging them image by image; corrected for all comparisons (Holm).
    """

    figure: str
    method: str
    filler: str
    other: str
    value: float
    low: float | None
    high: float | None
    p: float
    images: int
    better: bool | None


def values(figure: Figure, results: Results, seed: int) -> dict[Row, Value]:
    """Return the figure of every row that has it."""
    found = {}
    for row in figure.rows:
        numbers = sorted(figure.counts[row] if figure.counts else figure.values[row])
        statistic = _statistic(figure, row, numbers, results)
        generator = torch.Generator().manual_seed(seed % 2**63)
        enough = len(numbers) >= LEAST
        if figure.counts:  # no mean: an image that is drawn twice would make its labels frequent
            estimate = leave_out({"": statistic}, len(numbers), generator)[""]
        else:
            estimate = bootstrap({"": statistic}, len(numbers), generator, DRAWS if enough else 0)[""]
        low, high = _interval(figure, row, estimate) if enough else (None, None)
        found[row] = Value(estimate.value, low, high, len(numbers))
    return found


def _interval(figure: Figure, row: Row, estimate: Estimate) -> tuple[float | None, float | None]:
    """Wilson's for a share of images, which is not 0...0 when none is a hit; else the bootstrap's."""
    each = list(figure.values[row].values()) if figure.values else []
    if figure.kind in ("share", "tuned") and set(each) <= {0.0, 1.0}:
        from scipy.stats import binomtest

        bounds = binomtest(int(sum(each)), len(each)).proportion_ci(method="wilson")
        return float(bounds.low), float(bounds.high)
    low, high = estimate.interval or (None, None)
    return low, high


def _statistic(figure: Figure, row: Row, numbers: Sequence[int], results: Results) -> Statistic:
    if figure.kind == "three most frequent":
        return _three_most_frequent([figure.counts[row][number] for number in numbers])
    each = torch.tensor([figure.values[row][number] for number in numbers], dtype=torch.float64)
    if figure.kind == "by class":
        return _by_class(each, [int(results.about[number]["target"]) for number in numbers])
    return mean(each)


def _by_class(each: torch.Tensor, classes: Sequence[int]) -> Statistic:
    """The mean over classes of their means; a class without an image in a resample is left out there."""
    names = sorted(set(classes))
    member = torch.zeros(len(classes), len(names), dtype=torch.float64)
    member[torch.arange(len(classes)), torch.tensor([names.index(name) for name in classes])] = 1

    def statistic(weights: ResampleWeights) -> torch.Tensor:
        drawn = weights @ member
        means = (weights * each) @ member / drawn.clamp_min(1)
        return means.sum(1) / (drawn > 0).sum(1)

    return statistic


def _three_most_frequent(counts: Sequence[Mapping[int, float]]) -> Statistic:
    labels = sorted({label for each in counts for label in each})
    table = torch.zeros(len(counts), len(labels), dtype=torch.float64)
    for i, each in enumerate(counts):
        for label, count in each.items():
            table[i, labels.index(label)] = count

    def statistic(weights: ResampleWeights) -> torch.Tensor:
        tally = weights @ table
        return tally.topk(min(3, len(labels)), dim=1).values.sum(1) / tally.sum(1)

    return statistic


def differences(figures: Sequence[Figure], seed: int) -> list[Difference]:
    """Return what every filler but a method's first changes, for all figures that are means over images."""
    found = [
        _difference(figure, method, filler, first, seed)
        for figure in figures
        if figure.kind in ("mean", "share", "tuned")
        for method, first, others in _fillers(figure)
        for filler in others
    ]
    compared = [each for each in found if each is not None]
    corrected = holm([each.p for each in compared])
    return [replace(each, p=p) for each, p in zip(compared, corrected, strict=True)]


def _fillers(figure: Figure) -> list[tuple[str, str, list[str]]]:
    of_method: dict[str, list[str]] = {}
    for method, filler in figure.values:
        if filler:
            of_method.setdefault(method, []).append(filler)
    return [(method, fillers[0], fillers[1:]) for method, fillers in of_method.items()]


def _difference(figure: Figure, method: str, filler: str, first: str, seed: int) -> Difference | None:
    ours, theirs = figure.values[method, filler], figure.values[method, first]
    numbers = sorted(ours.keys() & theirs.keys())
    if len(numbers) < LEAST:
        return None
    change = np.array([ours[number] - theirs[number] for number in numbers])
    generator = torch.Generator().manual_seed(seed % 2**63)
    estimate = bootstrap({"": mean(torch.from_numpy(change))}, len(numbers), generator)[""]
    low, high = estimate.interval or (None, None)
    better = {"neither": None, "lower": estimate.value < 0, "higher": estimate.value > 0}[figure.better]
    p = exchanged(change, seed)
    return Difference(figure.title, method, filler, first, estimate.value, low, high, p, len(numbers), better)


def exchanged(change: np.ndarray, seed: int) -> float:
    """Return how probable a mean as far from 0 is with signs left to chance: a paired permutation test."""
    rng: Any = np.random.default_rng(seed % 2**63)
    size, as_far = abs(change.mean()), 0
    if not change.any():
        return 1.0
    for start in range(0, _FLIPS, 500):
        signs = rng.integers(0, 2, (min(500, _FLIPS - start), len(change))) * 2 - 1
        as_far += int((np.abs(signs @ change) / len(change) >= size - 1e-12).sum())
    return (as_far + 1) / (_FLIPS + 1)


def holm(chances: Sequence[float]) -> list[float]:
    """Return the probabilities corrected for their number, step by step from the smallest (Holm 1979)."""
    corrected = [1.0] * len(chances)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        largest = max(largest, min(1.0, chances[place] * (len(chances) - rank)))
        corrected[place] = largest
    return corrected
