"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


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
