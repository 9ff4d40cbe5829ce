"""The job of ``infill report``: what runs have found, as tables and as a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from infill.extras import require_extra
from studio.output import BusyError, output_folder, save_json
from studio.report import TOGETHER, compared
from studio.report.attacked import Attacked, attacked
from studio.report.attacked import content as attacked_content
from studio.report.attacked import markdown as attacked_markdown
from studio.report.attacked import text as attacked_text
from studio.report.differences import SURE
from studio.report.figures import without_figure
from studio.report.page import page, summary
from studio.report.results import Results, read
from studio.report.tables import Table, latex, markdown, named, spreadsheet, tables, text

SHOWN = 5
"""Lines of what went wrong that a terminal shows."""


def report(
    runs: Sequence[Path], out: Path | None, strips: int, echo: Callable[[str], object]
) -> Sequence[Path]:
    """Write report.html, .md, .tex, .csv and .json, and report-differences.csv; return where they are.

    ``echo`` gets the tables. Unless ``out`` says otherwise the files go into the run, or of several into
    `TOGETHER`; while somebody is writing to the run, they are left out.

    Raises:
        ValueError: If a folder is no run, nothing is in it yet, or ``out`` cannot be written.
    """
    require_extra("evaluate", "infill report")
    found = [(results, tables(results)) for results in _read(runs)]
    under = attacked([results for results, _ in found])
    paths, left = list[Path](), ""
    try:  # files first, whoever stops reading the tables; and tables, though files cannot be written
        paths = _published(found, under, out or (runs[0] if len(runs) == 1 else TOGETHER), strips)
    except BusyError:
        if out is not None or len(runs) > 1:
            raise
        left = f"{runs[0]} is being written to: no files of the report are; --out FOLDER has them elsewhere"
    finally:
        for results, made in found:
            tell(results, made, echo)
        for each in under:
            echo(attacked_text(each))
    echo("  " + (" ".join(str(path) for path in paths) or left))
    return paths


def _read(runs: Sequence[Path]) -> list[Results]:
    """Return what runs have found, each under a title of its own.

    Raises:
        ValueError: If one is named twice, or as for `studio.report.results.read`.
    """
    whole = [path.resolve() for path in runs]
    for given, path in zip(runs, whole, strict=True):
        if whole.count(path) > 1:
            raise ValueError(f"RUN: {given} is named twice")
    # Folders of the same name are told apart by those that they are in.
    longest = max(len(path.parts) for path in whole)
    tails = ([Path(*path.parts[-size:]).as_posix() for path in whole] for size in range(1, longest + 1))
    titles = next(each for each in tails if len(set(each)) == len(each))
    return [replace(read(path), title=title) for path, title in zip(runs, titles, strict=True)]


def _published(
    found: Sequence[tuple[Results, Sequence[Table]]], under: Sequence[Attacked], out: Path, strips: int
) -> list[Path]:
    with output_folder(out) as folder:
        return folder.publish(
            {
                "report.html": partial(_write, partial(page, found, strips, under)),
                "report.md": partial(_write, partial(_report, found, under)),
                "report.tex": partial(_write, partial(_joined, found, _latex)),
                "report.csv": partial(_write, partial(_spreadsheet, found)),
                "report-differences.csv": partial(_write, partial(_differences, found)),
                "report.json": partial(
                    save_json, {"runs": [_json(*each) for each in found], **attacked_content(under)}
                ),
            }
        )


def tell(results: Results, made: Sequence[Table], echo: Callable[[str], object]) -> None:
    """Print the tables of a run, and what must be said of them."""
    echo(f"{results.title}: {summary(results)}")
    for table in made:
        echo(f"{table.title} ({table.images})")
        echo(text(table))
    for family, found in compared.comparisons(made[0]).items():
        sure = [each for each in found if each.p < SURE]
        echo(f"{len(sure)} of {len(found)} differences {family} are sure (Holm, .05){':' if sure else ''}")
        for each in sure:
            echo(f"  {compared.worded(each)}")
    if strange := without_figure(results):
        echo(f"no column for {', '.join(strange)}: the package that adds this metric is not installed here")
    wrong = [(name, reason) for name, reason in results.skipped]
    wrong += [(f"{name}, {named(row)}", reason) for name, row, reason in results.errors]
    for name, reason in wrong[:SHOWN]:
        echo(f"  left out: {name}: {reason}")
    if len(wrong) > SHOWN:
        echo(f"  left out: {len(wrong) - SHOWN} more (all are in report.json)")


def _report(found: Sequence[tuple[Results, Sequence[Table]]], under: Sequence[Attacked]) -> str:
    return "\n".join([_joined(found, _markdown), *map(attacked_markdown, under)])


def _joined(found: Sequence[tuple[Results, Sequence[Table]]], write: Callable[[Results, Table], str]) -> str:
    return "\n".join(write(results, table) for results, made in found for table in made)


def _markdown(results: Results, table: Table) -> str:
    head = f"## {results.title}: {table.title} ({table.images})"
    return f"{head}\n\n{summary(results)}\n\n{markdown(table)}\n{compared.markdown(table)}"


def _latex(results: Results, table: Table) -> str:
    return f"% {results.title}: {table.title} ({table.images})\n{latex(table)}\n{compared.latex(table)}"


def _spreadsheet(found: Sequence[tuple[Results, Sequence[Table]]]) -> str:
    return spreadsheet([(results, made[0].figures) for results, made in found])  # the first is of all images


def _differences(found: Sequence[tuple[Results, Sequence[Table]]]) -> str:
    return compared.spreadsheet([(results.title, table) for results, made in found for table in made])


def _json(results: Results, made: Sequence[Table]) -> Mapping[str, Any]:
    return {
        "title": results.title,
        "summary": summary(results),
        "tables": [_table(table) for table in made],
        "skipped": [{"image": name, "reason": reason} for name, reason in results.skipped],
        "errors": [
            {"image": name, "row": named(row), "reason": reason} for name, row, reason in results.errors
        ],
        "missing": results.missing,
        "settings": results.settings,
    }


def _table(table: Table) -> Mapping[str, Any]:
    return {
        "title": table.title,
        "images": table.images,
        "figures": [
            {
                "title": figure.title,
                "better": figure.better,
                "kind": figure.kind,
                "rows": {
                    named(row): {
                        **dataclasses.asdict(value),
                        **({"alphas": figure.alphas[row]} if row in figure.alphas else {}),
                    }
                    for row, value in table.cells[figure.key].items()
                },
            }
            for figure in table.figures
        ],
        "differences": [
            {**dataclasses.asdict(each), "row": named(each.row), "other": named(each.other)}
            for each in table.differences
        ],
    }


def _write(make: Callable[[], str], path: Path) -> None:
    path.write_text(make(), "utf-8")
