"""The picture of an explanation: what was explained, then one row per filler and one column per method."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from studio.sheet import DPI, INK, Sheet, bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

# All lengths are inches, measured from the top left.
STAMP, TITLE, GAP, MARGIN = 1.04, 0.3, 0.12, 0.25
HEAT = 2 * STAMP + TITLE
BAR, ROW_LABEL, HEAD, COLUMN_HEAD, BARS = 0.66, 0.5, 0.8, 0.62, 3.4
_NOISE = 1e-6
FAINT, WRONG = "#777777", "#b03030"


@dataclass(frozen=True, eq=False)
class Sample:
    """One composite that the method looked at, in the classifier's view."""

    image: Float[ndarray, "c c 3"]
    hole: Float[ndarray, "c c"]
    probability: float
    label: str


@dataclass(frozen=True, eq=False)
class Cell:
    """What one method finds with one filler; the heatmap has the input's size."""

    heatmap: Float[ndarray, "h w"]
    samples: Sequence[Sample]


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture with one or two lines above it."""

    title: str
    image: Float[ndarray, "h w 3"]


@dataclass(frozen=True, eq=False)
class Page:
    """All that ``explain.png`` shows.

    Attributes:
        box: The classifier's view (left, top, right, bottom) in pixels of the image.
        target: The label that is explained.
        top: The most probable labels of the untouched image with their probabilities, best first.
        fillers: Name and settings of each row.
        methods: Name and settings of each column.
        cells: By (filler, method).
        truth: What is known to be true, to stand beside the image.
    """

    title: str
    subtitle: str
    image: Float[ndarray, "h w 3"]
    box: tuple[float, float, float, float]
    target: str
    top: Sequence[tuple[str, float]]
    fillers: Sequence[tuple[str, str]]
    methods: Sequence[tuple[str, str]]
    cells: Mapping[tuple[str, str], Cell]
    truth: Sequence[Panel] = ()


def draw(page: Page, path: Path) -> None:
    """Draw the page and write it as PNG."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # labels may be in any script
        sheet = _laid_out(page)
        sheet.figure.savefig(path, format="png", dpi=DPI)


def _laid_out(page: Page) -> Sheet:
    height, width = page.image.shape[:2]
    heat = HEAT * min(max(width / height, 0.5), 1.5)
    cell = heat + BAR + 2 * STAMP + GAP
    columns = len(page.methods) * (cell + 2 * GAP) - 2 * GAP
    panels = (1 + len(page.truth)) * (heat + 2 * GAP)
    sheet_width = 2 * MARGIN + ROW_LABEL + max(columns, panels + BARS)
    row = HEAT + TITLE + 2 * GAP
    top = MARGIN + HEAD + TITLE + HEAT + 2 * GAP
    sheet = Sheet(sheet_width, top + COLUMN_HEAD + len(page.fillers) * row + MARGIN)
    left = MARGIN + ROW_LABEL
    _header(sheet, page, left, heat)
    for j, (method, settings) in enumerate(page.methods):
        x = left + j * (cell + 2 * GAP)
        sheet.text(x, top + 0.12, method, 13, cell, weight="bold")
        sheet.text(x, top + 0.36, settings, 7.5, cell, color=FAINT)
        for i, (filler, _) in enumerate(page.fillers):
            _cell(sheet, page, page.cells[filler, method], (x, top + COLUMN_HEAD + i * row), heat)
    for i, (filler, settings) in enumerate(page.fillers):
        middle = top + COLUMN_HEAD + i * row + TITLE + HEAT / 2
        side: dict[str, Any] = {"rotation": 90, "va": "center", "ha": "center"}
        sheet.text(MARGIN + 0.1, middle, filler, 13, HEAT, weight="bold", **side)
        sheet.text(MARGIN + 0.32, middle, settings, 7.5, HEAT, color=FAINT, **side)
    return sheet


def _header(sheet: Sheet, page: Page, left: float, heat: float) -> None:
    room = sheet.width - left - MARGIN
    sheet.text(left, MARGIN, page.title, 15, room, weight="bold")
    sheet.text(left, MARGIN + 0.33, page.subtitle, 8.5, room, color=FAINT)
    y = MARGIN + HEAD
    for i, panel in enumerate([Panel("image", page.image), *page.truth]):
        x = left + i * (heat + 2 * GAP)
        sheet.text(x, y + 0.08, panel.title, 8.5, heat)
        axes = sheet.picture(x, y + TITLE, heat, HEAT, panel.image)
        if i == 0:
            _outline_view(axes, page)
    x = left + (1 + len(page.truth)) * (heat + 2 * GAP)
    sheet.text(x, y + 0.08, "what the classifier sees in it", 8.5, BARS)
    _bars(sheet, page, x, y + TITLE)


