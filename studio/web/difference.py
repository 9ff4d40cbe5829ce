"""Two maps of the same picture side by side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

STRONGEST = 0.1
"""The share of pixels whose place two maps are compared by."""


@dataclass(frozen=True, eq=False)
class Difference:
    """How two maps differ.

    Attributes:
        map: The first minus the second, each divided by its largest absolute value if ``scaled``.
        scaled: Whether they were scaled: two methods' values have different units.
        correlation: Spearman's rank correlation; ``None`` if one map is the same everywhere.
        overlap: Which share of the strongest tenths of their pixels they have in common (intersection over
            union).
    """

    map: Float[Tensor, "h w"]
    scaled: bool
    correlation: float | None
    overlap: float


def difference(first: Float[Tensor, "h w"], second: Float[Tensor, "h w"], scaled: bool) -> Difference:
    """Compare two maps.

    Raises:
        ValueError: If they are not of the same size.
    """
    from scipy.stats import spearmanr

    if first.shape != second.shape:
        raise ValueError(
            f"maps: expected two of the same size, got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    a, b = first.double(), second.double()
    flat = bool(a.min() == a.max() or b.min() == b.max())
    correlation = None if flat else float(spearmanr(a.flatten().numpy(), b.flatten().numpy()).statistic)
    both, either = _strongest(a) & _strongest(b), _strongest(a) | _strongest(b)
    if scaled:
        a, b = (each / each.abs().max().clamp_min(1e-12) for each in (a, b))
    return Difference((a - b).float(), scaled, correlation, float(both.sum() / either.sum()))


def _strongest(heatmap: Tensor) -> Tensor:
    count = max(1, round(STRONGEST * heatmap.numel()))
    strongest = torch.zeros(heatmap.numel(), dtype=torch.bool)
    strongest[heatmap.flatten().topk(count).indices] = True
    return strongest
