"""A cell of the page: the heatmap of one method with one filler, and what the classifier was shown for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float
from numpy import ndarray

from studio.drawing.curves import draw_curves, legend
from studio.drawing.sheet import INK, WRONG, Sheet, outline
from studio.explain.quantity import PROBABILITY, Quantity

# All lengths are inches.
STAMP, TITLE, GAP = 1.04, 0.3, 0.12
HEAT = 2 * STAMP + TITLE
BAR = 0.66
SHOWN = 2 * STAMP + GAP
"""The width of what the classifier was shown."""
PICTURE, LINE, CURVE = 1.36, 0.135, 0.62


@dataclass(frozen=True, eq=False)
class Composite:
    """One composite that the method looked at, in the classifier's view.

    Attributes:
        label: The classifier's first choice for it.
        quantity: What the score is.
    """

    image: Float[ndarray, "c c 3"]
    hole: Float[ndarray, "c c"]
    score: float
    label: str
    quantity: Quantity = PROBABILITY


@dataclass(frozen=True, eq=False)
class Course:
    """How an optimizing method came to its counterfactual.

    Attributes:
        curves: The score step by step, by what the step looked at: ``removed``, ``kept``.
        result: The score of the counterfactual.
        chance: The score at which the target is gone.
        notes: A few words each.
        failure: Why the target is not gone; empty if it is.
        quantity: What the score is.
    """

    curves: Mapping[str, Float[ndarray, " t"]]
    result: float
    chance: float
    notes: Sequence[str]
    failure: str = ""
    quantity: Quantity = PROBABILITY


@dataclass(frozen=True, eq=False)
class Cell:
    """What one method finds with one filler; the heatmap has the input's size.

    Attributes:
        samples: Composites that were looked at. If there is a course, the counterfactual it led to.
        signed: Whether values speak for the target above 0 and against it below; else none speaks against it.
        told: Which pixels are told from no effect; ``None``: that is not known.
        told_apart: The share of pixels whose colors tell their values apart; the others are stronger.
    """

    heatmap: Float[ndarray, "h w"]
    samples: Sequence[Composite]
    course: Course | None = None
    signed: bool = False
    told: Bool[ndarray, "h w"] | None = None
    told_apart: float = 1.0


def draw_shown(sheet: Sheet, cell: Cell, corner: tuple[float, float], target: str) -> None:
    """Draw what the classifier was shown, `SHOWN` wide and `TITLE` + `HEAT` high."""
    x, y = corner
    if cell.course:
        _counterfactual(sheet, cell.samples[0], cell.course, corner, target)
        return
    for i, sample in enumerate(cell.samples):
        place = x + (i % 2) * (STAMP + GAP), y + (i // 2) * (STAMP + TITLE)
        _stamp(sheet, sample, place, STAMP, target)


def _stamp(sheet: Sheet, sample: Composite, corner: tuple[float, float], side: float, target: str) -> None:
    x, y = corner
    right = sample.label in ("", target)
    sheet.text(x, y + 0.05, sample.quantity.written(sample.score), 6.5, side, weight="bold")
    sheet.text(x, y + 0.16, sample.label, 6.5, side, color=INK if right else WRONG)
    axes = sheet.picture(x, y + TITLE, side, side, sample.image)
    outline(axes, sample.hole)


def _counterfactual(
    sheet: Sheet, sample: Composite, course: Course, corner: tuple[float, float], target: str
) -> None:
    x, y = corner
    _stamp(sheet, sample, corner, PICTURE, target)
    aside = x + PICTURE + GAP / 2
    room = SHOWN - PICTURE - GAP / 2
    for i, note in enumerate(course.notes):
        sheet.text(aside, y + TITLE + i * LINE, note, 6.5, room)
    marks = legend(course.curves, course.quantity.end)
    for i, (text, color) in enumerate(marks):
        below = y + TITLE + PICTURE - (len(marks) - i) * LINE
        sheet.text(aside, below, text, 6.5, room, color=color)
    sheet.text(x, y + TITLE + PICTURE + 0.04, course.failure, 6.5, SHOWN, color=WRONG)
    axes = sheet.axes(x + 0.1, y + TITLE + HEAT - CURVE - 0.1, SHOWN - 0.15, CURVE)
    draw_curves(axes, course.curves, course.result, course.chance, 5.5, course.quantity.bounded)
