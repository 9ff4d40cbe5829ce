"""The contract of a filler, how a hole meets pixels, and chance that does not depend on batches."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from infill.validate import require

Chance: TypeAlias = Generator | Sequence[Generator] | None
"""What a stochastic filler draws from: one generator for all holes in order, or one for each hole."""

Images: TypeAlias = Float[Tensor, "#n c h w"]
"""RGB in [0, 1]; one image for all ``n`` holes, or one image per hole."""

Hole: TypeAlias = Float[Tensor, "n 1 h w"]
"""1 where pixels are removed, 0 where they are observed; values between are soft."""

Fill: TypeAlias = Float[Tensor, "#n c h w"]
"""Content for the removed pixels; one fill for all holes, or one fill per hole."""


@runtime_checkable
class Filler(Protocol):
    """Proposes content for the removed pixels; what it proposes elsewhere is ignored.

    Attributes:
        per_hole: Whether the fill depends on the hole (or on chance). If not, the fill is a
            function of the image alone: one fill per *image* comes back for whatever holes are
            asked about, and the caller may compute it once per image.
        sees_hidden: Whether the fill may depend on the pixels under the hole. Only fillers
            whose definition needs it (blur, mean color of the whole image) say ``True``.
        stochastic: Whether the fill depends on chance: if not, several samples of it are all alike.

    One that knows the pixels of certain images, and can fill no others (nor these in another size), says so
    with a further attribute, ``of_image``. One to which the hole does not matter may be `Staged`.
    """

    @property
    def per_hole(self) -> bool:
        """Whether every hole needs a fill of its own."""
        ...

    @property
    def sees_hidden(self) -> bool:
        """Whether the fill may depend on what the hole covers."""
        ...

    @property
    def stochastic(self) -> bool:
        """Whether fills of the same hole differ."""
        ...

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Return a fill, in [0, 1] where pixels are removed, on the image's device and in its dtype.

        A stochastic filler draws from ``generator`` only, one draw per hole in order, so that
        the same generator gives the same fills however the holes are split into batches; it
        raises ``ValueError`` when the generator is ``None``. It may also be given one generator
        per hole: `infill.filler.spawn` takes both.
        """
        ...


@runtime_checkable
class Staged(Protocol):
    """A filler whose soft holes do not mix image and fill, but lead from one to the other by degrees."""

    def stages(self, image: Images) -> Float[Tensor, "k n c h w"] | None:
        """Return each image with more and more taken away, evenly spaced, from the image itself to its fill.

        ``None``: soft holes mix image and fill after all.
        """
        ...


HOLE_RULE = "in [0, 1], 1 where pixels are removed"
_ROUNDING = 1e-3
"""So far beyond [0, 1] a pixel may be: resizing overshoots, and bfloat16 is coarse."""


def composite(
    image: Images, hole: Hole, fill: Fill, out: Float[Tensor, "n c h w"] | None = None
) -> Float[Tensor, "n c h w"]:
    """Remove what the hole covers: ``(1 - hole) * image + hole * fill``.

    Agarwal & Nguyen (2020), eq. 1. This is the only place where polarity meets pixels. Observed
    pixels (hole = 0) come through bit by bit, and so does the fill where the hole is 1; both must be finite
    everywhere, for what is NaN or infinite shows through.
    Gradients flow into all three arguments; with ``out``, in whose memory it is made, into none.
    """
    return torch.lerp(image, fill, hole.to(image.dtype), out=out)


def staged(
    stages: Float[Tensor, "k b c h w"], hole: Hole, rows: Int[Tensor, " n"] | None = None
) -> Float[Tensor, "n c h w"]:
    """Remove by degrees: of k + 1 stages a hole of i/k shows stage i, and one in between two of them, mixed.

    With two stages, the image and its fill, it is `composite`. The slope with respect to the hole is that
    between the two stages that are mixed.

    Args:
        stages: From the untouched images to their fills.
        hole: 1 where pixels are removed.
        rows: To which image each hole belongs; ``None``: there is one image, or one hole per image.
    """
    count, images = stages.shape[:2]
    place = hole[:, 0].to(stages.dtype) * (count - 1)
    before = place.detach().floor().clamp(0, count - 2)
    if rows is None:
        rows = torch.arange(len(hole), device=hole.device) % images
    # Indexed pixel by pixel: stages of every hole would take k times the memory.
    y, x = (torch.arange(side, device=hole.device) for side in hole.shape[2:])
    pixels = stages.permute(0, 1, 3, 4, 2)
    first, second = (
        pixels[before.long() + further, rows[:, None, None], y[:, None], x] for further in (0, 1)
    )
    return torch.lerp(first, second, (place - before)[..., None]).permute(0, 3, 1, 2)


