"""The table for a terminal, for Markdown and for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infill.realism.resampling import LEAST
from studio.realism.metrics import METRICS
from studio.realism.results import Results

_ARROWS = {"lower": "↓", "higher": "↑", None: " "}
_PER_IMAGE = (
    "label", "accuracy", "probability", "confidence", "entropy", "change", "divergence", "ms_ssim", "lpips",
    "l1", "psnr", "lpips_truth", "periodicity", "seam", "texture",
)  # fmt: skip


def save_csv(results: Results, labels: Sequence[str], path: Path) -> None:
    """Write ``realism.csv``: a line for each image and filler."""
    names = [name for name in _PER_IMAGE if any(name in values for values in results.values.values())]
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["image", "filler", "hole", "target", *names])
        for i, image in enumerate(results.names):
            target = labels[results.targets[i]] if results.targets[i] >= 0 else ""
            for row, values in results.values.items():
                cells = [_cell(name, values[name][i], labels) if name in values else "" for name in names]
                lines.writerow([image, row, f"{results.areas[i]:.6g}", target, *cells])


def text_table(report: Mapping[str, Any], width: int = 15) -> str:
    """Return the table for a terminal: a figure, and below it its interval; columns of ``width`` or more."""
    figures = [[_figure(metric, row) for row in report["rows"]] for metric in report["metrics"].values()]
    texts = [*report["rows"], *(text for cells in figures for cell in cells for text in cell)]
    width = max(width, 1 + max(len(text) for text in texts))
    lines = [
        f"{report['title']} · {report['images']} images, {100 * report['area']:.1f} % of the view removed"
    ]
    lines.append(" " * 30 + "".join(f"{row:>{width}}" for row in report["rows"]))
    for metric, cells in zip(report["metrics"].values(), figures, strict=True):
        arrow = _ARROWS[metric["better"]]
        lines.append(f"{metric['title']:27} {arrow} " + "".join(f"{value:>{width}}" for value, _ in cells))
        if any(interval for _, interval in cells):
            lines.append(" " * 30 + "".join(f"{interval:>{width}}" for _, interval in cells))
    return "\n".join([*lines, "", *remarks(report)])


def rows_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each filler and metric, with its interval."""
    return [
        {
            "filler": row,
            "metric": name,
            **{key: metric["figures"][row][key] for key in ("value", "low", "high")},
            "better": metric["better"],
        }
        for name, metric in report["metrics"].items()
        for row in report["rows"]
        if row in metric["figures"]
    ]


def markdown_table(report: Mapping[str, Any]) -> str:
    """Return the table as Markdown."""
    lines = ["| | " + " | ".join(report["rows"]) + " |", "|---|" + "---|" * len(report["rows"])]
    for metric in report["metrics"].values():
        cells = [" ".join(_figure(metric, row)).strip() for row in report["rows"]]
        lines.append(f"| {metric['title']} {_ARROWS[metric['better']]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def remarks(report: Mapping[str, Any]) -> list[str]:
    """Return what must be said below the table."""
    lines = [
        f"below each figure: its 95 % interval over photographs (none of fewer than {LEAST}); *: better than "
        "every other filler (no interval of their paired differences contains 0)"
    ]
    frequent = [_frequent(row, labels) for row, labels in report["labels"].items() if labels]
    lines += [f"most frequent labels: {'; '.join(frequent)}"] if frequent else []
    lines += [f"note: {note}" for note in report["notes"]]
    reasons: dict[str, list[str]] = {}
    for name, reason in report["missing"].items():
        reasons.setdefault(reason, []).append(METRICS[name].title.split(",")[0])
    lines += [f"left out: {'; '.join(titles)} ({reason})" for reason, titles in reasons.items()]
    skipped = report["skipped"]
    if skipped:
        lines.append(f"skipped {len(skipped)} image{'s' * (len(skipped) != 1)} (all are in realism.json):")
        lines += [f"  {each['image']}: {each['reason']}" for each in skipped[:5]]
    return lines


def _frequent(row: str, labels: Mapping[str, int]) -> str:
    """Return the first labels of a row's histogram, without their numbers."""
    return f"{row}: " + ", ".join(
        f"{name.split(' ', 1)[1]} {count}" for name, count in list(labels.items())[:3]
    )


def _figure(metric: Mapping[str, Any], row: str) -> tuple[str, str]:
    """Return a figure and its interval."""
    figure, digits, scale = metric["figures"][row], metric["digits"], metric["scale"]
    star = "*" if metric["best"] == row else " "
    value = f"{scale * figure['value']:{digits}}{star}"
    if figure["low"] is None:
        return value, ""
    return value, f"{scale * figure['low']:{digits}}…{scale * figure['high']:{digits}} "


def _cell(name: str, value: Any, labels: Sequence[str]) -> str:
    return labels[int(value)] if name == "label" else f"{float(value):.6g}"
