"""Do composites look like *other* real images? Distances of two sets that have nothing to do with each other.

Their sizes may differ. Only the composites are resampled, so the intervals say how sure a figure is for this
set of other images; fillers are compared with each other on the same images and the same others.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from infill.realism.distances import between, gaussian
from infill.realism.resampling import GROUPS, Estimate, jackknife, split
from infill.validate import require

_AT_ONCE = 1024


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
    theirs = gaussian(others, torch.split(torch.arange(len(others)), _AT_ONCE))
    return jackknife(lambda kept: between(*gaussian(features, [parts[i] for i in kept]), *theirs), len(parts))


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
    chunks = torch.split(torch.arange(len(others)), _AT_ONCE)
    within = sum(_sum(others[one], others[two]) for one in chunks for two in chunks)
    within -= float(_kernel(others.double().square().sum(1) / others.shape[1]).sum())
    count = len(others)
    cross = torch.tensor(
        [sum(_sum(features[part], others[one]) for one in chunks) for part in parts], dtype=torch.float64
    )
    own = torch.tensor(
        [[_sum(features[one], features[two]) for two in parts] for one in parts], dtype=torch.float64
    )
    same = [_kernel(features[part].double().square().sum(1) / features.shape[1]).sum() for part in parts]
    own = own - torch.stack(same).diag()

    def distance(kept: list[int]) -> float:
        left = sum(len(parts[group]) for group in kept)
        ours = float(own[kept][:, kept].sum()) / (left * (left - 1))
        return ours + within / (count * (count - 1)) - 2 * float(cross[kept].sum()) / (left * count)

    return jackknife(distance, len(parts))


def _kernel(products: Tensor) -> Tensor:
    """The kernel of products that are divided by the number of features."""
    return (products + 1) ** 3


def _sum(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"]) -> float:
    """The kernel's sum over all pairs, an image with itself among them."""
    return float(_kernel(one.double() @ other.double().T / one.shape[1]).sum())


def _check(features: Tensor, others: Tensor) -> None:
    width = features.shape[1]
    require(others.shape[1] == width, "others", f"of {width} features as features", others.shape[1])
    for name, rows in (("features", features), ("others", others)):
        require(len(rows) >= 2, name, "of at least 2 images", len(rows))
        finite = all(bool(part.isfinite().all()) for part in torch.split(rows, _AT_ONCE))
        require(finite, name, "finite", "NaN or infinity")
