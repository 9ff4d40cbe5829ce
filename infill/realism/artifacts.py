"""Traces that a filler leaves: a regular screen, a seam along the rim, a smear in place of texture.

Each holds what is in the hole against the same photograph outside of it, so that nobody needs to know what
was there, and 1 is what a hole full of photograph has. All take batches of images in [0, 1] with one hole
each, whose values of 0.5 and more count as removed, and return one number an image.
"""

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from infill.filler import Hole
from infill.validate import require

Pictures: TypeAlias = Float[Tensor, "n c h w"]
Plane: TypeAlias = Float[Tensor, "n 1 h w"]
Lags: TypeAlias = Float[Tensor, "n 1 y x"]

SCREEN = 2.0
"""A periodicity above this is a screen that one sees."""
FLOOR = 1 / 255
"""What no measure looks below: the step of 8-bit pixels. Added above and below each fraction line."""
VISIBLE = 8 / 255
"""Noise of this standard deviation hides a faint screen: so much is added to the detail of every hole."""
NEAR = 4
"""Pixels on either side of the rim whose gradients are the ones nearby."""
_BLUR = 6.0
"""Standard deviation in pixels: what is finer is detail."""
_RIM = 3.0
"""Standard deviation in pixels with which a region fades out towards its rim."""
_REACH = 32
"""Pixels: how far apart two places are compared at most; frequencies are told apart to about 1 / 32."""
_STEP, _RADII, _ANGLES = 0.0075, 66, 96
"""Frequencies are looked at in such steps, in cycles a pixel, up to 66 of them, and so many directions."""
_BESIDE = 10
"""Directions to either side, 19 degrees, that low frequencies do not tell apart."""
_SLOWEST, _APART = 12, 4
"""Steps: screens have periods of 11 px (0.09) or less, or harmonics there; a peak is over 0.03 below it."""


def periodicity(images: Pictures, hole: Hole) -> Float[Tensor, " n"]:
    """Strongest periodic peak within the hole over the photograph's own; above `SCREEN` one sees a screen.

    The peak is the largest amplitude of the detail's spectrum over what is usual: the median of the same
    frequency in all directions, and then the median of the same direction at all frequencies, so that
    neither sharpness nor a straight edge is taken for a period. Both spectra, the hole's and that of the
    rest, are those of the autocorrelation (Blackman & Tukey 1958) seen through the hole's own shape, so that
    they are equally fine. A photograph of bricks has a high peak itself; continuing it gives 1. In a hole of
    less than some 20 pixels a side there is no room to tell.

    Raises:
        ValueError: If the shapes do not fit together, or a hole is empty or covers all of its image.
    """
    inside = _checked(images, hole)
    gray = images.float().mean(1, keepdim=True)
    within, without = inside.float(), (~inside).float()
    sums, pairs = _correlations(gray, within)
    others, other_pairs = _correlations(gray, without)
    # Far apart, two places of the rest may be so few that their mean says nothing: those count as unlike.
    known = other_pairs > 0.02 * other_pairs.amax((1, 2, 3), keepdim=True)
    others = torch.where(known, others / other_pairs.clamp(min=1), 0)
    most = pairs.amax((1, 2, 3), keepdim=True)
    ours, theirs = (_peak(_spectrum(each)) for each in (sums / most, others * pairs / most))
    return ours / theirs


def seam(images: Pictures, hole: Hole) -> Float[Tensor, " n"]:
    """Gradient across the hole's rim over the gradient within `NEAR` pixels of it: 1 is no seam.

    Both are means of the absolute differences of neighboring pixels, sideways and up and down.

    Raises:
        ValueError: If the shapes do not fit together, or a hole is empty or covers all of its image.
    """
    inside = _checked(images, hole)
    around = [F.max_pool2d(side.float(), 2 * NEAR + 1, 1, NEAR) > 0 for side in (inside, ~inside)]
    near = around[0] & around[1]
    totals = images.new_zeros(4, len(images), dtype=torch.float32)
    for axis in (2, 3):
        size = images.shape[axis] - 1
        steps = images.float().diff(dim=axis).abs().mean(1, keepdim=True)
        one, other = inside.narrow(axis, 0, size), inside.narrow(axis, 1, size)
        beside = near.narrow(axis, 0, size) & near.narrow(axis, 1, size) & (one == other)
        for place, chosen in enumerate((one != other, beside)):
            totals[2 * place] += (steps * chosen).sum((1, 2, 3))
            totals[2 * place + 1] += chosen.sum((1, 2, 3))
    across, count, nearby, others = totals
    ratio: Tensor = (across / count.clamp(min=1) + FLOOR) / (nearby / others.clamp(min=1) + FLOOR)
    return ratio


def texture(images: Pictures, hole: Hole) -> Float[Tensor, " n"]:
    """How much fine detail there is within the hole over that of the rest: 1 is as much, a smear has less.

    Detail is the standard deviation of what a blur takes away.

    Raises:
        ValueError: If the shapes do not fit together, or a hole is empty or covers all of its image.
    """
    inside = _checked(images, hole)
    gray = images.float().mean(1, keepdim=True)
    ours, theirs = (_spread(gray, region.float()) for region in (inside, ~inside))
    return (ours + FLOOR) / (theirs + FLOOR)


