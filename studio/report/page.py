"""One page with everything, that needs nothing else: tables that sort, curves, heatmaps to look through."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from infill.realism.resampling import LEAST
from studio.drawing.captions import percent
from studio.drawing.colormap import TOLD_APART
from studio.report.attacked import HEADS, Attacked, lines, right, written
from studio.report.charts import charts
from studio.report.compare import Value
from studio.report.compared import comparisons, said, worded
from studio.report.figures import Figure
from studio.report.results import Results
from studio.report.strips import of_gradients, strips
from studio.report.tables import NO_FIGURE, Table, below, beside_published, headed, named, number
from studio.runs.folder import REVISION

_TEMPLATE = "page.html.jinja"


def page(
    runs: Sequence[tuple[Results, Sequence[Table]]], strips_of_each: int, under: Sequence[Attacked] = ()
) -> str:
    """Return the page of some runs, one below the other, with at most so many images' heatmaps each.

    What is kept ``under`` attack stands above them.
    """
    from jinja2 import Environment

    template = Environment(autoescape=True, trim_blocks=True).from_string(
        files("studio.report").joinpath(_TEMPLATE).read_text("utf-8")
    )
    title = " · ".join(results.title for results, _ in runs)
    told = [_run(results, tables, strips_of_each) for results, tables in runs]
    kept = [{"title": each.title, "attack": each.attack, "lines": lines(each)} for each in under]
    return template.render(title=title, runs=told, least=LEAST, attacked=kept, heads=HEADS)


def summary(results: Results) -> str:
    """Return in a line what was done."""
    settings = results.settings
    left = f"; {results.missing} units are still to be done" if results.missing else ""
    gone = f"; {results.gone} heatmaps or pictures are gone, and not shown" if results.gone else ""
    if "attack" in settings:
        before, after = (f"{100 * share:.0f} %" for share in right(results))
        attack = f"; under {written(settings['attack'])} (first choice right: {before} before, {after} after)"
    else:
        attack = ""
    own = (
        ""
        if settings.get("labelled", True) or settings["target"]
        else "; the targets are its own first choices"
    )
    return (
        f"{settings['data']}, {len(results.about)} of {settings['images']} images, "
        f"{settings['classifier']['name']}, {'papers’' if settings['paper'] else 'quick'} settings, "  # noqa: RUF001
        f"{settings['precision']}{own}{attack}{_revised(settings)}{left}{gone}"
    )


def _revised(settings: Mapping[str, Any]) -> str:
    """Return in words that metrics were others when the run was begun, if they were: figures may differ."""
    revision = settings.get("revision", 1)
    if revision == REVISION:
        return ""
    return f"; by revision {revision} of the metrics, which differs from this infill's, {REVISION}"


def _run(results: Results, tables: Sequence[Table], strips_of_each: int) -> Mapping[str, Any]:
    shown = strips(results, strips_of_each) if strips_of_each else []
    settings = {**results.settings, "classifier": {**results.settings["classifier"], "labels": "..."}}
    gradients = any(of_gradients(method) for method, _ in results.rows)
    strongest = percent(1 - TOLD_APART) if gradients else ""
    wrong = [f"{name}, {named(row)}: {reason}" for name, row, reason in results.errors]
    return {
        "title": results.title,
        "summary": summary(results),
        "tables": [_table(table) for table in tables],
        "charts": charts(results, tables[0]),
        "strips": shown,
        "strongest": strongest,
        "classes": sorted({strip.target for strip in shown}),
        "skipped": [f"{name}: {reason}" for name, reason in results.skipped] + wrong,
        "settings": json.dumps(settings, indent=1, ensure_ascii=False),
    }


def _table(table: Table) -> Mapping[str, Any]:
    return {
        "title": table.title,
        "images": table.images,
        "empty": "" if table.figures else NO_FIGURE,
        "heads": [headed(figure) for figure in table.figures],
        "rows": [
            {
                "name": named(row),
                "cells": [
                    _cell(figure, table.cells[figure.key].get(row), table.images) for figure in table.figures
                ],
            }
            for row in table.rows
        ],
        "comparisons": [
            (said(family, len(found)), [worded(each) for each in found])
            for family, found in comparisons(table).items()
        ],
        "published": beside_published(table),
    }


def _cell(figure: Figure, value: Value | None, images: int) -> Mapping[str, str]:
    if value is None:
        return {"value": "", "interval": "", "sort": ""}
    return {
        "value": number(figure, value.value),
        "interval": below(figure, value, images),
        "sort": f"{value.value:.9g}",
    }
