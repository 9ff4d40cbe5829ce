"""Tables for a terminal, and for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def aligned(lines: Sequence[Sequence[str]], numbers: bool = False) -> list[str]:
    """Return lines of cells as texts: each column as wide as its widest cell, two blanks apart.

    Args:
        lines: All of as many cells; the heads are the first.
        numbers: Whether all columns but the first are flush right.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = ["<", *(">" if numbers else "<" for _ in widths[1:])]
    shapes = list(zip(sides, widths, strict=True))
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, (side, width) in zip(line, shapes, strict=True)).rstrip()
        for line in lines
    ]


def comma_separated(lines: Iterable[Sequence[object]]) -> str:
    """Return lines of cells as CSV, each ended by a line feed."""
    written = []
    for line in lines:
        file = io.StringIO()
        # A cell with a sign that ends lines is quoted; up to Python 3.12 of none but those of the terminator.
        csv.writer(file, lineterminator="\r\n").writerow(line)
        written.append(file.getvalue().removesuffix("\r\n") + "\n")
    return "".join(written)
