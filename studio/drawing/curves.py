"""The curves of a search: the score step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from studio.drawing.sheet import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {"removed": "#b2182b", "kept": "#2166ac"}
"""Of the curves that are drawn, by their names in an outcome."""


def legend(curves: Iterable[str], end: str = "chance") -> list[tuple[str, str]]:
    """Return what the marks mean, each with its color; ``end`` is what the dashed line is called."""
    named = [(f"— {name}", color) for name, color in COLORS.items() if name in curves]
    return [*named, ("○ result", INK), (f"-- {end}", FAINT)]


def draw_curves(
    axes: Axes,
    curves: Mapping[str, Float[ndarray, " t"]],
    result: float,
    chance: float,
    size: float,
    bounded: bool = True,
) -> None:
    """Draw scores over the steps, the result after the last, and a dashed line at chance.

    ``size`` is that of the ticks, in points; unless scores are ``bounded`` by 0 and 1, the axis is as long as
    they need.
    """
    steps = max((len(curve) for curve in curves.values()), default=1)
    axes.axhline(chance, color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    for name, color in COLORS.items():
        if name in curves:
            curve = curves[name]
            axes.plot(np.arange(1, len(curve) + 1), curve, color=color, linewidth=1.0, clip_on=False)
    ring: dict[str, Any] = {"fillstyle": "none", "markersize": 3.5, "markeredgewidth": 0.8, "color": INK}
    axes.plot(steps, result, "o", clip_on=False, **ring)
    low, high = (0.0, 1.0) if bounded else _range(curves, result, chance)
    ticks = [0, 1] if bounded else [low, high]
    axes.set(xlim=(1, max(steps, 2)), ylim=(low, high), yticks=ticks, xticks=sorted({1, steps}))
    if not bounded:
        axes.set_yticklabels([f"{tick:.2g}" for tick in ticks])
    axes.tick_params(labelsize=size, length=2, width=0.5, pad=1.5, colors=INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_linewidth(0.5)


def _range(curves: Mapping[str, Float[ndarray, " t"]], result: float, chance: float) -> tuple[float, float]:
    """Return the ends of the axis for the curves that are drawn."""
    drawn = [curves[name] for name in COLORS if name in curves]
    values = np.concatenate([[result, chance], *drawn])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return (low, high) if high > low else (low - 0.5, low + 0.5)
