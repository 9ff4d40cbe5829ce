"""A blurred copy of the image, all at once or by degrees."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from infill.exact import rounded
from infill.filler import Chance, Fill, Hole, Images, check_visible
from infill.fillers.static import IMAGENET_MEAN, painted
from infill.network import unrounded
from infill.validate import Range, require_settings

# In pixels: the work grows with it, and a photograph is one color long before.
_WIDTHS = Range(0, 1000, open_low=True)
Beyond = Literal["mirrored", "gray"]


@dataclass(frozen=True)
class Blur:
    """The image under a Gaussian (Fong & Vedaldi 2017; sigma 10 in Agarwal & Nguyen 2020).

    The kernel is cut off at 4 sigma; beyond its border the image goes on mirrored (without
    repeating the border's pixels) as often as the kernel needs it, so that any size will do.

    Args:
        sigma: Standard deviation in pixels.
        levels: How many images a soft hole leads through, from the image itself to its blur, with sigmas
            that are evenly spaced: the more of a pixel is removed, the more it is blurred. 2 mixes image and
            blur; Fong et al. (2019) vary sigma, their code with 8 levels up to 20.
        beyond: How the image goes on beyond its border: ``"mirrored"``, or as the ``"gray"`` that
            normalization makes 0 (published code of Fong et al. 2019; ImageNet's mean, for RGB alone).

    Raises:
        ValueError: If ``sigma`` is not positive, or above 1000, or ``levels`` not from 2 to 64.
    """

    sigma: Annotated[float, _WIDTHS] = 10.0
    levels: Annotated[int, Range(2, 64)] = 2
    beyond: Beyond = "mirrored"
    per_hole: ClassVar[bool] = False
    sees_hidden: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Blur rows and columns, once per image."""
        check_visible(image, hole)
        return self._blurred(image, self.sigma)

    def stages(self, image: Images) -> Float[Tensor, "k n c h w"] | None:
        """Return the image and ever wider blurs of it, ``levels`` in all."""
        if self.levels == 2:
            return None
        sigmas = (self.sigma * i / (self.levels - 1) for i in range(1, self.levels))
        return torch.stack([image, *(self._blurred(image, sigma) for sigma in sigmas)])

    @unrounded()
    def _blurred(self, image: Images, sigma: float) -> Fill:
        precise = image.to(torch.promote_types(image.dtype, torch.float32))
        gray = painted(IMAGENET_MEAN, precise) if self.beyond == "gray" else 0
        mirrored = self.beyond == "mirrored"
        columns, rows = (rounded(_gaussian(side, sigma, mirrored), precise) for side in image.shape[2:])
        return (columns @ (precise - gray) @ rows.T + gray).clamp(0, 1).to(image.dtype)


def _gaussian(side: int, sigma: float, mirrored: bool) -> Float[Tensor, "side side"]:
    """The blur of one axis as a matrix: row i holds the weights that make output pixel i.

    What lies beyond the border is mirrored, or 0.
    """
    radius = int(4 * sigma + 0.5)
    taps = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (taps.double() / sigma) ** 2)
    weights = (weights / weights.sum()).expand(side, -1)
    place = torch.arange(side)[:, None] + taps
    matrix = torch.zeros(side, side, dtype=torch.float64)
    if not mirrored:
        inside = (place >= 0) & (place < side)
        return matrix.scatter_add_(1, place.clamp(0, side - 1), weights.where(inside, 0))
    period = max(2 * (side - 1), 1)
    source = place.remainder(period)
    return matrix.scatter_add_(1, torch.minimum(source, period - source), weights)
