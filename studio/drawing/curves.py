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


def legend(curves: Iterable[str]) -> list[tuple[str, str]]:
    """Return what the marks mean, each with its color."""
    named = [(f"— {name}", color) for name, color in COLORS.items() if name in curves]
    return [*named, ("○ result", INK), ("-- chance", FAINT)]


def draw_curves(
    axes: Axes, curves: Mapping[str, Float[ndarray, " t"]], result: float, chance: float, size: float
) -> None:
    """Draw probabilities over the steps, the result after the last, and a dashed line at chance.

    ``size`` is that of the ticks, in points.
    """
    steps = max((len(curve) for curve in curves.values()), default=1)
    axes.axhline(chance, color=FAINT, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    for name, color in COLORS.items():
        if name in curves:
            curve = curves[name]
            axes.plot(np.arange(1, len(curve) + 1), curve, color=color, linewidth=1.0, clip_on=False)
    ring: dict[str, Any] = {"fillstyle": "none", "markersize": 3.5, "markeredgewidth": 0.8, "color": INK}
    axes.plot(steps, result, "o", clip_on=False, **ring)
    axes.set(xlim=(1, max(steps, 2)), ylim=(0, 1), yticks=[0, 1], xticks=sorted({1, steps}))
    axes.tick_params(labelsize=size, length=2, width=0.5, pad=1.5, colors=INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_linewidth(0.5)
