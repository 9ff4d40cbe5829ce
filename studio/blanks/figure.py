"""Rows of pictures, with what is said of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from numpy import ndarray

from studio.drawing.sheet import FAINT, INK, WRONG, Sheet, any_script

# Inches.
MARGIN, HEAD, SIDE, GAP, LINE, STUB = 0.25, 1.05, 0.95, 0.08, 0.14, 0.9


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture; ``caption`` stands below it, in red if it is ``wrong``."""

    image: Float[ndarray, "h w 3"]
    caption: str = ""
    wrong: bool = False


@dataclass(frozen=True, eq=False)
class Row:
    """A row of pictures; ``None`` leaves a place empty."""

    name: str
    pictures: Sequence[Picture | None]


def draw(rows: Sequence[Row], columns: Sequence[str], title: str, legend: Sequence[str], path: Path) -> None:
    """Draw the rows below the names of the columns (lines are cut at a line break), and write them as PNG."""
    width = 2 * MARGIN + STUB + len(columns) * (SIDE + GAP)
    top = MARGIN + 0.3 + LINE * (len(legend) + 3.2)
    height = SIDE + LINE + GAP
    sheet = Sheet(width, top + len(rows) * height + MARGIN)
    with any_script():
        sheet.text(MARGIN, MARGIN, title, 11, width - 2 * MARGIN, weight="bold")
        for number, line in enumerate(legend):
            sheet.text(MARGIN, MARGIN + 0.28 + number * LINE, line, 7, width - 2 * MARGIN, color=FAINT)
        for j, column in enumerate(columns):
            x = MARGIN + STUB + j * (SIDE + GAP)
            for number, line in enumerate(column.split("\n")):
                style = {"weight": "bold"} if not number else {"color": FAINT}
                sheet.text(x, top - 0.34 + number * LINE, line, 7, SIDE + GAP, **style)
        for i, row in enumerate(rows):
            y = top + i * height
            sheet.name(MARGIN, y + SIDE / 2 - 0.06, row.name, 8, STUB - GAP)
            for j, picture in enumerate(row.pictures):
                if picture is not None:
                    _place(sheet, picture, MARGIN + STUB + j * (SIDE + GAP), y)
        sheet.save(path)


def _place(sheet: Sheet, picture: Picture, x: float, y: float) -> None:
    sheet.picture(x, y, SIDE, SIDE, picture.image)
    color = WRONG if picture.wrong else INK
    sheet.text(x, y + SIDE + 0.02, picture.caption, 6, SIDE, color=color)