TRACES: Mapping[str, Callable[[Pictures, Hole], Float[Tensor, " n"]]] = {
    "periodicity": periodicity,
    "seam": seam,
    "texture": texture,
}
"""All of them, by the names that tables give them."""


def _checked(images: Pictures, hole: Hole) -> Tensor:
    """The hole as yes and no."""
    shape = (len(images), 1, *images.shape[2:])
    require(tuple(hole.shape) == shape, "hole", f"of shape {shape}", tuple(hole.shape))
    inside = hole >= 0.5
    area = inside.flatten(1).float().mean(1)
    partly = bool(((area > 0) & (area < 1)).all())
    require(partly, "hole", "neither empty nor all of the image", f"shares of {area.tolist()}")
    return inside


def _detail(gray: Plane, region: Plane) -> tuple[Plane, Plane]:
    """What a blur within the region takes away, and the region's weight, which fades towards its rim."""
    around = _blurred(gray * region, _BLUR) / _blurred(region, _BLUR).clamp(min=1e-6)
    weight = region * _blurred(region, _RIM).square()
    return (gray - around) * region, weight


def _spread(gray: Plane, region: Plane) -> Float[Tensor, " n"]:
    detail, weight = _detail(gray, region)
    return ((detail.square() * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))).sqrt()


def _blurred(plane: Plane, deviation: float) -> Plane:
    """Convolve with a normal distribution; there is nothing around the image.

    As products of matrices: up to a thousand pixels a side that is faster than sliding a kernel.
    """
    height, width = plane.shape[2:]
    return _band(height, deviation, plane) @ plane @ _band(width, deviation, plane)


def _band(side: int, deviation: float, like: Plane) -> Float[Tensor, "side side"]:
    """What each place of an axis gets of each."""
    place = torch.arange(side, device=like.device, dtype=like.dtype)
    reach = math.ceil(3 * deviation)
    steps = torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)
    apart = place[:, None] - place
    weight = torch.exp(-0.5 * (apart / deviation).square()).where(apart.abs() <= reach, 0)
    return weight / torch.exp(-0.5 * (steps / deviation).square()).sum()


def _correlations(gray: Plane, region: Plane) -> tuple[Lags, Lags]:
    """Sums of products of the region's detail at places so far apart, and how many places those are.

    Both "n 1 y x" with lag (0, 0) in the middle.
    """
    detail, weight = _detail(gray, region)
    height, width = gray.shape[2:]
    # So large that what wraps around is further apart than the reach.
    size = (max(height, _REACH + 1) + _REACH, max(width, _REACH + 1) + _REACH)

    def lags(plane: Tensor) -> Tensor:
        power = torch.fft.rfft2(plane, s=size).abs().square()
        found: Tensor = torch.fft.fftshift(torch.fft.irfft2(power, s=size), dim=(2, 3))
        y, x = size[0] // 2, size[1] // 2
        reach = _REACH
        return found[:, :, y - reach : y + reach + 1, x - reach : x + reach + 1]

    # Pixels at the rim count less, in the sums as in the counts.
    return lags(detail * weight), lags(weight).clamp(min=0)


def _spectrum(correlation: Lags) -> Float[Tensor, "n r a"]:
    """The power at each of `_RADII` frequencies in each of `_ANGLES` directions."""
    lag = torch.arange(-_REACH, _REACH + 1, device=correlation.device, dtype=correlation.dtype)
    fade = torch.cos(lag * math.pi / (2 * (_REACH + 1))).square()
    shown = correlation[:, 0] * fade[:, None] * fade
    radii = _STEP * torch.arange(1, _RADII + 1, dtype=lag.dtype, device=lag.device)
    angles = torch.arange(_ANGLES, device=lag.device, dtype=lag.dtype) * math.pi / _ANGLES
    frequency = 2 * math.pi * radii[:, None, None] * torch.stack([angles.sin(), angles.cos()], -1)
    # The correlation is symmetric, so its transform is real: cos(a + b) = cos a cos b - sin a sin b.
    down, right = (frequency[..., axis].flatten()[:, None] * lag for axis in (0, 1))
    power = torch.einsum("ky,nyx,kx->nk", down.cos(), shown, right.cos())
    power = power - torch.einsum("ky,nyx,kx->nk", down.sin(), shown, right.sin())
    return power.view(-1, _RADII, _ANGLES)


def _peak(power: Float[Tensor, "n r a"]) -> Float[Tensor, " n"]:
    """The largest amplitude over what is usual."""
    power = power.clamp(min=0) + VISIBLE**2
    relative = power / power.median(2, keepdim=True).values
    usual = relative.median(1, keepdim=True).values.clamp(min=1)
    # An edge has the more the lower the frequency, and in the wider an angle; a period has not.
    lower = relative[:, _SLOWEST - _APART - 1 : -_APART].maximum(usual)
    beside = F.max_pool1d(F.pad(lower, (_BESIDE, _BESIDE), mode="circular"), 2 * _BESIDE + 1, 1)
    return (relative[:, _SLOWEST - 1 :] / beside).flatten(1).amax(1).sqrt().float()
