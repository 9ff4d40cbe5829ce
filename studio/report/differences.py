"""Whether one row's figures are better than another's, by paired differences."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from infill.realism.resampling import DRAWS, LEAST, Estimate, bootstrap, group_places, mean, together
from studio.report.figures import Figure
from studio.report.results import Row

SURE = 0.05
"""Probabilities below which a difference is told."""
BASELINES: Sequence[Row] = (("center", ""), ("random", ""))
"""What every method should be better than. What is annotated is no rival, but the truth and its contrary."""
_FLIPS, _FLIPS_EACH = 9999, 100
"""How often signs are drawn, and for every comparison at least."""
_ROUNDING = 1e-12
"""Of the mean of numbers without their signs: how far a mean may be from what it should be."""


@dataclass(frozen=True)
class Difference:
    """What a figure of one row is beyond that of another one.

    Attributes:
        family: The comparisons that it is corrected with, one of `FAMILIES`.
        low, high: Its 95 % interval over the photographs that both have; ``None`` where hits and misses all
            change alike.
        p: That both are the same, by exchanging them photograph by photograph; corrected for all comparisons
            of its family (Holm).
    """

    figure: str
    family: str
    row: Row
    other: Row
    value: float
    low: float | None
    high: float | None
    p: float
    images: int
    better: bool | None


Pairs = Iterator[tuple[Row, Row]]


def _to_first_filler(rows: Sequence[Row]) -> Pairs:
    first: dict[str, Row] = {}
    for row in _of_methods(rows):
        if first.setdefault(row[0], row) != row:
            yield row, first[row[0]]


def _to_baselines(rows: Sequence[Row]) -> Pairs:
    yield from ((row, other) for row in _of_methods(rows) for other in BASELINES if other in rows)


def _to_first_method(rows: Sequence[Row]) -> Pairs:
    first: dict[str, Row] = {}
    for row in _of_methods(rows):
        if first.setdefault(row[1], row) != row:
            yield row, first[row[1]]


def _of_methods(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row[1]]


FAMILIES: Mapping[str, Callable[[Sequence[Row]], Pairs]] = {
    "between fillers": _to_first_filler,
    "to the baselines": _to_baselines,
    "between methods": _to_first_method,
}
"""What is compared: every filler with its method's first; every row with the baselines that were run; every
method with the first one that has the same filler."""


@dataclass(frozen=True, eq=False)
class _Change:
    """What one row is beyond another.

    Attributes:
        of_image: For each image that both have.
        place: The place of each one's photograph.
    """

    of_image: np.ndarray
    place: torch.Tensor

    @property
    def photographs(self) -> int:
        return int(self.place.max()) + 1 if len(self.place) else 0

    @property
    def of_photograph(self) -> np.ndarray:
        """The sum over each photograph's images."""
        return np.bincount(self.place.numpy(), self.of_image, self.photographs)


def differences(
    figures: Sequence[Figure], seed: int, photograph: Callable[[int], Hashable] = lambda number: number
) -> list[Difference]:
    """Return the differences of all families, for all figures that are means over images.

    ``photograph`` says of which one an image is; by default each is of its own.
    """
    means = [figure for figure in figures if figure.kind in ("mean", "share", "tuned")]
    return [each for family in FAMILIES for each in _corrected(means, family, seed, photograph)]


def _corrected(
    figures: Sequence[Figure], family: str, seed: int, photograph: Callable[[int], Hashable]
) -> list[Difference]:
    compared = [figure for figure in figures if family in _families(figure)]
    pairs = [(figure, *pair) for figure in compared for pair in FAMILIES[family](list(figure.values))]
    changes = [_change(*each, photograph) for each in pairs]
    many = [
        (*pair, change) for pair, change in zip(pairs, changes, strict=True) if change.photographs >= LEAST
    ]
    corrected = holm(exchanged([change.of_photograph for *_, change in many], seed))
    return [_difference(family, *each, p, seed) for each, p in zip(many, corrected, strict=True)]


def _families(figure: Figure) -> Sequence[str]:
    return {"all": tuple(FAMILIES), "fillers": ("between fillers",), "nothing": ()}[figure.compared]


def _change(figure: Figure, row: Row, other: Row, photograph: Callable[[int], Hashable]) -> _Change:
    ours, theirs = figure.values[row], figure.values[other]
    numbers = sorted(ours.keys() & theirs.keys())
    of_image = np.array([ours[number] - theirs[number] for number in numbers])
    return _Change(of_image, group_places([photograph(number) for number in numbers]))


def _difference(
    family: str, figure: Figure, row: Row, other: Row, change: _Change, p: float, seed: int
) -> Difference:
    estimate = estimated(change.of_image, change.place, seed, hits=figure.kind in ("share", "tuned"))
    low, high = estimate.interval or (None, None)
    better = {"neither": None, "lower": estimate.value < 0, "higher": estimate.value > 0}[figure.better]
    images = len(change.of_image)
    return Difference(figure.title, family, row, other, estimate.value, low, high, p, images, better)


def estimated(change: np.ndarray, place: torch.Tensor, seed: int, hits: bool) -> Estimate:
    """Return the mean change of images, with its interval over the photographs whose places these are.

    There is none of less than `LEAST` photographs; nor of ``hits`` that all change alike, of which the
    bootstrap would say that no other image could be different.
    """
    count = int(place.max()) + 1
    known = count >= LEAST and not (hits and len(np.unique(change)) == 1)
    chance = torch.Generator().manual_seed(seed % 2**63)
    statistic = together(mean(torch.from_numpy(change)), place)
    return bootstrap({"": statistic}, count, chance, DRAWS if known else 0)[""]


def exchanged(changes: Sequence[np.ndarray], seed: int) -> list[float]:
    """Return how probable each one's sum, as far from 0, is with signs left to chance.

    A paired permutation test, of so many signs that the least it can say, corrected for all, is sure.
    """
    flips = max(_FLIPS, _FLIPS_EACH * len(changes) - 1)
    chances = [1.0] * len(changes)
    by_length: dict[int, list[int]] = {}
    for place, change in enumerate(changes):
        if change.any():
            by_length.setdefault(len(change), []).append(place)
    for length, places in by_length.items():
        together = np.stack([changes[place] for place in places], 1)
        rng: Any = np.random.default_rng(seed % 2**63)
        # Sums of the same numbers in other orders differ in their last digits.
        size = np.abs(together.mean(0)) - _ROUNDING * np.abs(together).mean(0)
        as_far = np.zeros(len(places), int)
        for start in range(0, flips, 500):
            signs = rng.integers(0, 2, (min(500, flips - start), length)) * 2 - 1
            as_far += (np.abs(signs @ together) / length >= size).sum(0)
        for place, count in zip(places, as_far, strict=True):
            chances[place] = (int(count) + 1) / (flips + 1)
    return chances


def holm(chances: Sequence[float]) -> list[float]:
    """Return the probabilities corrected for their number, step by step from the smallest (Holm 1979)."""
    corrected = [1.0] * len(chances)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        largest = max(largest, min(1.0, chances[place] * (len(chances) - rank)))
        corrected[place] = largest
    return corrected
