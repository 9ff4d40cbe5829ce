"""What a notebook shows: the heatmap in the colors of ``explain.png``."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from studio.door import show
from studio.explain.panel import Cell


@pytest.mark.parametrize("told_apart", [1.0, 0.99])
def test_the_few_largest_gradients_are_as_red_as_in_the_figure(
    told_apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    heatmap = np.zeros((32, 32))
    heatmap[:16], heatmap[0, 0] = 1, 50
    cell = Cell(heatmap, (), None, True, None, told_apart)
    page: Any = SimpleNamespace(cells={0: cell}, box=(0, 0, 32, 32), image=np.full((32, 32, 3), 0.5))
    ends: list[float] = []
    overlay = show.overlay
    monkeypatch.setattr(show, "overlay", lambda *args: ends.append(args[-1].get_clim()[1]) or overlay(*args))
    assert show.heat_of(page).shape == (32, 32, 3)
    assert ends == pytest.approx([50 if told_apart == 1 else 1])
