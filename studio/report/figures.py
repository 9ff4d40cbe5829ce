"""The figures of a table: what each is made of, and its value for every image."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from studio.registry.added import metrics
from studio.report.results import Found, Results, Row

Kind: TypeAlias = Literal["mean", "share", "tuned", "by class", "three most frequent"]
"""``share``: of images, each 0 or 1. ``tuned``: the threshold of each half of the photographs is the other's
best.
``by class``: the mean over classes of their means."""
Better: TypeAlias = Literal["lower", "higher", "neither"]
Compared: TypeAlias = Literal["all", "fillers", "nothing"]
"""Between which rows: ``fillers`` of a method alone, where it means something else for each method;
``nothing`` where it is the same for all."""


@dataclass(frozen=True)
class Kinds:
    """How a name's values become a figure.

    Attributes:
        title: ``{}`` stands for the filler that is removed with, or what else follows the name.
        place: Which of the values counts; ``None``: the only one, or that which is tuned.
    """

    pattern: str
    title: str
    better: Better
    kind: Kind = "mean"
    percent: bool = False
    place: float | None = None
    compared: Compared = "all"


KINDS: Sequence[Kinds] = (
    Kinds("localization", "localization error", "lower", "tuned", True),
    Kinds("localization-mean", "localization error, alpha * mean", "lower", "tuned", True),
    Kinds("pointing", "pointing", "higher", "share", True, 0.0),
    Kinds("pointing", "pointing, 15 px", "higher", "share", True, 15.0),
    Kinds("pointing", "pointing, by class", "higher", "by class", True, 0.0),
    Kinds("pointing", "pointing, by class, 15 px", "higher", "by class", True, 15.0),
    Kinds("saliency", "saliency metric", "lower", "tuned"),
    Kinds(r"deletion:(.*)", "deletion, {}", "lower"),
    Kinds(r"insertion:(.*)", "insertion, {}", "higher"),
    Kinds(r"gain:(.*)", "SRG, {}", "higher"),
    Kinds(r"removal:(.*)\.fall", "fall at 5 %, {}", "higher"),
    Kinds(r"removal:(.*)\.beyond", "fall beyond chance, {}", "higher"),
    Kinds("own", "own evidence", "lower"),
    Kinds("outside", "change outside", "lower"),
    Kinds("labels", "3 most frequent labels", "lower", "three most frequent", True),
    Kinds("filled", "score, all filled", "lower"),
    Kinds("scope", "R-OMS", "higher"),
    Kinds(r"object\.removed", "score without object", "lower"),
    Kinds(r"object\.kept", "score of object alone", "higher"),
    Kinds(r"others\.before", "score of other classes", "neither", compared="nothing"),
    Kinds(r"others\.removed", "score of other classes without object", "higher"),
    Kinds(r"others\.stay", "object alone is gone", "higher", "share", True),
    Kinds(r"salient\.precision", "precision", "higher"),
    Kinds(r"salient\.recall", "recall", "higher"),
    Kinds(r"salient\.f", "F (0.3)", "higher"),
    Kinds(r"salient\.mae", "MAE", "lower"),
    Kinds(r"sensitivity([^.]*)\.ssim", "agreement{}, SSIM", "higher", compared="fillers"),
    Kinds(r"sensitivity([^.]*)\.hog", "agreement{}, HOG", "higher", compared="fillers"),
    Kinds(r"sensitivity([^.]*)\.spearman", "agreement{}, Spearman", "higher", compared="fillers"),
    Kinds(r"sensitivity([^.]*)\.deviation", "deviation{}", "neither", compared="fillers"),
    Kinds(r"randomization\.(.*)", "network randomized, {}", "lower", place=1.0),
    Kinds(r"shift\.(.*)", "image tinted, {}", "higher"),
)
OURS = frozenset(re.match(r"[a-z-]+", kinds.pattern)[0] for kinds in KINDS)  # type: ignore[index]
"""The metrics that these are of."""
CURVES = ".curve"
"""How names end whose values are drawn, and make no figure."""


@dataclass(frozen=True, eq=False)
class Figure:
    """A column of the table.

    Attributes:
        key: The values' name, and the place, so that it is unique.
        values: By row and number of the image; of ``three most frequent`` none.
        alphas: By row the thresholds that were tuned, of the even photographs and of the odd ones.
        counts: By row and number how often each label came, of ``three most frequent`` alone.
    """

    key: str
    title: str
    better: Better
    kind: Kind
    percent: bool
    values: Mapping[Row, Mapping[int, float]]
    alphas: Mapping[Row, tuple[float, float]] = field(default_factory=dict)
    counts: Mapping[Row, Mapping[int, Mapping[int, float]]] = field(default_factory=dict)
    compared: Compared = "all"

    @property
    def rows(self) -> Sequence[Row]:
        """The rows that have it."""
        return list(self.counts or self.values)


def figures(results: Results, wanted: Callable[[int], bool] = lambda number: True) -> list[Figure]:
    """Return all figures that the results have values for, of the images that are wanted."""
    rows = {
        row: {number: found for number, found in each.items() if wanted(number)}
        for row, each in results.rows.items()
    }
    names = dict.fromkeys(name for each in rows.values() for found in each.values() for name in found)
    halves = _halves(results, sorted(set[int]().union(*rows.values())))
    made = (_figure(kinds, name, rows, results, halves) for kinds, name in _matching(names))
    return [figure for figure in made if figure is not None]


def without_figure(results: Results) -> list[str]:
    """Return the names of values that make no figure here: the package that adds their metric is not here."""
    rows = results.rows.values()
    names = dict.fromkeys(name for each in rows for found in each.values() for name in found)
    known = {name for _, name in _matching(names)}
    return [name for name in names if name not in known and not name.endswith(CURVES)]


def _matching(names: Mapping[str, None]) -> Iterator[tuple[Kinds, str]]:
    of_others = (
        Kinds(
            f"{name}:(.*)" if added.removes else name,
            f"{name}, {{}}" if added.removes else name,
            added.better,
        )
        for name, added in metrics(OURS).items()
    )
    for kinds in (*KINDS, *of_others):
        fitting = (name for name in names if not name.endswith(CURVES))
        yield from ((kinds, name) for name in fitting if re.fullmatch(kinds.pattern, name))


def _figure(
    kinds: Kinds,
    name: str,
    rows: Mapping[Row, Mapping[int, Found]],
    results: Results,
    halves: Mapping[int, int],
) -> Figure | None:
    found = re.fullmatch(kinds.pattern, name)
    more = found.group(1) if found and found.groups() else ""
    title = kinds.title.format(more.lstrip("-") if ", {}" in kinds.title else more.replace("-", " "))
    having = {
        row: {number: values[name] for number, values in each.items() if name in values}
        for row, each in rows.items()
    }
    having = {row: each for row, each in having.items() if each}
    options = (f"{name}@{kinds.place}@{kinds.kind}", title, kinds.better, kinds.kind, kinds.percent)
    if kinds.kind == "three most frequent":
        counts = {
            row: {number: {int(label): count for label, count in pairs} for number, pairs in each.items()}
            for row, each in having.items()
        }
        return Figure(*options, {}, counts=counts)
    if kinds.kind == "tuned":
        both = {row: each for row, each in having.items() if len({halves[number] for number in each}) == 2}
        tuned = {row: _tuned(each, halves) for row, each in both.items()}
        values = {row: of_image for row, (of_image, _) in tuned.items()}
        return (
            Figure(*options, values, {row: alphas for row, (_, alphas) in tuned.items()}) if tuned else None
        )
    if kinds.kind == "by class" and not _has_classes(results, having):
        return None
    values = {row: _at(each, kinds.place) for row, each in having.items()}
    return Figure(*options, values, compared=kinds.compared)


def _at(values: Mapping[int, np.ndarray], place: float | None) -> dict[int, float]:
    def value(pairs: np.ndarray) -> float:
        return float(pairs[0, 1] if place is None else pairs[np.abs(pairs[:, 0] - place).argmin(), 1])

    return {number: value(pairs) for number, pairs in values.items()}


def _halves(results: Results, numbers: Sequence[int]) -> dict[int, int]:
    """Return the half of each image, the same for all rows: every second photograph is of the other one."""
    photographs = dict.fromkeys(map(results.photograph, numbers))
    places = {photograph: place for place, photograph in enumerate(photographs)}
    return {number: places[results.photograph(number)] % 2 for number in numbers}


def _tuned(
    values: Mapping[int, np.ndarray], halves: Mapping[int, int]
) -> tuple[dict[int, float], tuple[float, float]]:
    """Return each image's value at the threshold that is best for the other half; there are some of both.

    Of equally good thresholds the smallest is taken.
    """
    numbers = sorted(values)
    matrix = np.stack([values[number][:, 1] for number in numbers])
    half = np.array([halves[number] for number in numbers])
    best = [int(matrix[half != this].mean(0).argmin()) for this in (0, 1)]
    chosen = matrix[np.arange(len(numbers)), np.array(best)[half]]
    alphas = values[numbers[0]][:, 0]
    of_image = dict(zip(numbers, chosen.tolist(), strict=True))
    return of_image, (float(alphas[best[0]]), float(alphas[best[1]]))


def _has_classes(results: Results, having: Mapping[Row, Mapping[int, np.ndarray]]) -> bool:
    """Whether there are classes to average over: several, and more images than classes, by far."""
    numbers = {number for each in having.values() for number in each}
    classes = {results.about[number]["target"] for number in numbers}
    return 1 < len(classes) <= len(numbers) / 5