def _bars(sheet: Sheet, page: Page, x: float, y: float) -> None:
    length, step = BARS - 0.7, HEAT / max(len(page.top), 5)
    for i, (label, probability) in enumerate(page.top):
        style: dict[str, Any] = {"weight": "bold"} if label == page.target else {}
        sheet.text(x, y + i * step + 0.05, label, 8.5, length, **style)
        sheet.text(x + length + 0.1, y + i * step + 0.05, f"{probability:.3f}", 8.5, **style)
        axes = sheet.axes(x, y + i * step + 0.23, length, 0.08)
        axes.barh(0, probability, color="#b2182b" if label == page.target else "#9aa5b1", height=1)
        axes.set(xlim=(0, 1), ylim=(-0.5, 0.5), facecolor="#eeeeee")
        bare(axes)


def _cell(sheet: Sheet, page: Page, cell: Cell, corner: tuple[float, float], heat: float) -> None:
    x, y = corner
    seen = _seen(page)
    mapping = _mapping(cell.heatmap, seen)
    axes = sheet.picture(x, y + TITLE, heat, HEAT, _overlay(page.image, cell.heatmap, seen, mapping))
    _outline_view(axes, page)
    bar = sheet.axes(x + heat + 0.06, y + TITLE, 0.09, HEAT)
    low, high = mapping.get_clim()
    ticks = [low, (low + high) / 2, high]
    scale = sheet.figure.colorbar(mapping, cax=bar, ticks=ticks)
    scale.ax.set_yticklabels([_number(tick, high - low) for tick in ticks])
    scale.ax.tick_params(labelsize=6.5, length=2, pad=1.5, colors=INK)
    scale.outline.set_visible(False)
    for i, sample in enumerate(cell.samples):
        place = x + heat + BAR + (i % 2) * (STAMP + GAP), y + (i // 2) * (STAMP + TITLE)
        _stamp(sheet, sample, place, page.target)


def _stamp(sheet: Sheet, sample: Sample, corner: tuple[float, float], target: str) -> None:
    x, y = corner
    right = sample.label == target
    sheet.text(x, y + 0.05, f"p {sample.probability:.3f}", 6.5, STAMP, weight="bold")
    sheet.text(x, y + 0.16, sample.label, 6.5, STAMP, color=INK if right else WRONG)
    axes = sheet.picture(x, y + TITLE, STAMP, STAMP, sample.image)
    if sample.hole.min() < 0.5 < sample.hole.max():
        axes.contour(sample.hole, levels=[0.5], colors="#ffee55", linewidths=0.45)


def _mapping(heatmap: ndarray, seen: ndarray) -> ScalarMappable:
    """Return the colors of the values that are seen: red above white, blue below, equally far.

    White is 0 where a map has both signs. A map that stays away from 0 (RISE: expected scores) is shown
    around its mean; its color bar says so. What is smaller than rounding errors stays white.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    values = heatmap[seen] if seen.any() else np.zeros(1)
    center = 0.0 if values.min() <= 0 <= values.max() else float(values.mean())
    reach = float(np.abs(values - center).max())
    reach = reach if reach > _NOISE else 1.0
    return ScalarMappable(Normalize(center - reach, center + reach), "RdBu_r")


def _seen(page: Page) -> Bool[ndarray, "h w"]:
    """Return which pixels of the image the classifier sees."""
    left, top, right, bottom = page.box
    y, x = (np.arange(side) + 0.5 for side in page.image.shape[:2])
    return ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))


def _overlay(
    image: ndarray, heatmap: ndarray, seen: ndarray, mapping: ScalarMappable
) -> Float[ndarray, "h w 3"]:
    """Lay the colors over the gray image, the stronger the farther they are from white."""
    gray = 0.25 + 0.75 * (image @ np.array([0.299, 0.587, 0.114]))[..., None]
    colors = mapping.to_rgba(heatmap)[..., :3]
    strength = np.abs(2 * np.clip(mapping.norm(heatmap), 0, 1) - 1)
    opacity = (seen * (0.3 + 0.55 * np.sqrt(strength)))[..., None]
    return np.asarray(gray * (1 - opacity) + colors * opacity)


def _outline_view(axes: Axes, page: Page) -> None:
    """Mark what the classifier sees, where that is not all."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = page.box
    height, width = page.image.shape[:2]
    if (left, top) == (0, 0) and (right, bottom) == (width, height):
        return
    style: dict[str, Any] = {"fill": False, "linewidth": 0.8, "edgecolor": "white", "linestyle": (0, (4, 3))}
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, **style))


def _number(value: float, span: float) -> str:
    """Write a tick with two digits of the span, and rounding errors as 0."""
    return "0" if abs(value) < 1e-3 * span else f"{value:.2g}"
