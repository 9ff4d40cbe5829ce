"""The table of a run: for a terminal, Markdown, LaTeX and a spreadsheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.columns import aligned, comma_separated
from studio.registry.variants import kind_of
from studio.report.compare import Value, values
from studio.report.differences import Difference, differences
from studio.report.figures import Figure, figures
from studio.report.published import NOTE, PUBLISHED
from studio.report.results import Results, Row

ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}
LATEX_ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$", "neither": ""}
_LATEX = {
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "…": "--",
    **{sign: f"\\{sign}" for sign in "&%_#${}"},
}  # fmt: skip
AT_ONCE = 6
"""Figures side by side on a terminal."""
NO_FIGURE = "no figure yet: nothing has been found, or of too few images (a threshold is tuned on others)"


@dataclass(frozen=True, eq=False)
class Table:
    """All figures of some of a run's images.

    Attributes:
        title: Which images.
        images: How many of them have been done, at least in part.
        order: The run's rows, whether they have a figure or not.
        cells: By figure's key and row.
    """

    title: str
    images: int
    order: Sequence[Row]
    figures: Sequence[Figure]
    cells: Mapping[str, Mapping[Row, Value]]
    differences: Sequence[Difference]

    @property
    def rows(self) -> list[Row]:
        """All rows that have a figure, in the run's order."""
        known = {row for figure in self.figures for row in figure.rows}
        return [row for row in self.order if row in known]


ALL = "all images"
SUBSETS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    ALL: lambda about: True,
    "off-center: no box holds the image's center": lambda about: about["off_center"] is True,
    "difficult: a small object beside one of another class": lambda about: about["difficult"] is True,
}


def tables(results: Results) -> list[Table]:
    """Return the table of all images, though nothing be done yet, and of the subsets that the data knows."""
    first, *subsets = _tables(results)
    return [first, *(table for table in subsets if table.images)]


def _tables(results: Results) -> Iterator[Table]:
    seed = int(results.settings["seed"])
    done = set[int]().union(*results.rows.values())
    for title, belongs in SUBSETS.items():
        numbers = {number for number in done if belongs(results.about[number])}
        if title == ALL or len(numbers) < len(done):
            found = figures(results, numbers.__contains__)
            cells = {figure.key: values(figure, results, seed) for figure in found}
            compared = differences(found, seed, results.photograph)
            yield Table(title, len(numbers), list(results.rows), found, cells, compared)


def named(row: Row) -> str:
    """Return what a row is called."""
    return f"{row[0]} / {row[1]}" if row[1] else row[0]


def headed(figure: Figure) -> str:
    """Return what a column is called, with an arrow to what is better."""
    return f"{figure.title} {ARROWS[figure.better]}".strip()


def number(figure: Figure, value: float) -> str:
    """Return a figure's value as it is written: percent, or three digits."""
    return f"{100 * value:.1f} %" if figure.percent else f"{value:.3f}"


def interval(figure: Figure, value: Value) -> str:
    """Return the interval as it is written; nothing if there is none."""
    if value.low is None or value.high is None:
        return ""
    if figure.percent:
        return f"{100 * value.low:.1f}…{100 * value.high:.1f}"
    return f"{value.low:.3f}…{value.high:.3f}"


def below(figure: Figure, value: Value, images: int) -> str:
    """Return what stands below a figure: its interval, and of how many images it is, unless of all.

    Rows of a column may be of different ones.
    """
    return " ".join(text for text in (interval(figure, value), _of(value, images)) if text)


def _of(value: Value, images: int) -> str:
    return f"({value.images})" if value.images < images else ""


