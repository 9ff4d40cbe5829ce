"""How sure the figures are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from infill.realism.resampling import (
    DRAWS,
    LEAST,
    Estimate,
    ResampleWeights,
    Statistic,
    bootstrap,
    group_places,
    leave_out,
    mean,
    share,
    together,
)
from studio.report.figures import Figure
from studio.report.results import Results, Row

_SHARES = ("share", "tuned", "by class")
"""Kinds of figures that are shares of images, if they are in percent."""


@dataclass(frozen=True)
class Value:
    """A figure of one row.

    Attributes:
        low, high: Its 95 % interval over photographs; ``None`` if there are too few.
        images: How many.
    """

    value: float
    low: float | None
    high: float | None
    images: int


def values(figure: Figure, results: Results, seed: int) -> dict[Row, Value]:
    """Return the figure of every row that has it."""
    found = {}
    for row in figure.rows:
        numbers = sorted(figure.counts[row] if figure.counts else figure.values[row])
        place = group_places([results.photograph(number) for number in numbers])
        count = int(place.max()) + 1
        statistic = {"": together(_statistic(figure, row, numbers, results), place)}
        generator = torch.Generator().manual_seed(seed % 2**63)
        enough = count >= LEAST
        if figure.counts:  # no mean: an image that is drawn twice would make its labels frequent
            estimate = leave_out(statistic, count, generator)[""]
        else:
            estimate = bootstrap(statistic, count, generator, DRAWS if enough else 0)[""]
        if figure.percent and figure.kind in _SHARES:
            hits = torch.tensor([figure.values[row][number] for number in numbers], dtype=torch.float64)
            classes = group_places(_classes(numbers, results)) if figure.kind == "by class" else None
            estimate = share(estimate, hits, place, classes)
        low, high = _interval(figure, estimate) if enough else (None, None)
        found[row] = Value(estimate.value, low, high, len(numbers))
    return found


def _interval(figure: Figure, estimate: Estimate) -> tuple[float | None, float | None]:
    low, high = estimate.interval or (None, None)
    if figure.counts and low is not None and high is not None:  # Student's knows no bounds, nor images alike
        alike = math.isclose(low, high, abs_tol=1e-9)
        return (None, None) if alike else (max(low, 0.0), min(high, 1.0))
    return low, high


def _statistic(figure: Figure, row: Row, numbers: Sequence[int], results: Results) -> Statistic:
    if figure.kind == "three most frequent":
        return _three_most_frequent([figure.counts[row][number] for number in numbers])
    each = torch.tensor([figure.values[row][number] for number in numbers], dtype=torch.float64)
    if figure.kind == "by class":
        return _by_class(each, _classes(numbers, results))
    return mean(each)


def _classes(numbers: Sequence[int], results: Results) -> list[int]:
    return [int(results.about[number]["target"]) for number in numbers]


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
