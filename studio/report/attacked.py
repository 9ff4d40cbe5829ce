"""What is kept of the pointing accuracy under attack: a run beside the same one without an attack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from infill.realism.resampling import group_places
from studio.columns import aligned
from studio.report.differences import estimated
from studio.report.figures import figures
from studio.report.results import Results, Row
from studio.report.tables import named, piped

FIGURES = ("pointing", "pointing, 15 px")
_SAME = ("data", "fingerprint", "target", "against", "targets", "samples", "seed", "precision", "revision")
"""Settings in which both runs must agree, beside the classifier and what both have of methods and fillers."""
HEADS = ("", "without", "under attack", "kept", "change, points", "images")
"""Of the table."""


@dataclass(frozen=True)
class Kept:
    """How often a row points at the object under attack, and how often without, on the same images.

    Attributes:
        low, high: The 95 % interval of ``under - without`` over photographs; ``None`` if there are too few,
            or all changed alike.
    """

    row: Row
    figure: str
    without: float
    under: float
    low: float | None
    high: float | None
    images: int

    @property
    def share(self) -> float | None:
        """What is kept: ``under / without``; ``None`` if nothing was to be lost."""
        return self.under / self.without if self.without else None


@dataclass(frozen=True, eq=False)
class Attacked:
    """A run on attacked images and one on the same images as they are.

    Attributes:
        title: Of both.
        attack: In words.
        right: The share of images whose target the classifier sees first: before, and after.
    """

    title: str
    attack: str
    right: tuple[float, float]
    kept: Sequence[Kept]


def attacked(runs: Sequence[Results]) -> list[Attacked]:
    """Return what is kept in every run on attacked images that has its like without an attack beside it."""
    compared = (
        _compared(under, without)
        for under in runs
        if "attack" in under.settings
        for without in runs
        if "attack" not in without.settings and _alike(under.settings, without.settings)
    )
    return [each for each in compared if each.kept]


def written(attack: Mapping[str, Any]) -> str:
    """Return an attack as users write it."""
    return ":".join(str(attack[key]) for key in ("name", "epsilon", "steps") if key in attack)


def right(results: Results) -> tuple[float, float]:
    """Return the share of images whose target the classifier sees first: before an attack, and after."""
    known = results.about.values()
    before = [about["before"]["first"] == about["target"] for about in known]
    return float(np.mean(before)), float(np.mean([about["first"] == about["target"] for about in known]))


def lines(found: Attacked) -> list[list[str]]:
    """Return the table below its `HEADS`, as texts."""
    return [
        [
            f"{named(each.row)}, {each.figure}",
            f"{100 * each.without:.1f} %",
            f"{100 * each.under:.1f} %",
            "" if each.share is None else f"{100 * each.share:.0f} %",
            f"{100 * (each.under - each.without):+.1f}{_between(each)}",
            str(each.images),
        ]
        for each in found.kept
    ]


def said(found: Attacked) -> str:
    """Return in a line what the table is."""
    before, after = (f"{100 * share:.0f} %" for share in found.right)
    return (
        f"{found.title}: pointing accuracy kept under {found.attack} "
        f"(the target is the first choice for {before} of the images before, {after} after)"
    )


def text(found: Attacked) -> str:
    """Return the table for a terminal."""
    return "\n".join([said(found), *aligned([HEADS, *lines(found)], numbers=True), ""])


def markdown(found: Attacked) -> str:
    """Return the table for Markdown."""
    table = (HEADS, ["---"] * len(HEADS), *lines(found))
    rows = "\n".join("| " + " | ".join(map(piped, line)) + " |" for line in table)
    return f"## {said(found)}\n\n{rows}\n"


def content(under: Sequence[Attacked]) -> dict[str, Any]:
    """Return what is kept under attack in values that JSON has; nothing if nothing was attacked."""
    found = [
        {
            "title": each.title,
            "attack": each.attack,
            "right": dict(zip(("before", "after"), each.right, strict=True)),
            "kept": [{**asdict(kept), "row": named(kept.row), "share": kept.share} for kept in each.kept],
        }
        for each in under
    ]
    return {"attacked": found} if found else {}


def _between(each: Kept) -> str:
    if each.low is None or each.high is None:
        return ""
    return f" [{100 * each.low:+.1f}…{100 * each.high:+.1f}]"


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    networks = [dict(settings["classifier"])["content"] for settings in (one, other)]
    same = all(one.get(key) == other.get(key) for key in _SAME)
    shared = all(_shared_alike(one[key], other[key]) for key in ("methods", "fillers"))
    return same and networks[0] == networks[1] and shared


def _shared_alike(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def _compared(under: Results, without: Results) -> Attacked:
    title = f"{under.title} beside {without.title}"
    return Attacked(title, written(under.settings["attack"]), right(under), list(_kept(under, without)))


def _kept(under: Results, without: Results) -> Iterator[Kept]:
    ours, theirs = ({each.title: each for each in figures(run)} for run in (under, without))
    places = {(about["name"], about["target"]): at for at, about in without.about.items()}
    for title in FIGURES:
        if title not in ours or title not in theirs:
            continue
        for row, values in ours[title].values.items():
            before = theirs[title].values.get(row, {})
            pairs = [
                (at, before[places[key]], value)
                for at, value in values.items()
                if places.get(key := (under.about[at]["name"], under.about[at]["target"])) in before
            ]
            if pairs:
                yield _of_pairs(row, title, pairs, under)


def _of_pairs(row: Row, title: str, found: Sequence[tuple[int, float, float]], under: Results) -> Kept:
    place = group_places([under.photograph(at) for at, *_ in found])
    pairs = np.array([pair for _, *pair in found])
    change = estimated(pairs[:, 1] - pairs[:, 0], place, int(under.settings["seed"]), hits=True)
    low, high = change.interval or (None, None)
    without, attacked_ = pairs.mean(axis=0).tolist()
    return Kept(row, title, without, attacked_, low, high, len(pairs))
