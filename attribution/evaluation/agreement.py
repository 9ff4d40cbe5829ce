"""How alike heatmaps of an image are: between settings, seeds, networks (Agarwal & Nguyen 2020, 4.4)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import spearmanr
from torch import Tensor

from infill.exact import exact
from infill.validate import require

Map: TypeAlias = Float[Tensor, "h w"]

CELL = 16
"""Side in pixels of the cells in which gradients are counted (Adebayo et al. 2018)."""


def ssim(first: Map, second: Map) -> float:
    """Return the structural similarity, in [-1, 1], of two heatmaps, each stretched to [0, 1].

    scikit-image's, with its own window of 7 pixels. A heatmap of one value is 0 everywhere.

    Raises:
        ValueError: If the heatmaps are not of one size and finite, or smaller than the window.
    """
    from skimage.metrics import structural_similarity

    a, b = _checked(first, second, 7)
    return float(structural_similarity(_stretched(a), _stretched(b), data_range=1.0))  # type: ignore[no-untyped-call]


def hog_correlation(first: Map, second: Map) -> float:
    """Return Pearson's correlation, in [-1, 1], of two heatmaps' histograms of oriented gradients.

    scikit-image's, in blocks of 3 x 3 cells of 16 pixels. A heatmap of one value agrees with nothing: 0.

    Raises:
        ValueError: If the heatmaps are not of one size and finite, or smaller than a block.
    """
    from skimage.feature import hog

    a, b = _checked(first, second, 3 * CELL)
    features = [hog(_stretched(each), pixels_per_cell=(CELL, CELL)) for each in (a, b)]
    spread = [each - each.mean() for each in features]
    norm = float(np.linalg.norm(spread[0]) * np.linalg.norm(spread[1]))
    return float(spread[0] @ spread[1]) / norm if norm > 0 else 0.0


def rank_correlation(first: Map, second: Map) -> float:
    """Return Spearman's correlation of two heatmaps' pixels, in [-1, 1]; 0 if one has one value only.

    Raises:
        ValueError: If the heatmaps are not of one size and finite.
    """
    a, b = _checked(first, second, 1)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b, axis=None).statistic)


AGREEMENTS: Mapping[str, Callable[[Map, Map], float]] = {
    "ssim": ssim,
    "hog": hog_correlation,
    "spearman": rank_correlation,
}
"""The three of Agarwal & Nguyen's figure 6 and table S1."""


def agreement(heatmaps: Float[Tensor, "n h w"]) -> dict[str, float]:
    """Return the mean of each of `AGREEMENTS` over all pairs of an image's heatmaps.

    Raises:
        ValueError: If there are fewer than two, or they are not finite or too small.
    """
    require(len(heatmaps) > 1, "heatmaps", "at least two to be compared", len(heatmaps))
    return _mean_of(list(combinations(heatmaps, 2)))


def agreement_across(first: Float[Tensor, "n h w"], second: Float[Tensor, "m h w"]) -> dict[str, float]:
    """Return the mean of each of `AGREEMENTS` over all pairs of one heatmap here and one there (Fig. S17).

    Raises:
        ValueError: If there is none, or heatmaps are not of one size, not finite or too small.
    """
    require(len(first) > 0 and len(second) > 0, "heatmaps", "at least one on either side", "none")
    return _mean_of(list(product(first, second)))


def _mean_of(pairs: Sequence[tuple[Map, Map]]) -> dict[str, float]:
    return {name: sum(alike(a, b) for a, b in pairs) / len(pairs) for name, alike in AGREEMENTS.items()}


def pixel_deviation(heatmaps: Float[Tensor, "n h w"]) -> float:
    """Return the mean over pixels of the standard deviation over heatmaps (divided by ``n``).

    In the heatmaps' own unit: of probabilities, for SP; compare only methods of the same unit.

    Raises:
        ValueError: If there are fewer than two.
    """
    require(len(heatmaps) > 1, "heatmaps", "at least two to be compared", len(heatmaps))
    return float(exact(heatmaps).std(dim=0, correction=0).mean())


def _checked(first: Tensor, second: Tensor, least: int) -> tuple[ndarray, ndarray]:
    require(
        first.shape == second.shape, "heatmaps", f"of one size, {tuple(first.shape)}", tuple(second.shape)
    )
    finite = bool(torch.stack([first, second]).isfinite().all())
    require(finite, "heatmaps", "finite", "NaN or infinity")
    side = min(first.shape)
    require(side >= least, "heatmaps", f"at least {least} pixels a side", side)
    a, b = (each.detach().cpu().double().numpy() for each in (first, second))
    return a, b


def _stretched(values: ndarray) -> ndarray:
    extent = np.ptp(values)
    return (values - values.min()) / extent if extent > 0 else np.zeros_like(values)
