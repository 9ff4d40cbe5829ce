"""The picture of an explanation: what was explained, then one row per filler and one column per method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from jaxtyping import Bool, Float
from numpy import ndarray

from studio.drawing.colormap import color_mapping, overlay, within
from studio.drawing.sheet import FAINT, INK, Sheet, any_script, bare, wrapped
from studio.explain.panel import BAR, GAP, HEAT, SHOWN, TITLE, Cell, draw_shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All lengths are inches, measured from the top left.
MARGIN, ROW_LABEL, HEAD, LINE, COLUMN_HEAD, BARS = 0.25, 0.5, 0.8, 0.15, 0.62, 3.4
ROW = HEAT + TITLE + 2 * GAP
FOR, AGAINST, OTHER = "#b2182b", "#2166ac", "#9aa5b1"

Named: TypeAlias = Sequence[tuple[str, str]]
"""Names with settings."""


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
        against: The label that it is compared with, if it is.
        top: The most probable labels of the untouched image with their probabilities, best first.
        fillers: Name and settings of each row.
        methods: Name and settings of each column.
        cells: By (filler, method).
        truth: What is known to be true, to stand beside the image.
        legend: What the colors mean.
        heading: What stands above the bars.
        marked: A box in pixels of the image that is explained: left, top, right, bottom.
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
    legend: str = ""
    against: str = ""
    heading: str = "what the classifier sees in it"
    marked: Sequence[float] | None = None


def draw(page: Page, path: Path) -> None:
    """Draw the page and write it as PNG."""
    with any_script():
        laid_out(page).save(path)


def laid_out(page: Page) -> Sheet:
    """Return the page as it is drawn."""
    height, width = page.image.shape[:2]
    heat = HEAT * min(max(width / height, 0.5), 1.5)
    blocks = _blocks(page)
    widths = {method: heat + BAR + SHOWN * _shows(page, method) for method, _ in page.methods}
    columns = max((_across(widths[name] for name, _ in methods) for _, methods in blocks), default=0.0)
    panels = (1 + len(page.truth)) * (heat + 2 * GAP)
    top = MARGIN + HEAD + TITLE + HEAT + 2 * GAP
    height = top + sum(COLUMN_HEAD + len(fillers) * ROW for fillers, _ in blocks) + MARGIN
    sheet = Sheet(2 * MARGIN + ROW_LABEL + max(columns, panels + BARS), height)
    _header(sheet, page, MARGIN + ROW_LABEL, heat)
    for fillers, methods in blocks:
        _block(sheet, page, (fillers, [(*method, widths[method[0]]) for method in methods]), top, heat)
        top += COLUMN_HEAD + len(fillers) * ROW
    return sheet


def _blocks(page: Page) -> list[tuple[Named, Named]]:
    """Return the rows and the columns of grids without a gap: methods that ran with the same fillers."""
    blocks: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for method in page.methods:
        ran = tuple(filler for filler, _ in page.fillers if (filler, method[0]) in page.cells)
        blocks.setdefault(ran, []).append(method)
    return [
        ([filler for filler in page.fillers if filler[0] in ran], methods) for ran, methods in blocks.items()
    ]


def _across(widths: Iterable[float]) -> float:
    each = list(widths)
    return sum(each) + (len(each) - 1) * 2 * GAP


def _block(
    sheet: Sheet, page: Page, block: tuple[Named, Sequence[tuple[str, str, float]]], top: float, heat: float
) -> None:
    """Draw rows of fillers and columns of methods, which have names, settings and widths."""
    fillers, methods = block
    x = MARGIN + ROW_LABEL
    for method, settings, width in methods:
        sheet.name(x, top + 0.12, method, 13, width)
        sheet.text(x, top + 0.36, settings, 7.5, width, color=FAINT)
        for i, (filler, _) in enumerate(fillers):
            _cell(sheet, page, page.cells[filler, method], (x, top + COLUMN_HEAD + i * ROW), heat)
        x += width + 2 * GAP
    for i, (filler, settings) in enumerate(fillers):
        middle = top + COLUMN_HEAD + i * ROW + TITLE + HEAT / 2
        side: dict[str, Any] = {"rotation": 90, "va": "center", "ha": "center"}
        sheet.name(MARGIN + 0.1, middle, filler, 13, HEAT, **side)
        sheet.text(MARGIN + 0.32, middle, settings, 7.5, HEAT, color=FAINT, **side)


def _shows(page: Page, method: str) -> bool:
    """Whether there is anything beside the heatmaps of a method that the classifier was shown."""
    return any(len(cell.samples) > 0 for (_, each), cell in page.cells.items() if each == method)


def _header(sheet: Sheet, page: Page, left: float, heat: float) -> None:
    room = sheet.width - left - MARGIN
    sheet.text(left, MARGIN, page.title, 15, room, weight="bold")
    sheet.text(left, MARGIN + 0.33, page.subtitle, 8.5, room, color=FAINT)
    first, *more = wrapped(page.legend, room, 8.5) or [""]
    for i, line in enumerate([first, " ".join(more)]):
        sheet.text(left, MARGIN + 0.5 + i * LINE, line, 8.5, room, color=FAINT)
    y = MARGIN + HEAD
    for i, panel in enumerate([Panel("image", page.image), *page.truth]):
        x = left + i * (heat + 2 * GAP)
        sheet.text(x, y + 0.08, panel.title, 8.5, heat)
        axes = sheet.picture(x, y + TITLE, heat, HEAT, panel.image)
        if i == 0:
            _outline_view(axes, page)
            _mark(axes, page)
    x = left + (1 + len(page.truth)) * (heat + 2 * GAP)
    sheet.text(x, y + 0.08, page.heading if page.top else "", 8.5, BARS)
    _bars(sheet, page, x, y + TITLE)


def _bars(sheet: Sheet, page: Page, x: float, y: float) -> None:
    length, step = BARS - 0.7, HEAT / max(len(page.top), 5)
    colors = {page.target: FOR, **({page.against: AGAINST} if page.against else {})}
    for i, (label, probability) in enumerate(page.top):
        style: dict[str, Any] = {"weight": "bold"} if label in colors else {}
        sheet.text(x, y + i * step + 0.05, label, 8.5, length, **style)
        sheet.text(x + length + 0.1, y + i * step + 0.05, f"{probability:.3f}", 8.5, **style)
        axes = sheet.axes(x, y + i * step + 0.23, length, 0.08)
        axes.barh(0, probability, color=colors.get(label, OTHER), height=1)
        axes.set(xlim=(0, 1), ylim=(-0.5, 0.5), facecolor="#eeeeee")
        bare(axes)


def _cell(sheet: Sheet, page: Page, cell: Cell, corner: tuple[float, float], heat: float) -> None:
    x, y = corner
    seen = within(page.box, page.image.shape[:2])
    colors = color_mapping(cell.heatmap, seen, cell.signed, cell.told_apart)
    axes = sheet.picture(x, y + TITLE, heat, HEAT, overlay(page.image, cell.heatmap, seen, colors))
    _outline_view(axes, page)
    _mark(axes, page)
    if cell.told is not None:
        _hatch(axes, seen & ~cell.told)
    bar = sheet.axes(x + heat + 0.06, y + TITLE, 0.09, HEAT)
    low, high = colors.get_clim()
    ticks = [low, (low + high) / 2, high]
    scale = sheet.figure.colorbar(colors, cax=bar, ticks=ticks)
    scale.ax.set_yticklabels([_number(tick, high - low) for tick in ticks])
    scale.ax.tick_params(labelsize=6.5, length=2, pad=1.5, colors=INK)
    scale.outline.set_visible(False)
    draw_shown(sheet, cell, (x + heat + BAR, y), page.target)


def _hatch(axes: Axes, where: Bool[ndarray, "h w"]) -> None:
    """Hatch some pixels, if there are any."""
    if where.any():
        areas = axes.contourf(where.astype(float), levels=[0.5, 1.5], colors="none", hatches=["/////"])
        areas.set(edgecolor=(0.2, 0.2, 0.2, 0.55), linewidth=0)


def _outline_view(axes: Axes, page: Page) -> None:
    """Mark what the classifier sees, where that is not all."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = page.box
    height, width = page.image.shape[:2]
    if (left, top) == (0, 0) and (right, bottom) == (width, height):
        return
    style: dict[str, Any] = {"fill": False, "linewidth": 0.8, "edgecolor": "white", "linestyle": (0, (4, 3))}
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, **style))


def _mark(axes: Axes, page: Page) -> None:
    """Draw the box that is explained, if there is one."""
    from matplotlib.patches import Rectangle

    if page.marked is not None:
        left, top, right, bottom = page.marked
        corner, sides = (left - 0.5, top - 0.5), (right - left, bottom - top)
        axes.add_patch(Rectangle(corner, *sides, fill=False, linewidth=1.2, edgecolor="#33d17a"))


def _number(value: float, span: float) -> str:
    """Write a tick with two digits of the span, and rounding errors as 0."""
    return "0" if abs(value) < 1e-3 * span else f"{value:.2g}"
