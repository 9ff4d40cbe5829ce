"""What a loaded inpainter is: a network, and how it wants its images."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Inpainter:
    """A network ``(image, hole) -> image``, each "n ? h w", and what it needs to be given.

    The hole is 1 where pixels are to be filled, and these pixels are ``blank`` in the image it gets. What it
    returns where pixels are observed does not matter.

    Attributes:
        network: The inpainter. If ``stochastic`` it takes ``generator=``, a list with one for each image.
        size: The height and width it works at; ``None``: any.
        coverage: Of which share of a resized pixel more than this must be hidden for it to be hidden.
        multiple: What the sides of its input must be multiples of.
        value_range: What 0 and 1 of an image are to it, in its input and its output.
        blank: What hidden pixels are, in its range.
    """

    network: Callable[..., Tensor]
    size: int | None = None
    coverage: float = 0.0
    multiple: int = 1
    value_range: tuple[float, float] = (0.0, 1.0)
    blank: float = 0.0
    stochastic: bool = False
