"""Fillers that continue the surroundings into the hole, from OpenCV and scikit-image."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from infill.filler import Chance, Fill, Hole, Images, check_rgb
from infill.fillers.static import IMAGENET_MEAN, Color, check_empty
from infill.validate import Length, Level, Range, require_settings

Pixels: TypeAlias = Float[ndarray, "h w 3"]
Hidden: TypeAlias = Bool[ndarray, "h w"]


@dataclass(frozen=True)
class _OpenCV:
    """What Telea's and Navier-Stokes' algorithms share: OpenCV's ``inpaint``, in 8 bits, hole by hole.

    Args:
        radius: How many pixels around a hidden pixel its value is made of, 1 to 100.
        threshold: Pixels with ``hole >= threshold`` are hidden from the algorithm and filled.
        empty: The fill's color where an image has no observed pixel to continue.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    radius: Annotated[int, Range(1, 100)] = 3
    threshold: Level = 0.5
    empty: Color = IMAGENET_MEAN
    per_hole: ClassVar[bool] = True
    sees_hidden: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False
    algorithm: ClassVar[str]

    def __post_init__(self) -> None:
        check_empty(self.empty)
        require_settings(self)

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Return the fill of each hole, "n 3 h w" in [0, 1].

        Raises:
            ValueError: If shapes do not fit together, or the image is not RGB.
        """
        return _each(image, hole, self.threshold, self.empty, self._inpaint)

    def _inpaint(self, pixels: Pixels, hidden: Hidden) -> Pixels:
        import cv2

        # Along the image's border OpenCV reads hidden pixels and leaves some unfilled. Within a
        # ring of hidden pixels no hole touches the border, and neither happens.
        ring = ((1, 1), (1, 1))
        image = np.pad(np.rint(pixels * 255).astype(np.uint8), (*ring, (0, 0)))
        mask = np.pad(hidden.astype(np.uint8), ring, constant_values=1)
        filled: ndarray = cv2.inpaint(image, mask, self.radius, getattr(cv2, self.algorithm))
        return filled[1:-1, 1:-1] / 255.0


@dataclass(frozen=True)
class Telea(_OpenCV):
    """Fast marching inpainting (Telea 2004), as in OpenCV, in 8 bits.

    Args and errors: ``radius`` (3), ``threshold`` (0.5) and ``empty`` as for `_OpenCV`.
    """

    algorithm: ClassVar[str] = "INPAINT_TELEA"


@dataclass(frozen=True)
class NavierStokes(_OpenCV):
    """Inpainting along isophotes as a fluid flows (Bertalmio et al. 2001), as in OpenCV, in 8 bits.

    Args and errors: ``radius`` (3), ``threshold`` (0.5) and ``empty`` as for `_OpenCV`.
    """

    algorithm: ClassVar[str] = "INPAINT_NS"


@dataclass(frozen=True)
class Biharmonic:
    """The smoothest continuation: solves the biharmonic equation (Damelin & Hoang 2018; scikit-image).

    Args:
        side: Solve on a reduced copy whose short side is at most ``side`` pixels and enlarge the
            fill bilinearly: much faster for large holes. ``None`` solves at full size. A pixel of
            the copy is the mean of the observed pixels under it, and hidden if there are none.
        threshold: Pixels with ``hole >= threshold`` are hidden from the algorithm and filled.
        empty: The fill's color where an image has no observed pixel to continue.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    side: Length | None = None
    threshold: Level = 0.5
    empty: Color = IMAGENET_MEAN
    per_hole: ClassVar[bool] = True
    sees_hidden: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_empty(self.empty)
        require_settings(self)

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Return the fill of each hole, "n 3 h w" in [0, 1].

        Raises:
            ValueError: If shapes do not fit together, or the image is not RGB.
        """
        return _each(image, hole, self.threshold, self.empty, self._solve)

    def _solve(self, pixels: Pixels, hidden: Hidden) -> Pixels:
        height, width = hidden.shape
        short = min(height, width)
        if self.side is None or self.side >= short:
            return _biharmonic(pixels, hidden)
        small = (max(1, height * self.side // short), max(1, width * self.side // short))
        fill = torch.from_numpy(_biharmonic(*_reduced(pixels, hidden, small)))
        return _to_pixels(F.interpolate(_to_planes(fill), (height, width), mode="bilinear"))


def _each(
    image: Images, hole: Hole, threshold: float, empty: Color, solve: Callable[[Pixels, Hidden], Pixels]
) -> Fill:
    """Give ``solve`` one image and one hole at a time, never a pixel that the hole covers."""
    check_rgb(image, hole)
    images = image.detach().to("cpu", torch.float64).clamp(0, 1).permute(0, 2, 3, 1)
    pixels = images.expand(len(hole), -1, -1, -1).numpy()
    hidden = (hole.detach() >= threshold).squeeze(1).cpu().numpy()
    fill = np.empty(pixels.shape)
    for index, (observed, gone) in enumerate(zip(pixels, hidden, strict=True)):
        if gone.all():
            fill[index] = empty
        elif not gone.any():
            fill[index] = observed
        else:
            fill[index] = solve(np.where(gone[..., None], 0.0, observed), gone)
    return torch.from_numpy(fill).permute(0, 3, 1, 2).clamp(0, 1).to(image.device, image.dtype)


def _biharmonic(pixels: Pixels, hidden: Hidden) -> Pixels:
    if not hidden.any():
        return pixels
    from skimage.restoration import inpaint_biharmonic

    filled: ndarray = inpaint_biharmonic(pixels, hidden, channel_axis=-1)
    return filled


def _reduced(
    pixels: Pixels, hidden: Hidden, size: tuple[int, int]
) -> tuple[Float[ndarray, "y x 3"], Bool[ndarray, "y x"]]:
    """Average the observed pixels under each pixel of a smaller image; hidden where there are none."""
    observed = torch.from_numpy(~hidden).double()[None, None]
    share = F.adaptive_avg_pool2d(observed, size)
    planes = _to_planes(torch.from_numpy(pixels)) * observed
    average = F.adaptive_avg_pool2d(planes, size) / share.where(share > 0, 1.0)
    return _to_pixels(average), (share == 0)[0, 0].numpy()


def _to_planes(pixels: Float[Tensor, "h w c"]) -> Float[Tensor, "1 c h w"]:
    return pixels.permute(2, 0, 1)[None]


def _to_pixels(planes: Float[Tensor, "1 c h w"]) -> Pixels:
    pixels: ndarray = planes[0].permute(1, 2, 0).contiguous().numpy()
    return pixels
