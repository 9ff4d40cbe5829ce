"""Two maps of the same picture side by side."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
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
        overlap: Which share of their strongest pixels they have in common (intersection over union); ``None``
            if one map is the same everywhere.
        counted: Which share of its pixels each map's strongest ones are: a tenth, or more, where values are
            equal.
    """

    map: Float[Tensor, "h w"]
    scaled: bool
    correlation: float | None
    overlap: float | None
    counted: tuple[float, float]


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
    strongest = _strongest(a), _strongest(b)
    both, either = strongest[0] & strongest[1], strongest[0] | strongest[1]
    overlap = None if flat else float(both.sum() / either.sum())
    counted = float(strongest[0].double().mean()), float(strongest[1].double().mean())
    if scaled:
        a, b = (each / each.abs().max().clamp_min(1e-12) for each in (a, b))
    return Difference((a - b).float(), scaled, correlation, overlap, counted)


def _strongest(heatmap: Float[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """Return where the strongest tenth of a map is, with all that are equal to its weakest pixel.

    Of a map most of which has its lowest value it is all that is above: a tenth of that would be any.
    """
    count = max(1, round(STRONGEST * heatmap.numel()))
    least = heatmap.flatten().topk(count).values[-1]
    return heatmap >= least if least > heatmap.min() else heatmap > least
