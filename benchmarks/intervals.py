"""How sure a mean is, in words: as reports of `infill evaluate` have it, and of few images not at all."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch

from infill.realism.resampling import LEAST, bootstrap, group_places, mean, share, together

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
    numbers = torch.from_numpy(np.asarray(values, float))
    statistic = {"": together(mean(numbers), place)}
    estimate = bootstrap(statistic, count, torch.Generator().manual_seed(0))[""]
    low, high = share(estimate, numbers, place).interval or (0.0, 0.0)
    return f"{value} [{100 * low:.1f}, {100 * high:.1f}]"
