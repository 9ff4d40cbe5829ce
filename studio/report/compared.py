"""Differences between rows: in words, for LaTeX and for a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from studio.columns import comma_separated
from studio.report.differences import FAMILIES, SURE, Difference
from studio.report.tables import Table, escaped, named

_HEADS = (
    "run", "table", "compared", "figure", "method", "filler", "other method", "other filler", "difference",
    "low", "high", "p", "images", "verdict",
)  # fmt: skip


def comparisons(table: Table) -> Mapping[str, Sequence[Difference]]:
    """Return the differences by their family, those that are sure first; no family without any."""
    found = {
        family: sorted((each for each in table.differences if each.family == family), key=lambda each: each.p)
        for family in FAMILIES
    }
    return {family: each for family, each in found.items() if each}


def worded(each: Difference) -> str:
    """Return a difference in words."""
    pair = f"{named(each.row)} against {named(each.other)}"
    if each.row[0] == each.other[0]:
        pair = f"{each.row[0]}: {each.row[1]} against {each.other[1]}"
    return f"{each.figure}: {pair} = {_number(each)}, p {each.p:.4f}, {verdict(each)}"


def verdict(each: Difference) -> str:
    """Return in a word which of both is better, if that is sure."""
    if each.p >= SURE:
        return "undecided"
    return "different" if each.better is None else ("better" if each.better else "worse")


def markdown(table: Table) -> str:
    """Return all differences as lists, family by family."""
    blocks = []
    for family, found in comparisons(table).items():
        lines = "\n".join(f"- {worded(each)}" for each in found)
        blocks.append(f"{said(family, len(found))}:\n\n{lines}\n")
    return "\n".join(blocks)


def said(family: str, count: int) -> str:
    """Return what stands above a family."""
    return f"Differences {family} ({count}, corrected together by Holm's method)"


def latex(table: Table) -> str:
    """Return the differences for LaTeX, with booktabs' rules, a table for each family."""
    return "\n".join(_latex(family, found) for family, found in comparisons(table).items())


def _latex(family: str, found: Sequence[Difference]) -> str:
    lines = [f"% {said(family, len(found))}", r"\begin{tabular}{lllrrl}", r"\toprule"]
    lines += [r"figure & row & against & difference & $p$ & \\", r"\midrule"]
    for each in found:
        cells = (each.figure, named(each.row), named(each.other), _number(each), f"{each.p:.4f}")
        lines.append(" & ".join(map(escaped, (*cells, verdict(each)))) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def spreadsheet(made: Sequence[tuple[str, Table]]) -> str:
    """Return a line for every difference of the tables of runs, which have titles."""
    lines: list[Sequence[object]] = [_HEADS]
    for run, table in made:
        for family, found in comparisons(table).items():
            for each in found:
                numbers = ["" if n is None else f"{n:.6g}" for n in (each.value, each.low, each.high, each.p)]
                compared = (family, each.figure, *each.row, *each.other)
                lines.append([run, table.title, *compared, *numbers, each.images, verdict(each)])
    return comma_separated(lines)


def _number(each: Difference) -> str:
    between = "" if each.low is None or each.high is None else f" [{each.low:+.3f}…{each.high:+.3f}]"
    return f"{each.value:+.3f}{between}"
