"""What a run has found so far, image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray

from studio.registry.tables import NOTHING
from studio.runs.folder import EXAMPLE, RunFolder, opened, unit_name

Row: TypeAlias = "tuple[str, str]"
"""A method and a filler; baselines have none."""
Found: TypeAlias = Mapping[str, ndarray]
"""By name the values of one unit: places and values, "k 2"."""


@dataclass(frozen=True, eq=False)
class Results:
    """The values of a run.

    Attributes:
        title: What it is called where several runs stand side by side.
        about: By number what is known about an image that is used.
        rows: By method and filler, and number, what was found.
        errors: What went wrong: image, row, reason.
        skipped: Images that are not used, with the reasons.
        missing: How many units are still to be done.
        gone: How many heatmaps and pictures are there no more, though what was found is.
    """

    title: str
    folder: RunFolder
    about: Mapping[int, Mapping[str, Any]]
    rows: Mapping[Row, Mapping[int, Found]]
    errors: Sequence[tuple[str, Row, str]]
    skipped: Sequence[tuple[str, str]]
    missing: int
    gone: int = 0

    @property
    def settings(self) -> Mapping[str, Any]:
        """How it was done."""
        return self.folder.settings

    @property
    def labels(self) -> Sequence[str]:
        """The names of the classes."""
        names: Sequence[str] = self.settings["classifier"]["labels"]
        return names

    def photograph(self, number: int) -> str:
        """Return of which photograph an image is, which shows several classes where each is a target."""
        about = self.about[number]
        return str(about.get("photograph", about["name"]))

    def target(self, number: int) -> str:
        """Return the name of an image's target."""
        return self.labels[int(self.about[number]["target"])]


def read(path: Path) -> Results:
    """Read the folder of a run.

    Raises:
        ValueError: If it is none, is of another version, or nothing is in it yet.
    """
    folder = opened(path)
    if "pairs" not in folder.settings:
        raise ValueError(f"RUN: {path} is no run of `infill evaluate`, but another command's")
    looked = {number: folder.load((number, EXAMPLE)) for number in range(int(folder.settings["images"]))}
    about = {number: part.about for number, part in looked.items() if part is not None and not part.error}
    if not about:
        raise ValueError(f"RUN: {path} has no image that is done yet")
    skipped = [
        (str(part.about.get("name", number)), part.error)
        for number, part in looked.items()
        if part is not None and part.error
    ]
    gone = sum(not folder.heatmap_file((number, EXAMPLE)).exists() for number in about)
    rows: dict[Row, dict[int, Found]] = {}
    errors: list[tuple[str, Row, str]] = []
    missing = sum(part is None for part in looked.values())
    for method, filler in folder.settings["pairs"]:
        rows[method, filler], wrong, left = _row(folder, about, method, filler)
        errors += wrong
        missing += left
        gone += 0 if method == NOTHING else _gone(folder, rows[method, filler], unit_name(method, filler))
    return Results(path.resolve().name, folder, about, rows, errors, skipped, missing, gone)


def _gone(folder: RunFolder, found: Mapping[int, Found], unit: str) -> int:
    """Return of how many images something was found in a heatmap that is there no more."""
    return sum(not folder.heatmap_file((number, unit)).exists() for number in found)


def _row(
    folder: RunFolder, about: Mapping[int, Mapping[str, Any]], method: str, filler: str
) -> tuple[dict[int, Found], list[tuple[str, Row, str]], int]:
    """Return what one method with one filler has found, its errors, and how many images are to be done."""
    found: dict[int, Found] = {}
    errors, missing = [], 0
    for number, known in about.items():
        part = folder.load((number, unit_name(method, filler)))
        if part is None:
            missing += 1
            continue
        if part.error:
            errors.append((str(known["name"]), (method, filler), part.error))
        if part.values or not part.error:
            found[number] = {key: np.array(pairs) for key, pairs in part.values.items()}
    return found, errors, missing
