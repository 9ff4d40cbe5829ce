"""An image with the heatmaps of all methods, small, for the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from studio.drawing.colormap import TOLD_APART, color_mapping, overlay
from studio.registry.tables import GRADIENT
from studio.report.results import Results
from studio.report.tables import named
from studio.runs.folder import EXAMPLE, unit_name

_GRID = 16
"""Side to which heatmaps are shrunk to be compared."""


@dataclass(frozen=True)
class Strip:
    """One image.

    Attributes:
        pictures: Captions, each with a JPEG in base64.
        disagreement: 1 minus the mean rank correlation between the methods' heatmaps; 0 with one method.
    """

    name: str
    target: str
    clean: float
    pictures: Sequence[tuple[str, str]]
    disagreement: float


def strips(results: Results, most: int) -> list[Strip]:
    """Return at most so many images, evenly chosen from all that something is known of.

    A run that goes on looks at all images first.
    """
    numbers = [number for number in results.about if any(number in found for found in results.rows.values())]
    count = min(most, len(numbers))
    chosen = [numbers[i * len(numbers) // count] for i in range(count)]
    return [strip for number in chosen for strip in _strip(results, number)]


def of_gradients(method: str) -> bool:
    """Whether a method's maps are of gradients, a few of which are many times larger than the rest."""
    return method in GRADIENT


def _strip(results: Results, number: int) -> Iterator[Strip]:
    view = results.folder.heatmap((number, EXAMPLE))
    if view is None:
        return
    pictures, maps = [("image", _encoded(view / 255))], []
    for method, filler in results.rows:
        heatmap = results.folder.heatmap((number, unit_name(method, filler)))
        if heatmap is None:
            continue
        small = _shrunk(heatmap.astype(np.float32), view.shape[0])
        if filler:
            maps.append(_shrunk(small, _GRID))
        signed = bool(results.settings["signed"].get(method, False))  # baselines are not
        visible = np.ones(small.shape, dtype=bool)
        colors = color_mapping(small, visible, signed, TOLD_APART if of_gradients(method) else 1.0)
        pictures.append((named((method, filler)), _encoded(overlay(view / 255, small, visible, colors))))
    about = results.about[number]
    yield Strip(
        str(about["name"]), results.target(number), float(about["clean"]), pictures, _disagreement(maps)
    )


def _shrunk(heatmap: Float[ndarray, "h w"], side: int) -> Float[ndarray, "side side"]:
    from skimage.transform import resize

    shrunk = resize(heatmap, (side, side), order=1, anti_aliasing=True)  # type: ignore[no-untyped-call]
    return np.asarray(shrunk)


def _disagreement(maps: Sequence[ndarray]) -> float:
    from scipy.stats import rankdata

    ranks = [rankdata(each.ravel()) for each in maps]
    pairs = [np.corrcoef(a, b)[0, 1] for a, b in combinations(ranks, 2) if np.ptp(a) and np.ptp(b)]
    return 1 - float(np.mean(pairs)) if pairs else 0.0


def _encoded(pixels: Float[ndarray, "h w 3"]) -> str:
    from PIL import Image

    file = io.BytesIO()
    picture = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    picture.save(file, "JPEG", quality=82)
    return base64.b64encode(file.getvalue()).decode()
