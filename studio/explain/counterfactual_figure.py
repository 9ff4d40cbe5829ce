"""The picture of a counterfactual: the image before and after, and how the classifier's answer changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from studio.drawing.curves import draw_curves, legend
from studio.drawing.sheet import FAINT, INK, WRONG, Sheet, any_script, bare, outline
from studio.explain.panel import Composite, Course

# All lengths are inches, measured from the top left.
MARGIN, HEAD, TITLE, VIEW, GAP, BARS, CURVE = 0.3, 0.95, 0.28, 3.1, 0.2, 3.4, 0.95
ROW, BAR = 0.44, 0.075
BEFORE, AFTER, AFTER_TARGET, AFTER_AGAINST = "#b9c1ca", "#4d5966", "#b2182b", "#2166ac"


@dataclass(frozen=True, eq=False)
class Change:
    """All that ``counterfactual.png`` shows.

    Attributes:
        failed: Whether the class is still there.
        image: The classifier's view of the image.
        after: The counterfactual.
        target: The label that is explained.
        against: The label that it is compared with, if it is.
        bars: Labels with their probabilities before and after.
    """

    title: str
    subtitle: str
    verdict: str
    failed: bool
    image: Float[ndarray, "c c 3"]
    after: Composite
    target: str
    bars: Sequence[tuple[str, float, float]]
    course: Course
    against: str = ""


def draw(change: Change, path: Path) -> None:
    """Draw the sheet and write it as PNG."""
    with any_script():
        laid_out(change).save(path)


def laid_out(change: Change) -> Sheet:
    """Place everything."""
    pictures = 2 * VIEW + GAP
    width = 2 * MARGIN + pictures + 2 * GAP + BARS
    below = MARGIN + HEAD + TITLE + VIEW + GAP
    sheet = Sheet(width, below + TITLE + CURVE + 0.2 + MARGIN)
    room = width - 2 * MARGIN
    sheet.text(MARGIN, MARGIN, change.title, 15, room, weight="bold")
    sheet.text(MARGIN, MARGIN + 0.33, change.verdict, 9.5, room, color=WRONG if change.failed else INK)
    sheet.text(MARGIN, MARGIN + 0.57, change.subtitle, 8, room, color=FAINT)
    _pictures(sheet, change, MARGIN + HEAD)
    right = MARGIN + pictures + 2 * GAP
    _bars(sheet, change, right, MARGIN + HEAD)
    _curve(sheet, change.course, below, pictures)
    for i, note in enumerate(change.course.notes):
        sheet.text(right, below + TITLE + i * 0.19, note, 8.5, BARS)
    return sheet


def _pictures(sheet: Sheet, change: Change, y: float) -> None:
    quantity, score = change.after.quantity, change.after.score
    of = f" of {change.target} " if quantity.bounded else " "
    seen = f"{change.after.label} is seen, " if change.after.label else ""
    after = f"without: {seen}{quantity.written(score, of)}"
    for i, (title, image) in enumerate(
        [("the image, and a line around what is removed", change.image), (after, change.after.image)]
    ):
        x = MARGIN + i * (VIEW + GAP)
        sheet.text(x, y + 0.06, title, 8.5, VIEW)
        axes = sheet.picture(x, y + TITLE, VIEW, VIEW, image)
        if i == 0:
            outline(axes, change.after.hole, 1.2)


def _bars(sheet: Sheet, change: Change, x: float, y: float) -> None:
    length = BARS - 1.0
    what = "what the classifier sees" if change.after.label else "the value"
    sheet.text(x, y + 0.06, f"{what}, before (pale) and after (dark)", 8.5, BARS)
    full = max(1.0, *(abs(value) for _, *both in change.bars for value in both))
    for i, (label, before, after) in enumerate(change.bars):
        top, own = y + TITLE + i * ROW, {change.target: AFTER_TARGET, change.against: AFTER_AGAINST}
        style: dict[str, Any] = {"weight": "bold"} if label in own else {}
        sheet.text(x, top, label, 8.5, length, **style)
        sheet.text(x + length + 0.08, top, f"{before:.3f} → {after:.3f}", 8.5, **style)
        for j, (value, color) in enumerate([(before, BEFORE), (after, own.get(label, AFTER))]):
            axes = sheet.axes(x, top + 0.18 + j * (BAR + 0.01), length, BAR)
            axes.barh(0, abs(value), color=color, height=1)
            axes.set(xlim=(0, full), ylim=(-0.5, 0.5), facecolor="#f1f1f1")
            bare(axes)


def _curve(sheet: Sheet, course: Course, y: float, width: float) -> None:
    x = MARGIN
    sheet.text(x, y + 0.06, f"{course.quantity.name}, step by step:", 8.5)
    for i, (text, color) in enumerate(legend(course.curves, course.quantity.end)):
        sheet.text(x + 2.5 + 0.85 * i, y + 0.06, text, 8.5, 0.85, color=color)
    axes = sheet.axes(x + 0.15, y + TITLE, width - 0.2, CURVE)
    draw_curves(axes, course.curves, course.result, course.chance, 7, course.quantity.bounded)
