"""Do composites look like *other* real images? Distances of two sets that have nothing to do with each other.

Their sizes may differ. Only the composites are resampled, so the intervals say how sure a figure is for this
set of other images; fillers are compared with each other on the same images and the same others.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Integer
from torch import Generator, Tensor

from infill.realism.distances import AT_ONCE, check_sets, frechet_between, gaussian, kernel_sums
from infill.realism.resampling import GROUPS, Estimate, jackknife, split
from infill.validate import require


def frechet_to_others(
    features: Float[Tensor, "n d"], others: Float[Tensor, "m d"], generator: Generator, groups: int = GROUPS
) -> Estimate:
    """Frechet distance of two sets, taken for normal distributions (Heusel et al. 2017, eq. 6).

    With fewer images than features it is biased upwards: compare it for equal numbers of images only.

    Raises:
        ValueError: If there are fewer than 2 images of either, or the features are not finite or not as wide.
    """
    _check(features, others)
    parts = split(len(features), generator, groups)
    theirs = gaussian(others, _chunks(others))

    def distance(kept: list[int]) -> float:
        return frechet_between(*gaussian(features, [parts[group] for group in kept]), *theirs)

    return jackknife(distance, len(parts))


def kernel_to_others(
    features: Float[Tensor, "n d"], others: Float[Tensor, "m d"], generator: Generator, groups: int = GROUPS
) -> Estimate:
    """Squared maximum mean discrepancy with the kernel (x . y / d + 1) ** 3 (Binkowski et al. 2018, eq. 4).

    The unbiased estimate for any two sets (Gretton et al. 2012, eq. 3): sets of the same kind are 0 apart in
    the mean, and may be slightly less.

    Raises:
        ValueError: If there are fewer than 2 images of either, or the features are not finite or not as wide.
    """
    _check(features, others)
    parts = split(len(features), generator, groups)
    chunks = _chunks(others)
    own = kernel_sums(features, features, parts, parts, different=True)
    cross = kernel_sums(features, others, parts, chunks).sum(1)
    count = len(others)
    within = float(kernel_sums(others, others, chunks, chunks, different=True).sum()) / (count * (count - 1))

    def distance(kept: list[int]) -> float:
        left = sum(len(parts[group]) for group in kept)
        ours = float(own[kept][:, kept].sum()) / (left * (left - 1))
        return ours + within - 2 * float(cross[kept].sum()) / (left * count)

    return jackknife(distance, len(parts))


def _chunks(rows: Float[Tensor, "m d"]) -> Sequence[Integer[Tensor, " _g"]]:
    """The numbers of all rows, so many at a time."""
    return torch.split(torch.arange(len(rows)), AT_ONCE)


def _check(features: Tensor, others: Tensor) -> None:
    width = features.shape[1]
    require(others.shape[1] == width, "others", f"of {width} features as features", others.shape[1])
    check_sets(2, features=features, others=others)
