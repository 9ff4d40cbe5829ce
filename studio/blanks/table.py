"""The table of consistency: for a terminal, for Markdown, and all answers for a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

from studio.blanks.results import Consistency, Results
from studio.blanks.setup import Setup
from studio.columns import aligned

PAPER = {"random": (0.99, 0.99, 0.99), "progressive": (0.93, 0.93, 0.93)}
"""Table 1 of Deelaka et al. (2024): MNIST and their ResNet5, first order; accuracy, macro and weighted F1."""
HEAD = ("prototypes", "images", "left out", "accuracy", "macro F1", "weighted F1", "masks averaged", "paper")


def cells(row: Consistency) -> list[str]:
    """Return a row of the table as texts."""
    figures = (row.accuracy, row.macro_f1, row.weighted_f1)
    averaged = f"{row.correct:.0f} of {row.masks:.0f}" if row.correct else ""
    paper = " / ".join(f"{100 * value:.0f}" for value in PAPER[row.name]) if row.name in PAPER else ""
    return [
        row.name,
        str(row.images),
        str(row.left_out),
        *(f"{100 * value:.1f}" for value in figures),
        averaged,
        paper,
    ]


def text_table(results: Results, setup: Setup) -> str:
    """Return the table for a terminal."""
    lines = [HEAD, *(cells(row) for row in results.rows)]
    title = f"{setup.data.title}, classifier: {setup.name}; how often it takes prototypes for their class, %"
    return "\n".join([title, *aligned(lines), *remarks(results)])


def remarks(results: Results) -> list[str]:
    """Return what must be said below the table."""
    lines = ["paper: Deelaka et al. 2024, Table 1, MNIST, another classifier; accuracy / macro / weighted F1"]
    if any(row.left_out for row in results.rows):
        lines.append(
            "left out (the reasons are in fill-blanks.json): no mask leaves the class, or BFGS diverges"
        )
    return lines


def save_csv(results: Results, setup: Setup, path: Path) -> None:
    """Write a line for each image and variant."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["prototypes", "image", "class", "answer", "probability", "correct", "masks", "error"])
        for name, parts in results.parts.items():
            for number, part in parts.items():
                label = setup.data.classes[part.about["label"]]
                found = {key: values[0][1] for key, values in part.values.items()}
                answer = setup.data.classes[int(found["answer"])] if found else ""
                rest = (found.get(key, "") for key in ("probability", "correct", "masks"))
                lines.writerow([name, number, label, answer, *rest, part.error])
