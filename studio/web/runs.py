"""The folder of a run, as a page: what ``infill evaluate`` or ``infill realism`` has found so far."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.drawing.captions import percent
from studio.realism.table import remarks
from studio.report.page import page
from studio.report.results import read
from studio.report.tables import tables
from studio.runs.folder import SETTINGS
from studio.web.views import rendered

STRIPS = 40


@dataclass(frozen=True)
class RunPage:
    """A run to be looked through; what is in the folder is read anew for every look.

    Raises:
        ValueError: If the folder holds no run.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise ValueError(
                f"--run: {self.path} is no folder; give that of `infill evaluate` or `infill realism`"
            )
        if not (self._evaluation or self._realism):
            raise ValueError(
                f"--run: {self.path} holds neither {SETTINGS} of `infill evaluate` nor realism.json of "
                "`infill realism`"
            )
        self.page()

    @property
    def _evaluation(self) -> bool:
        return (self.path / SETTINGS).is_file()

    @property
    def _realism(self) -> bool:
        return (self.path / "realism.json").is_file()

    def page(self) -> str:
        """Return the page.

        Raises:
            ValueError: If the run cannot be read, or nothing is in it yet.
        """
        if self._evaluation:
            results = read(self.path)
            return page([(results, tables(results))], STRIPS)
        try:
            report = json.loads((self.path / "realism.json").read_text("utf-8"))
            picture = self.path / "realism.png"
            image = base64.b64encode(picture.read_bytes()).decode() if picture.is_file() else ""
        except (OSError, ValueError) as error:
            raise ValueError(f"--run: {self.path / 'realism.json'} cannot be read ({error})") from error
        return rendered("realism", **_table(report), image=image, title=self.path.resolve().name)


def _table(report: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of the table of ``realism.json``.

    Raises:
        ValueError: If something is missing there.
    """
    try:
        return {
            "about": f"{report['title']} · {report['images']} images, {percent(report['area'])} removed",
            "rows": list(report["rows"]),
            "metrics": [_metric(metric, report["rows"]) for metric in report["metrics"].values()],
            "remarks": remarks(report),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"--run: realism.json is not of this version of infill ({error!r} is missing)"
        ) from error


def _metric(metric: dict[str, Any], rows: list[str]) -> dict[str, Any]:
    arrow = {"lower": "↓", "higher": "↑"}.get(metric["better"] or "", "")
    cells = []
    for row in rows:
        figure, digits, scale = metric["figures"][row], metric["digits"], metric["scale"]
        low, high = figure["low"], figure["high"]
        between = "" if low is None else f"{scale * low:{digits}} … {scale * high:{digits}}"
        cells.append(
            {
                "value": f"{scale * figure['value']:{digits}}",
                "interval": between,
                "best": metric["best"] == row,
            }
        )
    return {"title": metric["title"], "arrow": arrow, "cells": cells}
