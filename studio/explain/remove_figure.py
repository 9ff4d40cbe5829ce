"""The picture of a hole that somebody has drawn: the view, the hole, and each filler's completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from studio.drawing.sheet import FAINT, WRONG, Sheet, any_script, bare, outline, wrapped

# All lengths are inches, measured from the top left.
MARGIN, HEAD, TITLE, SIDE, GAP, ACROSS = 0.3, 0.62, 0.4, 2.1, 0.22, 4
ROW, NOTE = 0.25, 0.19
FOR, AGAINST, OTHER = "#b2182b", "#2166ac", "#9aa5b1"


@dataclass(frozen=True, eq=False)
class Completed:
    """A hole as one filler completes it.

    Attributes:
        about: The filler's settings.
        image: ``None``: the filler cannot fill this hole.
        value: What is seen in it, if that is a value and no classes.
        seen: Classes with their probabilities.
        error: Why there is no image.
    """

    filler: str
    about: str
    image: Float[ndarray, "h w 3"] | None
    value: str
    seen: Sequence[tuple[str, float]]
    error: str = ""


@dataclass(frozen=True, eq=False)
class Sheets:
    """All that ``remove.png`` shows.

    Attributes:
        notes: What must be said.
        view: What the classifier sees of the untouched image.
        hole: 1 where it is removed.
        seen: The classes of the untouched image with their probabilities.
        value: What is seen in it, if that is a value and no classes.
        target: The label that is asked for.
        against: The label that it is compared with, if it is.
    """

    title: str
    subtitle: str
    notes: Sequence[str]
    view: Float[ndarray, "h w 3"]
    hole: Float[ndarray, "h w"]
    seen: Sequence[tuple[str, float]]
    value: str
    target: str
    against: str
    completions: Sequence[Completed]


def draw(shown: Sheets, path: Path) -> None:
    """Draw the sheet and write it as PNG."""
    with any_script():
        laid_out(shown).save(path)


def laid_out(shown: Sheets) -> Sheet:
    """Place everything: up to `ACROSS` pictures side by side."""
    rows = max([1, len(shown.seen), *(len(each.seen) for each in shown.completions)])
    cell = TITLE + SIDE + 0.12 + rows * ROW + GAP
    count = 2 + len(shown.completions)
    across = min(ACROSS, count)
    width = 2 * MARGIN + across * SIDE + (across - 1) * GAP
    room = width - 2 * MARGIN
    notes = [line for note in shown.notes for line in wrapped(note, room, 8.5)]
    top = MARGIN + HEAD + len(notes) * NOTE
    sheet = Sheet(width, top + -(-count // across) * cell + MARGIN - GAP)
    sheet.text(MARGIN, MARGIN, shown.title, 13, room, weight="bold")
    sheet.text(MARGIN, MARGIN + 0.29, shown.subtitle, 8.5, room, color=FAINT)
    for i, line in enumerate(notes):
        sheet.text(MARGIN, MARGIN + 0.5 + i * NOTE, line, 8.5, color=WRONG)
    original = Completed("original", "yellow: the hole", shown.view, shown.value, shown.seen)
    hole = np.repeat(shown.hole[..., None], 3, axis=2)
    cells = [original, Completed("hole", "white is removed", hole, "", ()), *shown.completions]
    for i, each in enumerate(cells):
        corner = MARGIN + i % across * (SIDE + GAP), top + i // across * cell
        axes = _cell(sheet, shown, each, corner)
        if each is original:
            outline(axes, shown.hole, 1.0)
        if i == 1:  # which may be white all over
            for spine in axes.spines.values():
                spine.set(visible=True, color=FAINT, linewidth=0.6)
    return sheet


def _cell(sheet: Sheet, shown: Sheets, each: Completed, corner: tuple[float, float]) -> Any:
    x, y = corner
    sheet.name(x, y + 0.02, each.filler, 9.5, SIDE)
    sheet.text(x, y + 0.2, each.about, 7, SIDE, color=FAINT)
    if each.image is None:
        for i, line in enumerate(wrapped(each.error, SIDE, 8)):
            sheet.text(x, y + TITLE + i * NOTE, line, 8, color=WRONG)
        return None
    below = y + TITLE + SIDE + 0.1
    sheet.text(x, below, each.value, 8.5, SIDE, weight="bold")
    for i, (label, probability) in enumerate(each.seen):
        _bar(sheet, shown, (label, probability), (x, below + i * ROW))
    height, width = each.image.shape[:2]
    longest = max(height, width)
    return sheet.picture(x, y + TITLE, SIDE * width / longest, SIDE * height / longest, each.image)


def _bar(sheet: Sheet, shown: Sheets, one: tuple[str, float], corner: tuple[float, float]) -> None:
    (label, probability), (x, y) = one, corner
    colors = {shown.target: FOR, **({shown.against: AGAINST} if shown.against else {})}
    style: dict[str, Any] = {"weight": "bold"} if label in colors else {}
    sheet.text(x, y, label, 7.5, SIDE - 0.45, **style)
    sheet.text(x + SIDE, y, f"{probability:.3f}", 7.5, ha="right", **style)
    axes = sheet.axes(x, y + 0.15, SIDE, 0.045)
    axes.barh(0, probability, color=colors.get(label, OTHER), height=1)
    axes.set(xlim=(0, 1), ylim=(-0.5, 0.5), facecolor="#eeeeee")
    bare(axes)
