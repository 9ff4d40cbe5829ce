"""A figure on which everything is placed in inches from the top left."""

from __future__ import annotations

import bisect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 130
NAME = 6.5
"""The least size in points of a name."""
INK, FAINT = "#222222", "#777777"


class Sheet:
    """A figure on which everything is placed in inches from the top left."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure: Figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")

    def save(self, path: Path) -> None:
        """Write it as PNG."""
        self.figure.savefig(path, format="png", dpi=DPI)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Place empty axes."""
        bottom = self.height - y - height
        place = (x / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(place)

    def name(self, x: float, y: float, name: str, size: float, room: float, **style: Any) -> None:
        """Write a name in bold, smaller if it is long: names are told apart by their ends."""
        name = " ".join(name.split())
        sizes = [size, *np.arange(size - 0.5, NAME - 0.25, -0.5)]
        fitting = (each for each in sizes if shortened(name, room, each, bold=True) == name)
        self.text(x, y, name, next(fitting, sizes[-1]), room, weight="bold", **style)

    def text(self, x: float, y: float, text: str, size: float, room: float = np.inf, **style: Any) -> None:
        """Write one line, shortened to ``room`` inches; its top is at ``y``."""
        style = {"color": INK, "va": "top", "parse_math": False, **style}
        text = shortened(text, room, size, bold=style.get("weight") == "bold")
        self.figure.text(x / self.width, 1 - y / self.height, text, fontsize=size, **style)

    def picture(self, x: float, y: float, width: float, height: float, image: ndarray) -> Axes:
        """Place an image; in a frame of another shape it is centered."""
        axes = self.axes(x, y, width, height)
        axes.imshow(
            image, interpolation="nearest" if max(image.shape[:2]) < 64 else "antialiased", vmin=0, vmax=1
        )
        bare(axes)
        return axes


@contextmanager
def any_script() -> Iterator[None]:
    """Do not warn of letters that the font lacks: labels may be in any script."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def shortened(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """Return the line, cut to at most ``room`` inches in matplotlib's font of this size in points."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size, weight="bold" if bold else "normal")
    renderer = RendererAgg(1, 1, DPI)

    def fits(line: str) -> bool:
        return renderer.get_text_width_height_descent(line, font, ismath=False)[0] <= room * DPI

    text = " ".join(text.split())
    if not np.isfinite(room) or fits(text):
        return text
    longest = bisect.bisect_left(range(1, len(text)), True, key=lambda end: not fits(text[:end] + "…"))
    return text[:longest].rstrip() + "…"


def wrapped(text: str, room: float, size: float) -> list[str]:
    """Return a text in lines of at most ``room`` inches; a word that is longer is shortened."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else ""
        if longer and shortened(longer, room, size) == longer:
            lines[-1] = longer
        else:
            lines.append(shortened(word, room, size))
    return lines


def bare(axes: Axes) -> None:
    """Take the frame and the ticks away."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


WRONG = "#b03030"


HOLE = "#ffee55"


def outline(axes: Axes, hole: Float[ndarray, "c c"], width: float = 0.45) -> None:
    """Draw a line around a hole."""
    if hole.min() < 0.5 < hole.max():
        axes.contour(hole, levels=[0.5], colors=HOLE, linewidths=width)
