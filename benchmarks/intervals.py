"""How sure a mean is, in words: as reports of `infill evaluate` have it, and of few images not at all."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch

from infill.realism.resampling import LEAST, bootstrap, group_places, mean
from studio.report.differences import estimated

FEW = f"of fewer than {LEAST} there is no interval"


def interval(values: np.ndarray, places: int = 3) -> str:
    """Mean and bootstrap 95 % interval over images; of fewer than `LEAST` the mean alone."""
    value = f"{values.mean():.{places}f}"
    if len(values) < LEAST:
        return value
    statistic = {"": mean(torch.from_numpy(np.asarray(values, float)))}
    low, high = bootstrap(statistic, len(values), torch.Generator().manual_seed(0))[""].interval or (0.0, 0.0)
    return f"{value} [{low:.{places}f}, {high:.{places}f}]"


def percent(values: np.ndarray, groups: Sequence[Hashable] | None = None) -> str:
    """Mean and 95 % interval in percent, of one value an image in [0, 1].

    Args:
        values: Of shares of hits, 0 or 1 each, the interval is Wilson's, which is not of width 0 where all
            are alike; of others the bootstrap's.
        groups: Of which photograph or scene each image is, if several are of one: they are drawn together.
    """
    place = group_places(range(len(values)) if groups is None else groups)
    count, value = len(place.unique()), f"{100 * values.mean():.1f}"
    if count < LEAST:
        return value
    hits = set(np.unique(values)) <= {0.0, 1.0}
    alike = len(np.unique(values)) == 1
    if hits and (count == len(values) or alike):
        bounds = wilson(round(float(values.mean()) * count), count)
    else:
        bounds = estimated(np.asarray(values, float), place, 0, hits).interval or (0.0, 0.0)
    return f"{value} [{100 * bounds[0]:.1f}, {100 * bounds[1]:.1f}]"


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    from scipy.stats import binomtest

    bounds = binomtest(hits, count).proportion_ci(method="wilson")
    return float(bounds.low), float(bounds.high)
