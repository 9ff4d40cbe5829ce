"""Do composites look like real images? Distances of two sets of features, and a probe that tells them apart.

All take one row of features an image, in the same order for both sets (row i of each belongs to image i), and
read them group by group: memory-mapped features need not fit into memory.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Generator, Tensor

from infill.extras import optional
from infill.realism.resampling import GROUPS, Estimate, jackknife, split
from infill.validate import require

_ROUNDING = 1e-12
"""What share of the variances a difference must have, to be more than rounding in float64."""
AT_ONCE = 1024
"""So many images are read at a time, where no groups say."""
PROBED = 2000
"""The probe looks at this many images at most, for it has all of their features in memory at once."""


def frechet_distance(
    features: Float[Tensor, "n d"], real: Float[Tensor, "n d"], generator: Generator, groups: int = GROUPS
) -> Estimate:
    """Frechet distance of two sets, taken for normal distributions (Heusel et al. 2017, eq. 6).

    With fewer images than features it is biased upwards: compare it for equal numbers of images only.
    The trace of the root of the product of two covariances is the sum of the singular values of the product
    of their factors, exactly and without a root of a singular matrix.

    Raises:
        ValueError: If there are fewer than 2 images, or the features are not finite or not as many.
    """
    parts = _parts(features, real, generator, groups)

    def distance(kept: list[int]) -> float:
        rows = [parts[group] for group in kept]
        (ours, a), (theirs, b) = (gaussian(source, rows) for source in (features, real))
        return frechet_between(ours, a, theirs, b)

    return jackknife(distance, len(parts))


def kernel_distance(
    features: Float[Tensor, "n d"], real: Float[Tensor, "n d"], generator: Generator, groups: int = GROUPS
) -> Estimate:
    """Squared maximum mean discrepancy with the kernel (x . y / d + 1) ** 3 (Binkowski et al. 2018, eq. 4).

    The unbiased estimate for paired sets (Gretton et al. 2012, eq. 4) over all pairs of different images: an
    image's two versions, which have much in common, are not held against each other. Equal sets are exactly
    0 apart; alike ones may be slightly less.

    Raises:
        ValueError: If there are fewer than 2 images, or the features are not finite or not as many.
    """
    parts = _parts(features, real, generator, groups)
    pairs = ((features, features, 1), (real, real, 1), (features, real, -2))
    sums = torch.stack(
        [sign * kernel_sums(one, other, parts, parts, different=True) for one, other, sign in pairs]
    ).sum(0)

    def distance(kept: list[int]) -> float:
        count = sum(len(parts[group]) for group in kept)
        return float(sums[kept][:, kept].sum()) / (count * (count - 1))

    return jackknife(distance, len(parts))


def two_sample_accuracy(
    features: Float[Tensor, "n d"], real: Float[Tensor, "n d"], seed: int = 0, folds: int = 5
) -> Float[Tensor, " m"]:
    """How well a probe tells composites from real images (Lopez-Paz & Oquab 2017, section 3).

    A logistic regression on standardized features is fitted on four fifths of the images and asked about both
    versions of the others. One number an image: the share (0, 0.5 or 1) that it got right; 0.5 in the mean is
    chance. A version of an image never helps to judge its other version. At most ``PROBED`` images are used,
    drawn by the seed.

    Raises:
        ValueError: If there are fewer than 2 images a fold, or the features are not finite or not as many.
    """
    _check(features, real, 2 * folds)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(features), generator=generator)[:PROBED].sort().values
    pairs = torch.stack([real[chosen], features[chosen]], 1).double().cpu()
    right = torch.zeros(len(chosen), dtype=torch.float64)
    for held in split(len(chosen), generator, folds):
        rest = torch.ones(len(chosen), dtype=torch.bool)
        rest[held] = False
        probe = _probe()
        probe.fit(pairs[rest].flatten(0, 1).numpy(), [0, 1] * int(rest.sum()))
        predicted = torch.from_numpy(probe.predict(pairs[held].flatten(0, 1).numpy())).view(-1, 2)
        right[held] = (predicted == torch.tensor([0, 1])).double().mean(1)
    return right


def _probe() -> Any:
    """A logistic regression on standardized features."""
    modules = ("linear_model", "pipeline", "preprocessing")
    linear, pipeline, scaling = (optional(f"sklearn.{each}", "the two-sample test") for each in modules)
    return pipeline.make_pipeline(scaling.StandardScaler(), linear.LogisticRegression(C=0.01, max_iter=1000))


def _parts(features: Tensor, real: Tensor, generator: Generator, groups: int) -> list[Integer[Tensor, " _g"]]:
    _check(features, real, 2)
    return split(len(features), generator, groups)


def _check(features: Tensor, real: Tensor, least: int) -> None:
    shape = tuple(real.shape)
    require(features.shape == real.shape, "features", f"of shape {shape} as real", tuple(features.shape))
    check_sets(least, features=features, real=real)


def check_sets(least: int, **sets: Float[Tensor, "_n d"]) -> None:
    """Check sets of features, each by the name of its argument.

    Raises:
        ValueError: If one has fewer than ``least`` images, or is not finite.
    """
    for name, rows in sets.items():
        require(len(rows) >= least, name, f"of at least {least} images", len(rows))
        finite = all(bool(part.isfinite().all()) for part in torch.split(rows, AT_ONCE))
        require(finite, name, "finite", "NaN or infinity")


def frechet_between(
    ours: Float[Tensor, " d"], a: Float[Tensor, "r d"], theirs: Float[Tensor, " d"], b: Float[Tensor, "s d"]
) -> float:
    """The Frechet distance of two normal distributions, each of a mean and a factor of the covariance."""
    shared = torch.linalg.svdvals(a @ b.T).sum()
    spread = a.square().sum() + b.square().sum()
    apart = (ours - theirs).square().sum() + spread - 2 * shared
    return float(apart) if apart > _ROUNDING * spread else 0.0


def gaussian(
    source: Float[Tensor, "n d"], parts: Sequence[Integer[Tensor, " _g"]]
) -> tuple[Float[Tensor, " d"], Float[Tensor, "r d"]]:
    """The mean, and a factor F of the covariance F'F with at most d rows."""
    count = sum(len(part) for part in parts)
    center = torch.stack([source[part].double().sum(0) for part in parts]).sum(0) / count
    width = source.shape[1]
    factor = source.new_empty(0, width, dtype=torch.float64)
    for part in parts:
        factor = torch.cat([factor, source[part].double() - center])
        if len(factor) > 4 * width:  # not for every few rows, and before there are many
            factor = torch.linalg.qr(factor, mode="r").R
    if len(factor) > width:
        factor = torch.linalg.qr(factor, mode="r").R
    return center, factor / (count - 1) ** 0.5


def kernel_sums(
    one: Float[Tensor, "n d"],
    other: Float[Tensor, "m d"],
    rows: Sequence[Integer[Tensor, " _g"]],
    columns: Sequence[Integer[Tensor, " _h"]],
    different: bool = False,
) -> Float[Tensor, "r c"]:
    """The kernel's sum over all pairs of an image of ``one`` and one of ``other``, by their groups.

    With ``different``, over pairs of different images only: then the groups of both are the same.
    """
    sums = torch.zeros(len(rows), len(columns), dtype=torch.float64)
    for i, group in enumerate(rows):
        ours = one[group].double() / one.shape[1]
        for j, opposite in enumerate(columns):
            values = (ours @ other[opposite].double().T + 1) ** 3
            sums[i, j] = values.sum() - (values.trace() if different and i == j else 0)
    return sums
