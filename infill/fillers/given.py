"""Pixels that are known beforehand: another image, or what a filler made of a larger one."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from infill.filler import Chance, Fill, Filler, Hole, Images, check_holes
from infill.validate import require


@dataclass(frozen=True, eq=False)
class Given:
    """Fills holes with an image that is given: the scene without its object, or a blurred photograph's view.

    Args:
        pixels: RGB in [0, 1], of one image for all, or one for each of ``b`` images.
        maker: What made them, if a filler did, of a larger image; for reports.

    Raises:
        ValueError: If the pixels are of another shape, or not in [0, 1].
    """

    pixels: Float[Tensor, "*b c h w"]
    maker: Filler | None = None
    per_hole: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False
    of_image: ClassVar[bool] = True

    def __post_init__(self) -> None:
        shape = tuple(self.pixels.shape)
        require(len(shape) in (3, 4) and 0 not in shape, "pixels", "of shape c h w or b c h w", shape)
        low, high = (float(each) for each in self.pixels.aminmax())
        require(low >= 0 and high <= 1, "pixels", "in [0, 1], without NaN", f"{low:g} to {high:g}")

    @property
    def sees_hidden(self) -> bool:
        """Whether the maker looked under the hole; pixels from elsewhere cannot."""
        return self.maker is not None and self.maker.sees_hidden

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Return the pixels.

        Raises:
            ValueError: If they are of another size or number than the images.
        """
        check_holes(image, hole)
        fits = self.pixels.shape[-3:] == image.shape[1:] and self.pixels[..., 0, 0, 0].numel() in (
            1,
            len(image),
        )
        require(fits, "pixels", f"of the images' shape {tuple(image.shape)}", tuple(self.pixels.shape))
        return self.pixels.to(image).expand_as(image)
