"""Objectives and penalties, the terms that optimizing methods minimize.

An objective takes a score, which maps holes "n 1 h w" to numbers "n", and the evidence, "n 1 h w" in [0, 1],
where 1 = the explanation claims the pixel; it returns one number per image, to be minimized. Penalties take
the evidence alone.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Evidence: TypeAlias = Float[Tensor, "n 1 h w"]
"""1 where the explanation claims the pixel, 0 where it does not; values between are soft."""

Loss: TypeAlias = Float[Tensor, " n"]
"""One number per image."""

ScoreOf: TypeAlias = Callable[[Tensor], Tensor]
"""Maps holes "n 1 h w" to scores "n"."""

Objective: TypeAlias = Callable[[ScoreOf, Tensor], Tensor]
"""``(score, evidence) -> loss``."""

Penalty: TypeAlias = Callable[[Tensor], Tensor]
"""``evidence -> loss``."""


def ssr(score: ScoreOf, evidence: Evidence) -> Loss:
    """Smallest sufficient region (Dabkowski & Gal 2017): keep the evidence alone, keep the score."""
    return -score(1 - evidence)


def sdr(score: ScoreOf, evidence: Evidence) -> Loss:
    """Smallest destroying region (Dabkowski & Gal 2017): remove the evidence, lose the score."""
    return score(evidence)


def dssr(score: ScoreOf, evidence: Evidence) -> Loss:
    """Both at once (Gu 2020, eq. 4): the score without the evidence minus that of the evidence alone."""
    return score(evidence) - score(1 - evidence)


def dssr_plus(score: ScoreOf, evidence: Evidence, window: int = 16) -> Loss:
    """As `dssr`, with the evidence averaged over a window (Gu 2020, eq. 5, k2).

    The two score terms stand in the order of eq. 4: as printed, eq. 5 has them the other way round, and no
    evidence at all would be its trivial optimum.
    """
    return dssr(score, smoothed(evidence, window))


def smoothed(evidence: Evidence, window: int = 16) -> Evidence:
    """Average over a square window, stride 1, of the size of the evidence.

    The paper pads nothing, which shrinks the map by ``window - 1``. Here the border is continued: by
    ``window // 2`` pixels at the top and left, and by one less at the bottom and right if the window is even.
    """
    before, after = window // 2, (window - 1) // 2
    padded = F.pad(evidence, (before, after, before, after), mode="replicate")
    return F.avg_pool2d(padded, window, stride=1)


def area(evidence: Evidence) -> Loss:
    """The sum of the evidence, in pixels (or cells): its L1 norm, as it is not negative."""
    return evidence.sum(dim=(1, 2, 3))


def total_variation(evidence: Evidence, power: float = 3.0) -> Loss:
    """The sum over neighbors, down and across, of their difference to a power (Fong & Vedaldi 2017)."""
    down = (evidence[:, :, 1:] - evidence[:, :, :-1]).abs().pow(power).sum(dim=(1, 2, 3))
    across = (evidence[..., 1:] - evidence[..., :-1]).abs().pow(power).sum(dim=(1, 2, 3))
    return down + across


def pooled_area(evidence: Evidence, window: int = 12, padding: int = 6) -> Loss:
    """The sum of the maxima of the evidence over windows, stride 1 (Gu 2020, sec. 3.4: k1, s1, p1).

    In the paper's words ``||1 - maxpool(1 - m)||_1`` is to grow, where ``m`` is 1 - evidence: up to a
    constant this sum is to shrink. Only the largest evidence in each window pays for it, so evidence gathers
    in compact places. It is a sum, not a sum of absolute values: the values are not negative, and the
    derivative of the absolute value is 0 wherever a window holds nothing but zeros.
    """
    return F.max_pool2d(evidence, window, stride=1, padding=padding).sum(dim=(1, 2, 3))


def area_deviation(evidence: Evidence, share: float, shuffle: Float[Tensor, " p"] | None = None) -> Loss:
    """How far the evidence is from covering exactly a share of the image (Fong et al. 2019, eq. 5).

    The mean squared difference of its sorted values to those of a map that is 1 on that share of the
    pixels and 0 elsewhere. Values that are alike are sorted in a random but fixed order: where all are 1, as
    in the beginning, no place is to be pushed harder than another. Whoever calls often makes that order once,
    with `shuffled`.
    """
    values = evidence.flatten(1)
    if shuffle is None:
        shuffle = shuffled(evidence)
    order = (values.detach() + 1e-5 * shuffle).argsort(dim=1)
    zeros = round(values.shape[1] * (1 - share))
    target = (torch.arange(values.shape[1], device=values.device) >= zeros).to(values)
    return (values.gather(1, order) - target).square().mean(dim=1)


def shuffled(image: Float[Tensor, "n c h w"]) -> Float[Tensor, " p"]:
    """Return random numbers in [0, 1), one per pixel, that are the same in every call."""
    pixels = image[0, 0].numel()
    return torch.rand(
        pixels, generator=torch.Generator().manual_seed(0), device="cpu", dtype=torch.float32
    ).to(image)


def two_stage(kept: Loss, threshold: Loss, small: float, large: float) -> Loss:
    """The weight of the penalty (Gu 2020, sec. 3.3): small until what is kept scores enough, then large."""
    return torch.where(kept > threshold, large, small)
