"""`uv run python -m benchmarks.outlook`: what the outlook changes in methods that follow slopes.

ECSSD photographs, explained for the first label of MobileNetV2. The slope of the log-odds at a pixel that is
not removed is that of putting something there: what the filler puts into a chessboard's squares
(`chessboard`), or what it happens to propose at an observed pixel (`none`). Both are held against the truth,
which takes a composite for every cell: how far the log-odds fall when this cell alone is removed. Then MP2
and FIDO search with either. Figures are kept in `runs/outlook`, photograph by photograph: broken off, the
command goes on; those of other settings, fillers' weights
or code of fillers and methods are not used again.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from tqdm import tqdm

from attribution import MP2, Fido, MaskedScore
from attribution.holes import upsampled
from attribution.optimize.cached_score import CachedScore, Outlook
from attribution.optimize.problem import in_log_odds
from benchmarks import holes
from benchmarks.fillers import folder, of_first_label
from benchmarks.holes import MOBILENET, Case
from benchmarks.intervals import interval
from benchmarks.report import Found, command, kept, launch, table, write
from models.classifiers import ImageClassifier, load_classifier

RUNS = Path("runs/outlook")
FLAT = "none: the slope is 0 everywhere"
CELLS = 14
"""Cells along each side, whose slopes and effects are compared."""
METHODS: dict[str, MP2 | Fido] = {
    "mp2": MP2(cells=CELLS, graded=True),
    "fido": Fido(cells=CELLS, steps=40, samples=4, lr=0.4, warmup=4),
}
"""With as many cells, and FIDO's steps fewer at a higher rate, so that 50 photographs take no day."""


def compared(text: str, case: Case, classifier: ImageClassifier) -> Found:
    """What the outlook changes with a filler on a photograph."""
    score = of_first_label(case.image, classifier, text)
    found = {"clean": float(score.clean)}
    effect = effects(score)
    slopes = {outlook: slope(score, outlook) for outlook in get_args(Outlook)}
    for outlook, falls in slopes.items():
        found[f"{outlook} slope"] = correlation(falls, effect)
    found["slopes"] = correlation(*slopes.values())
    for name, method in METHODS.items():
        outcomes = [with_outlook(method, outlook).optimize(score) for outlook in get_args(Outlook)]
        for outlook, outcome in zip(get_args(Outlook), outcomes, strict=True):
            found[f"{name} {outlook} left"] = float(outcome.left)
            found[f"{name} {outlook} kept"] = float(outcome.kept)
            found[f"{name} {outlook} area"] = float(outcome.hole.mean())
        one, other = (outcome.heatmap[0] for outcome in outcomes)
        found[f"{name} heatmaps"] = correlation(one, other)
    return {key: np.array(value) for key, value in found.items()}


def with_outlook(method: MP2 | Fido, outlook: Outlook) -> MP2 | Fido:
    """The method with another outlook."""
    return replace(method, outlook=outlook)


def effects(score: MaskedScore) -> Tensor:
    """How far the log-odds fall when one cell alone is removed."""
    followed, _ = in_log_odds(score)
    cells = torch.eye(CELLS**2).view(-1, 1, CELLS, CELLS)
    with torch.inference_mode():
        return followed.clean - followed(upsampled(cells, score.size))


def slope(score: MaskedScore, outlook: Outlook) -> Tensor:
    """How fast the log-odds fall with each cell when nothing is removed."""
    followed, _ = in_log_odds(score)
    cached = CachedScore(followed, outlook=outlook)
    cached.begin(cached.rows)
    cells = torch.zeros(1, 1, CELLS, CELLS, requires_grad=True)
    odds = cached(upsampled(cells, score.size))
    return -torch.autograd.grad(odds.sum(), cells)[0].flatten()


def correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's; nan where one of the two is the same everywhere, and has no ranks."""
    if one.std() == 0 or other.std() == 0:
        return float("nan")
    return float(spearmanr(one.flatten().numpy(), other.flatten().numpy()).statistic)


def told(values: np.ndarray) -> str:
    """Correlations' mean and interval, over the photographs that have any."""
    known = values[np.isfinite(values)]
    some = f" ({len(known)} photographs)" if len(known) < len(values) else ""
    return interval(known, 2) + some if len(known) else FLAT


def slope_row(text: str, found: list[Mapping[str, np.ndarray]]) -> list[object]:
    """A filler's line in the first table."""
    keys = ("chessboard slope", "none slope", "slopes")
    return [text, *(told(np.array([float(each[key]) for each in found])) for key in keys)]


def search_rows(text: str, found: list[Mapping[str, np.ndarray]]) -> list[list[object]]:
    """A filler's lines in the second table."""

    def pair(name: str, figure: str, digits: int) -> str:
        values = [
            [float(each[f"{name} {outlook} {figure}"]) for each in found] for outlook in get_args(Outlook)
        ]
        return " / ".join(f"{np.mean(some):.{digits}f}" for some in values)

    return [
        [
            text, name, pair(name, "left", 3), pair(name, "kept", 3), pair(name, "area", 3),
            told(np.array([float(each[f"{name} heatmaps"]) for each in found])),
        ]
        for name in METHODS
    ]  # fmt: skip


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="Photographs.")
    parser.add_argument("--fillers", nargs="+", default=["inpaint"])
    options = parser.parse_args()
    classifier = load_classifier("mobilenet_v2", MOBILENET)
    found: dict[str, list[Found]] = {text: [] for text in options.fillers}
    folders = {
        text: folder(RUNS, text, list(METHODS.values()), classifiers=[MOBILENET]) for text in options.fillers
    }
    cases = list(holes.silhouettes(options.count))
    for number, case in enumerate(tqdm(cases)):
        for text in options.fillers:
            job = partial(compared, text, case, classifier)
            found[text].append(kept(folders[text] / f"{number}.npz", job))
    slopes = ["filler", "chessboard to the effect", "none to the effect", "chessboard to none"]
    searches = ["filler", "method", "p left: chessboard / none", "p of what is kept", "area", "heatmaps"]
    body = (
        f"{len(cases)} photographs, {CELLS} x {CELLS} cells; Spearman's correlations with intervals over "
        "photographs. Slopes at the untouched image, held against how far the log-odds fall when a cell "
        "alone is removed:\n\n"
        + table(slopes, [slope_row(*each) for each in found.items()])
        + "\n\nWhat the search comes to:\n\n"
        + table(searches, [row for each in found.items() for row in search_rows(*each)])
    )
    made = command("benchmarks.outlook", parser, options)
    write("outlook", "What the outlook changes", made, body, ("torch", "scipy"))


if __name__ == "__main__":
    launch(main)
