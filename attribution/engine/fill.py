"""Fills as a filler proposes them, checked, and those that all holes of an image share."""

import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from attribution.engine.clean import constant, unwritten, version_of
from infill.filler import Chance, Filler, Staged, check_range
from infill.validate import require

_SAME = 1e-3
"""By how much two fills may differ by rounding alone."""


class UnsteadyFillerWarning(UserWarning):
    """A filler fills otherwise than it says of itself."""


@dataclass(eq=False)
class SharedFill:
    """The fills of a filler to which the hole does not matter: made once for all images, when first needed.

    Attributes:
        image: RGB in [0, 1], in float32.
        filler: What proposes the fills.
        computed: The fills, if they have been made already.
        version: Of the images' memory, see `CleanImages`.
    """

    image: Float[Tensor, "b c h w"]
    filler: Filler
    computed: Float[Tensor, "b c h w"] | None = None
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.version = version_of(self.image)

    @cached_property
    def stages(self) -> Float[Tensor, "k b c h w"] | None:
        """What a soft hole leads through, from the images to their fills; ``None`` if it mixes these two."""
        if not isinstance(self.filler, Staged):
            return None
        with constant():
            return self.filler.stages(self.image)

    @property
    def pixels(self) -> Float[Tensor, "b c h w"]:
        """The fill of each image.

        Raises:
            ValueError: As for `proposed`.
        """
        if self.computed is None:
            everything = self.image.new_ones(len(self.image), 1, *self.image.shape[2:])
            with constant():
                self.computed = proposed(self.filler, self.image, everything, None)
                if not type(self.filler).__module__.startswith("infill."):
                    self._warn_if_the_hole_matters(self.computed[:1], everything[:1])
        return self.computed

    def _warn_if_the_hole_matters(self, fill: Tensor, everything: Tensor) -> None:
        """Ask a filler again about half of the first image: what it says of itself may not be so."""
        half = everything.clone()
        half[..., : everything.shape[2] // 2, :] = 0
        again = proposed(self.filler, self.image[:1], half, None)
        if float(((again - fill) * half).abs().max()) > _SAME:
            warnings.warn(
                f"filler {type(self.filler).__name__} says per_hole=False, and does not fill the same pixels "
                "alike when asked about another hole: it is asked once an image, with everything removed; "
                "say per_hole=True if the hole matters, stochastic=True as well if it draws by chance",
                UnsteadyFillerWarning,
                stacklevel=2,
            )

    def part(self, rows: slice) -> "SharedFill":
        """Return the fills of some of the images, which are made for all of them."""
        computed = None if self.filler.per_hole else self.pixels[rows]
        return replace(self, image=self.image[rows], computed=computed)

    def equals(self, other: "SharedFill") -> bool:
        """Whether the other fills are the same, to the bit."""
        return self.filler is other.filler and unwritten(self.image, self.version, other.image)


def proposed(filler: Filler, image: Tensor, hole: Tensor, generator: Chance) -> Tensor:
    """Return the fills that a filler proposes for holes.

    It gets an image and a hole of its own, which it may change.

    Raises:
        ValueError: If it fails, or returns no floating-point tensor, fills of another shape or, inside of the
            holes, beyond [0, 1].
    """
    try:
        fill = filler(image.clone(), hole.clone(), generator)
    except ValueError as error:
        raise ValueError(f"filler {type(filler).__name__}: {error}") from error
    named = f"fill of {type(filler).__name__}"
    floating = isinstance(fill, Tensor) and fill.is_floating_point()
    got = fill.dtype if isinstance(fill, Tensor) else type(fill).__name__
    require(floating, named, "a floating-point tensor of numbers in [0, 1]", got)
    fill = fill.to(image.dtype)  # of NumPy's numbers it is often made in float64
    shapes = [(n, *image.shape[1:]) for n in (1, len(hole))]
    rule = f"one whose fill is of shape {shapes[-1]}"
    require(tuple(fill.shape) in shapes, "filler", rule, tuple(fill.shape))
    if not bool(((fill >= 0) & (fill <= 1)).all()):  # where nothing is removed nobody sees it
        check_range(named, fill.where(hole > 0, 0), "finite and in [0, 1] inside of holes")
        fill = fill.where(hole > 0, image)  # NaN would come through as 0 times NaN
    return fill if filler.per_hole else fill.expand_as(image)
