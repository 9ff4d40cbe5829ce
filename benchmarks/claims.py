"""What papers claim, held against runs of `infill evaluate`, by paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmarks.report import table
from infill.realism.resampling import LEAST, group_places
from studio.report.attacked import Kept
from studio.report.compare import values
from studio.report.differences import SURE, estimated, exchanged, holm
from studio.report.figures import Figure, figures
from studio.report.results import Results, Row, read
from studio.report.tables import headed, interval, named, number

SHOWN = (
    "localization error",
    "localization error, alpha * mean",
    "pointing",
    "deletion, gray",
    "deletion, inpaint",
)


@dataclass(frozen=True, eq=False)
class Compared:
    """What the runs on a data set have found; their images have the same numbers."""

    title: str
    results: Results
    figures: Mapping[str, Figure]

    @classmethod
    def read(cls, title: str, cheap: Path, others: Sequence[Path]) -> "Compared":
        """Read the folders, whatever of them is done."""
        merged = read(cheap)
        for few in map(read, others):
            for at, about in few.about.items():
                assert about["name"] == merged.about[at]["name"], "the runs are not of the same images"
            merged = replace(merged, rows={**merged.rows, **few.rows})
        found = {figure.title: figure for figure in figures(merged)}
        return cls(title, merged, {name: found[name] for name in SHOWN})

    def table(self) -> str:
        """Every figure with its interval and the number of its images."""
        cells = {name: values(figure, self.results, 0) for name, figure in self.figures.items()}
        rows = dict.fromkeys(row for each in cells.values() for row in each)
        lines = []
        for row in rows:
            line = [named(row)]
            for name, figure in self.figures.items():
                value = cells[name].get(row)
                between = interval(figure, value) if value else ""
                line.append(
                    f"{number(figure, value.value)}{f' [{between}]' if between else ''} ({value.images})"
                    if value
                    else ""
                )
            lines.append(line)
        return table(["", *(headed(figure) for figure in self.figures.values())], lines)

    def pair(self, name: str, ours: Row, theirs: Row) -> "Pair":
        """What one row is beyond another on the images that both have."""
        figure = self.figures[name]
        one, other = figure.values.get(ours, {}), figure.values.get(theirs, {})
        both = sorted(one.keys() & other.keys())
        change = np.array([one[at] - other[at] for at in both])
        place = group_places([self.results.photograph(at) for at in both])
        return Pair(self.title, figure, change, place)


@dataclass(frozen=True, eq=False)
class Pair:
    """What one row is beyond another.

    Attributes:
        title: Of the data set.
        figure: Of which they are the values.
        change: Of each image that both have.
        place: The place of each one's photograph; two targets of a scene are no two independent ones.
    """

    title: str
    figure: Figure
    change: np.ndarray
    place: Tensor

    @property
    def photographs(self) -> int:
        """How many there are."""
        return len(self.place.unique())

    @property
    def of_photograph(self) -> np.ndarray:
        """The sum over each photograph's images."""
        return np.bincount(self.place.numpy(), self.change, self.photographs)

    def verdict(self, p: float) -> str:
        """Whether the one is better than the other, by the probability of so much by chance, corrected."""
        if p >= SURE:
            return UNDECIDED
        return HOLDS if (self.change.mean() < 0) == (self.figure.better == "lower") else FAILS

    def told(self, p: float) -> str:
        """By how much, how sure that is, and of how many images."""
        if self.photographs < LEAST:
            return f"{self.title}: {len(self.change)} images"
        hits = self.figure.kind in ("share", "tuned")
        estimate = estimated(self.change, self.place, 0, hits)
        low_high = "…".join(f"{100 * each:+.1f}" for each in estimate.interval or ())
        between = f" [{low_high}]" if low_high else ""
        return (
            f"{self.title}: {100 * estimate.value:+.1f} points{between}, p {p:.4f}, {len(self.change)} images"
        )


HOLDS, FAILS, UNDECIDED = "**holds**", "**does not hold here**", "**undecided here**"
GFI, GRADIENT, GRADCAM = ("gfi", "blur"), ("gradient", "none"), ("gradcam", "none")
MEAN = "localization error, alpha * mean"
CLAIMS: Sequence[tuple[str, str, Row]] = (
    ("It localizes better than the gradient (Table 1: error 38.2 % against 41.7 %)", MEAN, GRADIENT),
    ("It points better than the gradient (Table 3)", "pointing", GRADIENT),
    ("It points better than the image's center (Table 3)", "pointing", ("center", "")),
    ("It points as well as Grad-CAM (Table 3)", "pointing", GRADCAM),
)
"""Of guided feature inversion: what is said, the figure, and the row that it is said to be better than."""


def claims(found: Sequence[Compared], kept: Sequence[Kept]) -> list[str]:
    """One line on each of the paper's claims, for each data set; all comparisons are corrected together."""
    pairs = [[each.pair(name, GFI, other) for each in found] for _, name, other in CLAIMS]
    chances = corrected([each for line in pairs for each in line])
    told = []
    for (said, *_), line in zip(CLAIMS, pairs, strict=True):
        answers = [(each, chances.get(each, 1.0)) for each in line]
        told.append(
            f"- {said}: " + "; ".join(f"{each.verdict(p)} ({each.told(p)})" for each, p in answers) + "."
        )
    told[-1] += " An interval around 0 is no proof that both are the same."
    return [*told, _discriminates(found[-1]), _robust(kept)]


def corrected(pairs: Sequence[Pair]) -> dict[Pair, float]:
    """The probability of each pair of enough photographs, exchanged one by one, corrected for all (Holm)."""
    many = [pair for pair in pairs if pair.photographs >= LEAST]
    return dict(zip(many, holm(exchanged([pair.of_photograph for pair in many], 0)), strict=True))


def _discriminates(scenes: Compared) -> str:
    """Whether more than half of the targets are hit, as no map is that does not know classes apart."""
    value = values(scenes.figures["pointing"], scenes.results, 0).get(GFI)
    said = "- It tells classes apart (sec. 3.3, Fig. 3: a map of no class hits one object of two)"
    if value is None or value.low is None or value.high is None:
        return f"{said}: {UNDECIDED} ({0 if value is None else value.images} targets)."
    verdict = HOLDS if value.low > 0.5 else FAILS if value.high < 0.5 else UNDECIDED
    between = f"[{100 * value.low:.0f}…{100 * value.high:.0f}]"
    return f"{said}: {verdict}; it points at {100 * value.value:.0f} % of {value.images} targets {between}."


def _robust(kept: Sequence[Kept]) -> str:
    """Whether the object is still pointed at under attack: no more than ten points less often."""
    said = "- It still shows the true class when the image is attacked (sec. 4.1.3, by one picture)"
    of_gfi = [each for each in kept if each.row == GFI and each.figure == "pointing"]
    if not of_gfi or of_gfi[0].low is None or of_gfi[0].high is None:
        return f"{said}: {UNDECIDED}."
    each = of_gfi[0]
    low, high = 100 * (each.low or 0), 100 * (each.high or 0)
    verdict = HOLDS if low >= -10 else FAILS if high < -10 else UNDECIDED
    change = f"{100 * (each.under - each.without):+.1f} points [{low:+.1f}…{high:+.1f}]"
    most = max(other.images for other in kept)
    left = (
        f"; the other {most - each.images} it refuses, for their class is at chance"
        if most > each.images
        else ""
    )
    return f"{said}: {verdict}; pointing changes by {change} on {each.images} scenes{left}."
