"""The drawings of the page, as SVG: curves over steps and thresholds, bars, histograms of labels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.drawing.sheet import FAINT, INK
from studio.registry.variants import kind_of
from studio.report.results import Results, Row
from studio.report.tables import Table, named

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

COLORS = ("#2166ac", "#b2182b", "#1b7837", "#b8860b", "#762a83", "#01665e", "#8c510a", "#4d4d4d", "#c51b7d")
_DASHES: Sequence[Any] = ("-", (0, (1, 1.2)), (0, (5, 1, 1, 1)), (0, (6, 2)))
"""Of methods; each serves as many rows as there are colors."""
_HEIGHT = 2.9
_CURVED = ("localization", "localization-mean", "saliency")
"""Metrics with a value at each threshold."""


def charts(results: Results, table: Table) -> list[tuple[str, str]]:
    """Return titles and drawings of all that the results have curves for."""
    return [
        *_curves(results),
        *_bars(table),
        *_labels(results, table),
    ]


def _curves(results: Results) -> Iterator[tuple[str, str]]:
    names = dict.fromkeys(name for each in results.rows.values() for found in each.values() for name in found)
    for name in names:
        if name in _CURVED or name.endswith(".curve") or name.startswith("randomization"):
            mean = _mean_of_bins if name.startswith("outside") else _mean_curve
            lines = {
                row: mean([values[name] for values in each.values() if name in values])
                for row, each in results.rows.items()
            }
            title, across, up = _captions(name)
            yield title, _line_chart({row: line for row, line in lines.items() if line}, across, up)


def _captions(name: str) -> tuple[str, str, str]:
    if name in _CURVED:
        by = "alpha * mean" if name.endswith("mean") else "alpha * maximum"
        return f"{name} at every threshold", f"threshold: {by}", "mean over images"
    if name.startswith("outside"):
        return "change of the score by distance of the sample to the object", "pixels (0: touching)", "change"
    if name.startswith("scope"):
        title = "score that is left as superpixels drawn by chance go (R-OMS)"
        return title, "share of pixels", "score"
    if name.startswith("randomization"):
        return (
            f"agreement with the heatmap of a randomized network: {name.partition('.')[2]}",
            ("share of layers randomized, from the last on"),
            "agreement",
        )
    change, _, filler = name.removesuffix(".curve").partition(":")
    return f"{change} with {filler}", "share of pixels", "score"


def _mean_curve(curves: Sequence[np.ndarray]) -> list[tuple[float, float]]:
    """Return the mean over images at the places of the one that has most; between its own each is straight.

    Images of other sizes, or of other superpixels, have other places: without that each would be a mean over
    other images.
    """
    if not curves:
        return []
    places = max(curves, key=len)[:, 0]
    mean = np.mean([np.interp(places, curve[:, 0], curve[:, 1]) for curve in curves], axis=0)
    return list(zip(places.tolist(), mean.tolist(), strict=True))


def _mean_of_bins(curves: Sequence[np.ndarray]) -> list[tuple[float, float]]:
    """Return at every place the mean over the images that have it."""
    at: dict[float, list[float]] = {}
    for place, value in (pair for curve in curves for pair in curve):
        at.setdefault(round(float(place), 4), []).append(float(value))
    return [(place, float(np.mean(each))) for place, each in sorted(at.items())]


def _line_chart(lines: Mapping[Row, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    drawing, axes = _axes(across, up, max(_HEIGHT, 0.15 * len(lines) + 0.4))
    for i, (row, points) in enumerate(lines.items()):
        dashes = _DASHES[i // len(COLORS) % len(_DASHES)] if row[1] else (0, (4, 2))
        x, y = zip(*points, strict=True)
        color = COLORS[i % len(COLORS)]
        axes.plot(x, y, color=color, linestyle=dashes, linewidth=1.4, label=named(row))
    legend = axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    for each in legend.get_texts():
        each.set_parse_math(False)
    return _svg(drawing)


def _bars(table: Table) -> Iterator[tuple[str, str]]:
    """Figures of agreement, as in figure 6 of Agarwal & Nguyen (2020), with their intervals."""
    for figure in table.figures:
        if not figure.title.startswith("agreement"):
            continue
        cells = table.cells[figure.key]
        drawing, axes = _axes("", figure.title)
        for i, (row, cell) in enumerate(cells.items()):
            axes.bar(
                i,
                cell.value,
                color=COLORS[0] if kind_of(row[1]) in ("gray", "blur") else COLORS[1],
                width=0.7,
            )
            if cell.low is not None and cell.high is not None:
                axes.plot([i, i], [cell.low, cell.high], color=INK, linewidth=1)
        axes.set_xticks(
            range(len(cells)),
            [named(row) for row in cells],
            rotation=30,
            ha="right",
            fontsize=7,
            parse_math=False,
        )
        yield f"{figure.title}: higher is steadier", _svg(drawing)


def _labels(results: Results, table: Table) -> Iterator[tuple[str, str]]:
    """How often each label came, as in figure 8 of Agarwal & Nguyen (2020)."""
    for figure in table.figures:
        for row, counts in figure.counts.items():
            tally: dict[int, float] = {}
            for each in counts.values():
                for label, count in each.items():
                    tally[label] = tally.get(label, 0) + count
            total = sum(tally.values())
            first = sorted(tally.items(), key=lambda pair: (-pair[1], pair[0]))[:20]
            drawing, axes = _axes("", "share of samples")
            axes.bar(range(len(first)), [count / total for _, count in first], color=COLORS[0], width=0.8)
            names = [results.labels[label].split(",")[0][:18] for label, _ in first]
            style = {"rotation": 50, "ha": "right", "fontsize": 6.5, "parse_math": False}
            axes.set_xticks(range(len(first)), names, **style)
            yield (
                f"labels of the samples of {named(row)}, the most frequent 20 of {len(tally)}",
                _svg(drawing),
            )


def _axes(across: str, up: str, height: float = _HEIGHT) -> tuple[Drawing, Any]:
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(6.4, height), layout="constrained")
    axes = drawing.add_subplot()
    axes.set_xlabel(across, fontsize=8, color=INK)
    axes.set_ylabel(up, fontsize=8, color=INK)
    axes.tick_params(labelsize=7, length=2, colors=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.4, alpha=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return drawing, axes


def _svg(drawing: Drawing) -> str:
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "infill", "svg.fonttype": "none"}):
        drawing.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue().partition("<svg")[2].join(["<svg", ""])
