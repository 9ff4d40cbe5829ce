"""Heatmaps in the page of a run: in the colors of ``explain.png``."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from studio.report import strips as module
from studio.report.strips import strips
from studio.runs.folder import EXAMPLE

MAP = np.zeros((32, 32))
MAP[:16] = 1
MAP[0, 0] = 50  # as gradients are


def run(method: str) -> Any:
    heatmaps = {EXAMPLE: np.full((32, 32, 3), 99.0)}
    return SimpleNamespace(
        about={0: {"name": "a.png", "clean": 0.5}},
        rows={(method, "gray"): {0: {}}},
        settings={"signed": {method: True}},
        folder=SimpleNamespace(heatmap=lambda key: heatmaps.get(key[1], MAP)),
        target=lambda number: "cat",
    )


@pytest.mark.parametrize(("method", "reddest"), [("sp", 50.0), ("gradient", 1.0), ("integrated", 1.0)])
def test_of_gradients_the_few_largest_do_not_pale_the_rest(
    method: str, reddest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[float] = []
    overlay = module.overlay
    monkeypatch.setattr(
        module, "overlay", lambda *args: ends.append(args[-1].get_clim()[1]) or overlay(*args)
    )
    assert len(strips(run(method), 1)) == 1
    assert ends == pytest.approx([reddest])
