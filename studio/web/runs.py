"""The folder of a run, as a page: what ``infill evaluate`` or ``infill realism`` has found so far."""

from __future__ import annotations

import base64
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from studio.drawing.captions import percent
from studio.realism.table import remarks
from studio.report.page import page
from studio.report.results import Results, read
from studio.report.tables import tables
from studio.runs.folder import SETTINGS
from studio.web.views import rendered

STRIPS = 40
Times: TypeAlias = "dict[Path, tuple[int, int]]"
"""By file when it was written, and how large it is."""


@dataclass(eq=False)
class RunPage:
    """A run to be looked through; the page is made anew where a file in the folder has changed.

    Raises:
        ValueError: If the folder holds no run.
    """

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _made: tuple[Times, str] | None = field(default=None, repr=False)

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
        self._read()

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
        with self._lock:
            times = self._times()  # before it is read: what is written meanwhile is another time's
            if self._made is None or self._made[0] != times:
                self._made = times, self._rendered()
            return self._made[1]

    def _times(self) -> Times:
        """Return by path when each file was written, and how large it is."""
        paths = self.path.rglob("*") if self._evaluation else self.path.glob("realism.*")
        times = {}
        for path in paths:
            with suppress(OSError):  # a run that goes on gives a file its name only when it is whole
                about = path.stat()
                times[path] = about.st_mtime_ns, about.st_size
        return times

    def _read(self) -> Results | dict[str, Any]:
        """Return what was found by ``infill evaluate``, or the parts of the table of ``infill realism``."""
        if self._evaluation:
            return read(self.path)
        path = self.path / "realism.json"
        try:
            report = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"--run: {path} cannot be read ({error})") from error
        return _table(report)

    def _rendered(self) -> str:
        found = self._read()
        if isinstance(found, Results):
            return page([(found, tables(found))], STRIPS)
        picture = self.path / "realism.png"
        image = base64.b64encode(picture.read_bytes()).decode() if picture.is_file() else ""
        return rendered("realism", **found, image=image, title=self.path.resolve().name)


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
