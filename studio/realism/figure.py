"""Strips of composites: one row an image, one column a filler, with what the judge says of each."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from numpy import ndarray

from studio.drawing.sheet import FAINT, INK, WRONG, Sheet, any_script, outline

# Inches.
MARGIN, HEAD, SIDE, GAP, LINE = 0.25, 1.1, 1.6, 0.08, 0.16
LETTERS = 30
"""How many letters of a label have room in a line."""


@dataclass(frozen=True, eq=False)
class Strip:
    """One image with its hole filled in every way.

    Attributes:
        target: The label that is to go.
        answers: By column, the judge's first label and the probability of the target.
        guessed: Whether the target is the classifier's own first choice, not the data's word.
    """

    name: str
    target: str | None
    hole: Float[ndarray, "h w"]
    images: Mapping[str, Float[ndarray, "h w 3"]]
    answers: Mapping[str, tuple[str, float]]
    guessed: bool = False


def draw_strips(strips: Sequence[Strip], title: str, legend: Sequence[str], path: Path) -> None:
    """Draw the strips, as in Agarwal & Nguyen 2020, Figure 3, and write them as PNG.

    Lines of legend say who judges, what is shown, and what the numbers mean.
    """
    columns = list(strips[0].images)
    row = SIDE + 4 * LINE + 2 * GAP
    width = 2 * MARGIN + _width(strips[0])
    sheet = Sheet(width, MARGIN + HEAD + len(strips) * row + MARGIN)
    with any_script():
        sheet.text(MARGIN, MARGIN, title, 13, width - 2 * MARGIN, weight="bold")
        for number, line in enumerate(legend):
            sheet.text(MARGIN, MARGIN + 0.3 + number * LINE, line, 7.5, width - 2 * MARGIN, color=FAINT)
        for j, column in enumerate(columns):
            sheet.name(MARGIN + j * (SIDE + GAP), MARGIN + HEAD - 0.3, column, 10, SIDE)
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
        for number, line in enumerate(textwrap.wrap(label, LETTERS)[:2]):
            color = INK if label == strip.target else WRONG
            sheet.text(x, below + (1 + number) * LINE, line, 6.5, SIDE, color=color)
    if first:
        known = f", {'guessed' if strip.guessed else 'labelled'}: {strip.target}" if strip.target else ""
        sheet.text(x, below + 3 * LINE, f"{strip.name}{known}", 6.5, _width(strip), color=FAINT)


def _width(strip: Strip) -> float:
    """How wide a line below all of a strip's pictures may be."""
    return len(strip.images) * (SIDE + GAP) - GAP