def check_holes(image: Float[Tensor, "..."], hole: Float[Tensor, "..."]) -> None:
    """Check that there are ``n`` one-channel holes in [0, 1] for one image or for ``n`` images of their size.

    Raises:
        ValueError: If the shapes do not fit together, or a hole leaves [0, 1].
    """
    require(image.ndim == 4, "image", "of shape n c h w", tuple(image.shape))
    size = tuple(image.shape[2:])
    fits = hole.ndim == 4 and hole.shape[1] == 1 and tuple(hole.shape[2:]) == size
    require(fits, "hole", f"of shape n 1 h w with h w = {size} as the image", tuple(hole.shape))
    rule = f"one image, or one per hole ({len(hole)})"
    require(len(image) in (1, len(hole)), "image", rule, f"{len(image)} images")
    check_range("hole", hole, HOLE_RULE)


def check_observed(image: Float[Tensor, "..."], hole: Float[Tensor, "..."]) -> None:
    """Check the holes as `check_holes` does, and that the image is in [0, 1] where not all of it is removed.

    Raises:
        ValueError: If the holes do not fit, or the image leaves [0, 1].
    """
    check_holes(image, hole)
    observed = image.detach().where(hole.detach() < 1, 0.5)
    check_range("image", observed, "in [0, 1], without NaN, where it is observed")


def check_rgb(image: Float[Tensor, "..."], hole: Float[Tensor, "..."]) -> None:
    """Check image and holes as `check_observed` does, and that the image is RGB.

    Raises:
        ValueError: If the holes do not fit, or the image is not RGB in [0, 1].
    """
    check_observed(image, hole)
    rule = "RGB (3 channels) for this filler (Gray, Mean, Noise and Blur take any)"
    require(image.shape[1] == 3, "image", rule, f"{image.shape[1]} channels")


def check_visible(image: Float[Tensor, "..."], hole: Float[Tensor, "..."]) -> None:
    """Check the holes as `check_holes` does, and that all of the image is in [0, 1].

    Raises:
        ValueError: If the holes do not fit, or the image leaves [0, 1].
    """
    check_holes(image, hole)
    check_range("image", image, "in [0, 1], without NaN, for this filler sees all of it")


def check_range(argument: str, values: Tensor, rule: str) -> None:
    """Check that values are in [0, 1], but for rounding.

    Raises:
        ValueError: If they leave it, in the words of `require`.
    """
    if not values.numel():
        return
    low, high = (float(each) for each in torch.aminmax(values.detach()))
    # NaN fails every comparison; rounding may lead a little beyond the range
    inside = low >= -_ROUNDING and high <= 1 + _ROUNDING
    require(inside, argument, rule, f"{low:g} to {high:g}")


def spawn(generator: Chance, count: int) -> list[Generator]:
    """Make one CPU generator per hole, each seeded by one draw of ``generator``, in order.

    What a hole gets is thus a function of its place in the stream of holes alone, and is the
    same on every device, since all draws happen on the CPU. Given one generator per hole, a hole's
    fill depends on its own generator only, whatever other holes are asked about beside it.

    Raises:
        ValueError: If there is no generator, one that is not a CPU generator, or not one per hole.
    """
    if generator is None:
        raise ValueError("generator must be a torch.Generator for a stochastic filler, got None")
    sources = [generator] * count if isinstance(generator, Generator) else list(generator)
    require(len(sources) == count, "generator", f"one, or one per hole ({count})", f"{len(sources)}")
    for source in sources[:1] if isinstance(generator, Generator) else sources:
        require(source.device.type == "cpu", "generator", "on the cpu", str(source.device))
    draws = [torch.randint(2**63 - 1, (), generator=source, device="cpu") for source in sources]
    return [Generator().manual_seed(int(seed)) for seed in draws]
