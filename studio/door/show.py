"""How explanations look: as a figure, a table, and a page in a notebook."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from studio.drawing.captions import percent, settings_line
from studio.drawing.colormap import color_mapping, overlay, within
from studio.drawing.sheet import any_script
from studio.explain.figure import laid_out
from studio.explain.page import filler_brief, page
from studio.explain.report import heatmaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy import ndarray

    from studio.explain.figure import Page
    from studio.explain.result import Explanation as Result

DPI, WIDTH = 80, 1000
"""Of a figure in a notebook; its width is at most so many pixels."""
SIDE, QUALITY = 256, 85
"""Of pictures in a table: the longer side, in pixels, and JPEG's quality."""
_CELL = 'style="text-align:left;vertical-align:top;padding:2px 8px"'


def figure_of(result: Result) -> Figure:
    """Return what ``explain.png`` shows."""
    with any_script():
        return laid_out(page(result)).figure


def figure_png(result: Result) -> bytes:
    """Return the figure in a notebook's size."""
    drawn = io.BytesIO()
    with any_script():
        figure_of(result).savefig(drawn, format="png", dpi=DPI)
    return shrunk(drawn, WIDTH)


def shrunk(drawn: io.BytesIO, width: int = 10**5) -> bytes:
    """Return a PNG of at most this width, with 256 colors: notebooks keep their pictures."""
    from PIL import Image

    small = io.BytesIO()
    image = Image.open(drawn).convert("RGB")
    image.thumbnail((width, image.height))
    image.quantize(256).save(small, format="PNG", optimize=True)
    return small.getvalue()


def rows_of(result: Result, notes: Sequence[str]) -> list[tuple[str, str]]:
    """Return what a table says of one run."""
    (((filler, method), run),) = result.results.items()
    heatmap = next(array for name, array in heatmaps(result) if name == f"{method}/{filler}")
    settings = settings_line(result.methods[method])
    brief = filler_brief(result, filler) if filler in result.fillers else ""  # none matters to some methods
    rows = [
        ("image", result.image.title),
        ("classifier", result.name),
        ("target", _told(result)),
        ("method", _with(method, settings)),
        ("filler", _with(filler, brief)),
        ("heatmap", f"{heatmap.shape[0]} x {heatmap.shape[1]}, {heatmap.min():.3g} to {heatmap.max():.3g}"),
        ("took", f"{run.composites} composites, {run.seconds:.1f} s"),
    ]
    if run.estimate:
        rows.append(("reliability", f"{float(run.estimate.reliability):.3f}"))
    if run.search:
        left = run.search.quantity.written(run.search.outcome.left.item(), " = ")
        failure = f"; {run.search.missed}" if run.search.missed else ""
        rows.append(("removed", f"{percent(run.search.area)}, {left}{failure}"))
    return rows + [("note", note) for note in notes]


def table_of(result: Result, notes: Sequence[str]) -> str:
    """Return the table of one run as text."""
    rows = rows_of(result, notes)
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {text}" for name, text in rows)


def html_of(result: Result, notes: Sequence[str]) -> str:
    """Return the image, the heatmap of one run and its table for a notebook."""
    shown = page(result)
    pictures = [picture(shown.image, "the image"), picture(heat_of(shown), "the heatmap")]
    rows = "".join(
        f"<tr><th {_CELL}>{html.escape(name)}</th><td {_CELL}>{html.escape(text)}</td></tr>"
        for name, text in rows_of(result, notes)
    )
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:8px;align-items:flex-start">'
        f"{''.join(pictures)}<table>{rows}</table></div>"
    )


def grid_html(rows: Sequence[tuple[str, Sequence[Result | None]]], columns: Iterable[str]) -> str:
    """Return a table of heatmaps, each of one run."""
    head = "".join(f"<th {_CELL}>{html.escape(name)}</th>" for name in ("", *columns))
    lines = []
    for name, cells in rows:
        first = next(cell for cell in cells if cell is not None)
        about = f"{html.escape(name)}<br>{html.escape(said_of(first))}"
        drawn = "".join(f"<td {_CELL}>{_heat(cell) if cell else ''}</td>" for cell in cells)
        lines.append(f"<tr><th {_CELL}>{about}</th>{drawn}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def heat_of(shown: Page) -> ndarray:
    """Return the one heatmap of a page, laid over its image."""
    (cell,) = shown.cells.values()
    seen = within(shown.box, shown.image.shape[:2])
    colors = color_mapping(cell.heatmap, seen, cell.signed, cell.told_apart)
    return overlay(shown.image, cell.heatmap, seen, colors)


def _heat(result: Result) -> str:
    return picture(heat_of(page(result)), " / ".join(reversed(next(iter(result.results)))), SIDE // 2)


def said_of(result: Result) -> str:
    """Return what is explained, with its score in the untouched image."""
    return f"{result.about} {result.quantity.number(result.clean)}"


def _told(result: Result) -> str:
    number = "" if result.asked.title else f" (class {result.target})"
    return f"{result.about}{number}, {result.quantity.written(result.clean, ' = ')}"


def picture(pixels: ndarray, text: str, side: int = SIDE) -> str:
    """Return an image as a part of the page itself."""
    from PIL import Image

    target = io.BytesIO()
    picture = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    picture.thumbnail((side, side))
    picture.save(target, format="JPEG", quality=QUALITY)
    data = base64.b64encode(target.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(text)}">'


def _with(name: str, settings: str) -> str:
    return f"{name} ({settings})" if settings else name
