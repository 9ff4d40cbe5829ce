"""Fillers that need no knowledge of the hole: a color, local means, noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Generator, Tensor

from infill.exact import exact, rounded
from infill.filler import Chance, Fill, Hole, Images, check_holes, check_visible, spawn
from infill.validate import Range, Seed, require, require_settings

Color: TypeAlias = Annotated[tuple[float, ...], Range(0, 1)]
"""One value in [0, 1] per channel."""

IMAGENET_MEAN: Color = (0.485, 0.456, 0.406)
"""The mean color of ImageNet's training images: zero after the usual normalization."""


def check_color(argument: str, color: Color) -> None:
    """Check that a color has channels, and that each lies in [0, 1].

    Raises:
        ValueError: If it does not.
    """
    valid = isinstance(color, Sequence) and len(color) > 0 and all(0 <= value <= 1 for value in color)
    require(valid, argument, "values in [0, 1], one per channel", color)


def check_empty(empty: Color) -> None:
    """Check the color that fillers of RGB images have for images without an observed pixel.

    Raises:
        ValueError: If it is not RGB in [0, 1].
    """
    check_color("empty", empty)
    require(len(empty) == 3, "empty", "an RGB color", empty)


def painted(color: Color, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """A view of the image's shape, dtype and device that shows one color everywhere.

    Raises:
        ValueError: If the image has another number of channels than the color.
    """
    channels = image.shape[1]
    rule = f"of {channels} channels as the image, as in {(0.5,) * channels}"
    require(len(color) == channels, "color", rule, color)
    return image.new_tensor(color).view(1, channels, 1, 1).expand_as(image)


MeanKind = Literal["image", "segment", "local"]
NoiseKind = Literal["uniform", "gaussian", "color"]


@dataclass(frozen=True)
class Gray:
    """One constant color, by default ImageNet's mean (Agarwal & Nguyen 2020).

    Raises:
        ValueError: If a channel of ``color`` lies outside [0, 1].
    """

    color: Color = IMAGENET_MEAN
    per_hole: ClassVar[bool] = False
    sees_hidden: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_color("color", self.color)

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Paint every pixel in the color (a view that takes no memory)."""
        check_holes(image, hole)
        return painted(self.color, image)


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean color of the image, of each of its segments, or of each pixel's surroundings.

    Args:
        kind: ``"image"``: the mean of the whole image. ``"segment"``: each segment in its own mean
            color (Ribeiro et al. 2016, the ``lime`` package). ``"local"``: the mean over a square
            window around each pixel (Chang et al. 2019); at the border, over that part of the
            window which lies inside the image.
        segments: Integer labels, for kind "segment": of one image, or of each of ``b`` images.
        window: Side of the window in pixels (odd), for kind "local".

    Raises:
        ValueError: If ``kind`` is unknown, or ``segments`` or ``window`` do not fit it.
    """

    kind: MeanKind = "image"
    segments: Integer[Tensor, "*b h w"] | None = None
    window: Annotated[int, Range(1, 9999, odd=True)] = 15
    per_hole: ClassVar[bool] = False
    sees_hidden: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_settings(self)
        given = self.segments is not None
        rule = "given with kind 'segment', and with no other"
        require(given == (self.kind == "segment"), "segments", rule, "segments" if given else None)

    @property
    def of_image(self) -> bool:
        """Whether it knows the segments of certain images, and can fill no others."""
        return self.segments is not None

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Average the image, once per image.

        Raises:
            ValueError: If ``segments`` are of another size or number than the images, or those leave [0, 1].
        """
        check_visible(image, hole)
        precise = image.to(torch.promote_types(image.dtype, torch.float32))
        if self.segments is not None:
            fill = _segment_means(precise, self.segments.to(image.device))
        elif self.kind == "local":
            half = self.window // 2
            fill = F.avg_pool2d(precise, self.window, stride=1, padding=half, count_include_pad=False)
        else:
            fill = precise.mean((2, 3), keepdim=True).expand_as(image)
        return fill.clamp(0, 1).to(image.dtype)


@dataclass(frozen=True)
class Noise:
    """Fresh noise for every hole, or one noise image for all; drawn on the CPU: equal on every device.

    Args:
        kind: ``"uniform"``: U(0, 1) per pixel and channel (Gu 2020). ``"gaussian"``:
            white noise N(0.5, ``std``) per pixel and channel, clamped (Du et al. 2018).
            ``"color"``: one random color U(0, 1) plus N(0, ``std``) per pixel and channel, clamped
            (Chang et al. 2019).
        std: Standard deviation of the normal draws, in pixel values.
        seed: Without one every hole gets noise of its own. With one, all holes of all images get the same,
            which is drawn from it: the one r of Gu (2020).

    Raises:
        ValueError: If ``kind`` is unknown, ``std`` is not positive and finite, or ``seed`` is negative.
    """

    kind: NoiseKind = "uniform"
    std: Annotated[float, Range(0, 1000, open_low=True)] = 0.2
    seed: Seed | None = None
    sees_hidden: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_settings(self)

    @property
    def per_hole(self) -> bool:
        """Whether each hole gets noise of its own."""
        return self.seed is None

    @property
    def stochastic(self) -> bool:
        """Whether the noise is drawn from the caller's generator."""
        return self.seed is None

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Draw one noise image per hole; with a seed, one for all.

        Raises:
            ValueError: If there is no seed and ``generator`` is ``None`` or not on the CPU.
        """
        check_holes(image, hole)
        if self.seed is not None:
            canvas = torch.empty(image.shape[1:], dtype=torch.float32, device="cpu")
            self._draw(canvas, Generator().manual_seed(self.seed))
            return canvas.to(image.device, image.dtype).expand_as(image)
        noise = torch.empty(len(hole), *image.shape[1:], dtype=torch.float32, device="cpu")
        for canvas, chance in zip(noise, spawn(generator, len(hole)), strict=True):
            self._draw(canvas, chance)
        return noise.to(image.device, image.dtype)

    def _draw(self, canvas: Float[Tensor, "c h w"], chance: Generator) -> None:
        if self.kind == "uniform":
            canvas.uniform_(0, 1, generator=chance)
            return
        center = torch.full((len(canvas), 1, 1), 0.5, dtype=canvas.dtype, device="cpu")
        if self.kind == "color":
            center.uniform_(0, 1, generator=chance)
        canvas.normal_(0, self.std, generator=chance).add_(center).clamp_(0, 1)


def _segment_means(
    image: Float[Tensor, "n c h w"], segments: Integer[Tensor, "*b y x"]
) -> Float[Tensor, "n c h w"]:
    size, count = tuple(segments.shape[-2:]), segments[..., 0, 0].numel()
    require(size == tuple(image.shape[2:]), "segments", f"of the image's size {tuple(image.shape[2:])}", size)
    require(count in (1, len(image)), "segments", f"of one image or of all {len(image)}", f"{count} maps")
    labels = torch.unique(segments, return_inverse=True)[1].reshape(count, 1, -1)
    labels = labels.expand(*image.shape[:2], -1)
    pixels = exact(image.flatten(2))  # long sums: float32 would lose digits on large segments
    labels = labels.to(pixels.device)
    sums = pixels.new_zeros(*image.shape[:2], int(labels.max()) + 1)
    sizes = torch.zeros_like(sums).scatter_add_(2, labels, torch.ones_like(pixels))
    means = sums.scatter_add_(2, labels, pixels) / sizes.clamp_min(1)
    return rounded(means.gather(2, labels).view(image.shape), image)
