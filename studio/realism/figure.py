"""Strips of composites: one row an image, one column a filler, with what the judge says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from numpy import ndarray

from studio.drawing.sheet import FAINT, INK, WRONG, Sheet, any_script, outline

# Inches.
MARGIN, HEAD, SIDE, GAP, LINE = 0.25, 0.75, 1.6, 0.08, 0.16


@dataclass(frozen=True, eq=False)
class Strip:
    """One image with its hole filled in every way.

    Attributes:
        target: The label that is to go.
        answers: By column, the judge's first label and the probability of the target.
    """

    name: str
    target: str | None
    hole: Float[ndarray, "h w"]
    images: Mapping[str, Float[ndarray, "h w 3"]]
    answers: Mapping[str, tuple[str, float]]


def draw_strips(strips: Sequence[Strip], title: str, path: Path) -> None:
    """Draw the strips, as in Agarwal & Nguyen 2020, Figure 3, and write them as PNG."""
    columns = list(strips[0].images)
    row = SIDE + 2 * LINE + 2 * GAP
    width = 2 * MARGIN + len(columns) * (SIDE + GAP) - GAP
    sheet = Sheet(width, MARGIN + HEAD + len(strips) * row + MARGIN)
    with any_script():
        sheet.text(MARGIN, MARGIN, title, 13, width - 2 * MARGIN, weight="bold")
        for j, column in enumerate(columns):
            sheet.text(MARGIN + j * (SIDE + GAP), MARGIN + 0.42, column, 10, SIDE, weight="bold")
        for i, strip in enumerate(strips):
            for j, column in enumerate(columns):
                _stamp(sheet, strip, column, (MARGIN + j * (SIDE + GAP), MARGIN + HEAD + i * row), j == 0)
        sheet.save(path)


def _stamp(sheet: Sheet, strip: Strip, column: str, corner: tuple[float, float], first: bool) -> None:
    x, y = corner
    axes = sheet.picture(x, y, SIDE, SIDE, strip.images[column])
    if first:
        outline(axes, strip.hole, 0.8)
    below = y + SIDE + 0.03
    if column in strip.answers:
        label, probability = strip.answers[column]
        sheet.text(x, below, f"p {probability:.3f}", 7.5, SIDE, weight="bold")
        sheet.text(x + 0.55, below, label, 7.5, SIDE - 0.55, color=INK if label == strip.target else WRONG)
    if first:
        sheet.text(x, below + LINE, strip.name, 6.5, SIDE, color=FAINT)