def text(table: Table) -> str:
    """Return the table for a terminal, below every figure its interval."""
    blocks = []
    if not table.figures:
        return f"{NO_FIGURE}\n"
    for start in range(0, len(table.figures), AT_ONCE):
        some = table.figures[start : start + AT_ONCE]
        lines = [["", *map(headed, some)]]
        for row in table.rows:
            cells = [table.cells[figure.key].get(row) for figure in some]
            for name, write in ((named(row), _value), ("", below)):
                texts = [
                    write(figure, cell, table.images) if cell else ""
                    for figure, cell in zip(some, cells, strict=True)
                ]
                lines += [[name, *texts]] if any(texts) else []
        blocks += [*aligned(lines, numbers=True), ""]
    return "\n".join(blocks)


def _value(figure: Figure, value: Value, _: int) -> str:
    return number(figure, value.value)


def markdown(table: Table) -> str:
    """Return the table for Markdown."""
    if not table.figures:
        return f"{NO_FIGURE}\n"
    heads = [headed(figure) for figure in table.figures]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for row in table.rows:
        lines.append(f"| {piped(named(row))} | " + " | ".join(_cells(table, row)) + " |")
    return "\n".join(lines) + "\n"


def _cells(table: Table, row: Row) -> list[str]:
    """Return the figures of a row with their intervals; empty where it has none."""
    cells = ((figure, table.cells[figure.key].get(row)) for figure in table.figures)
    return ["" if value is None else _with_interval(figure, value, table.images) for figure, value in cells]


def _with_interval(figure: Figure, value: Value, images: int) -> str:
    between = interval(figure, value)
    parts = (number(figure, value.value), f"[{between}]" if between else "", _of(value, images))
    return " ".join(part for part in parts if part)


def latex(table: Table) -> str:
    """Return the table for LaTeX, with booktabs' rules."""
    if not table.figures:
        return f"% {NO_FIGURE}\n"
    heads = [escaped(figure.title) + f" {LATEX_ARROWS[figure.better]}" for figure in table.figures]
    lines = [r"\begin{tabular}{l" + "r" * len(heads) + "}", r"\toprule"]
    lines += [" & " + " & ".join(heads) + r" \\", r"\midrule"]
    for row in table.rows:
        lines.append(" & ".join(map(escaped, (named(row), *_cells(table, row)))) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def escaped(text: str) -> str:
    """Return a text as LaTeX takes it."""
    return "".join(_LATEX.get(sign, sign) for sign in text)


def piped(text: str) -> str:
    """Return a text as a cell of a Markdown table takes it."""
    return text.replace("|", "\\|")


def beside_published(table: Table) -> list[tuple[str, str, str, str]]:
    """Return for every figure of all images that a paper has: title, row, ours, the paper's."""
    if table.title != ALL:
        return []  # the papers' are of no subset
    found = []
    for figure in table.figures:
        cells = table.cells[figure.key]
        for published, (theirs, paper) in PUBLISHED.get(figure.title, {}).items():
            rows = [row for row in cells if (row[0], kind_of(row[1])) == published]
            if len(rows) == 1:  # of one filler in several settings, which is the paper's, nobody says
                row, ours = rows[0], cells[rows[0]]
                mine = _with_interval(figure, ours, table.images)
                found.append((figure.title, named(row), mine, f"{number(figure, theirs)} ({paper}; {NOTE})"))
    return found


def spreadsheet(runs: Sequence[tuple[Results, Sequence[Figure]]]) -> str:
    """Return a line for every run, image and row, with the values of all figures that are one an image."""
    single = [{figure.title: figure.values for figure in found if figure.values} for _, found in runs]
    titles = list(dict.fromkeys(title for each in single for title in each))
    lines: list[Sequence[object]] = [["run", "image", "target", "method", "filler", *titles]]
    for (results, _), made in zip(runs, single, strict=True):
        for at, about in results.about.items():
            for row in results.rows:
                cells = [made.get(title, {}).get(row, {}).get(at) for title in titles]
                if any(cell is not None for cell in cells):
                    written = ["" if cell is None else f"{cell:.6g}" for cell in cells]
                    lines.append([results.title, about["name"], results.target(at), *row, *written])
    return comma_separated(lines)
