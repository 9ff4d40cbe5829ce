"""The inpainter that ships with the package: a small U-shaped network of gated convolutions.

Gated convolution (Yu et al. 2019) lets every layer learn where its input can be trusted. Here the gate is a
1 x 1 convolution, the "light-weight" gate of Yi et al. (2020), which leaves most of the work to the
features. The stem folds 2 x 2 pixels into channels, so nothing runs at full resolution. What is hidden is
first filled with a smooth surface through what is observed (push-pull, Gortler et al. 1996), and the network
adds to it: even where it knows no better, the colors fit. Noise, the same each time, is laid over that
surface: without it all places far from the rim would look alike to the layers, and so would their texture.

The decoder that ships gives each of the pixels of a cell weights of its own, and fills the middle of a
large hole, where nothing tells one cell from the next, with a screen of 4 or 8 pixels. It is taken off
(`models.inpainters.screen`), and the image's own texture is laid there (`models.inpainters.texture`). An
*even* network has no screen: it enlarges, then convolves (Odena et al. 2016, Deconvolution and checkerboard
artifacts), and looks up what observed places hold.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.inpainters.screen import screen
from models.inpainters.texture import deep, offsets, preferences, transplanted
from models.weights.checkpoint import SHIPPED, load_state, read_checkpoint

FILE: Path = SHIPPED / "small_inpainter.safetensors"
EVEN: Path = SHIPPED / "small_inpainter_even.safetensors"
"""An even network, trained for a fifth of the time."""
MULTIPLE = 8
"""Sides must be multiples of this many pixels."""
NOISE, TILE = 0.3, 64
"""Range of the noise under the hole, and the side of the square that is repeated, in pixels."""
SOFTEN_IN_TRAINING, SOFTEN = (1, 2, 1), (1, 6, 10, 6, 1)
"""Weights of the filter over the detail: the wider one takes off what LPIPS makes the network overdo."""
CONTEXT = 32
"""How many pixels round a hole are enough for it: with them a window is as large as its training crops."""
_CHROMA = 1 / 255
"""Channels of a gray photograph differ by less, whatever has resized it."""
FEATHER = 2
"""How many pixels inside a hole's rim its fill takes on colors from outside; by itself it has a seam."""


class GatedConv(nn.Module):
    """`act(features(x)) * sigmoid(gate(x))`, with an optional step down and dilation."""

    def __init__(
        self, inward: int, outward: int, stride: int = 1, dilation: int = 1, residual: bool = False
    ) -> None:
        super().__init__()
        self.features = nn.Conv2d(inward, outward, 3, stride, dilation, dilation)
        self.gate = nn.Conv2d(inward, outward, 1, stride)
        self.residual = residual

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        """Apply the layer; with `residual`, add its input."""
        y, gate = self.features(x), self.gate(x)
        if torch.is_grad_enabled():
            y = F.silu(y) * gate.sigmoid()
            return x + y if self.residual else y
        y = F.silu(y, inplace=True).mul_(gate.sigmoid_())  # the same, without new memory for each step
        return y.add_(x) if self.residual else y


class Up(nn.Module):
    """Double the side, join what the encoder saw at that size, and mix.

    Either bilinearly (``even``), or with weights for each of the four pixels that one becomes.
    """

    def __init__(self, inward: int, skip: int, outward: int, even: bool = False) -> None:
        super().__init__()
        self.even = even
        self.lift = nn.Conv2d(inward, outward if even else 4 * outward, 1)
        self.mix = GatedConv(outward + skip, outward)

    def forward(
        self, x: Float[Tensor, "n i h w"], skip: Float[Tensor, "n s h2 w2"]
    ) -> Float[Tensor, "n o h2 w2"]:
        """Upsample `x` by a factor of two and merge it with `skip`."""
        lifted = self.lift(x)
        if self.even:
            larger = F.interpolate(lifted, scale_factor=2, mode="bilinear")
        else:
            larger = F.pixel_shuffle(lifted, 2)
        return self.mix(torch.cat([larger, skip], 1))


class Recall(nn.Module):
    """Adds to every place what observed places like it hold (after Yu et al. 2018, section 4.1)."""

    def __init__(self, channels: int, inner: int = 64) -> None:
        super().__init__()
        self.asked = nn.Conv2d(channels, inner, 1)
        self.known = nn.Conv2d(channels, inner, 1)
        self.held = nn.Conv2d(channels, channels, 1)
        self.added = nn.Conv2d(channels, channels, 1)
        for parameter in self.added.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, x: Float[Tensor, "n i h w"], observed: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n i h w"]:
        """Look up, by similarity, among places by the share of each that is observed."""
        asked, known, held = (
            layer(x).flatten(2).transpose(1, 2) for layer in (self.asked, self.known, self.held)
        )
        preference = observed.flatten(2).clamp(min=1e-6).log().to(x.dtype)
        found = F.scaled_dot_product_attention(asked, known, held, preference.expand(-1, x[0, 0].numel(), -1))
        return x + self.added(found.transpose(1, 2).reshape(x.shape))


def smooth(image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 h2 w2"]:
    """A smooth surface through the observed pixels, at half the size (push-pull, Gortler et al. 1996).

    Means of the observed pixels are pushed to ever coarser grids, and pulled back to where finer ones have
    seen too little. With nothing observed the surface is mid-gray.
    """
    known = 1 - hole
    level = F.avg_pool2d(torch.cat([image * known, known], 1), 2)
    pyramid = [level]
    while max(level.shape[-2:]) > 1:
        level = F.avg_pool2d(level, 2, ceil_mode=True, count_include_pad=False)
        pyramid.append(level)
    surface = torch.where(level[:, 3:] > 0, _mean(level), 0.5)
    for level in reversed(pyramid):
        if surface.shape[-2:] != level.shape[-2:]:
            surface = F.interpolate(surface, size=level.shape[-2:], mode="bilinear")
        surface = torch.lerp(surface, _mean(level), level[:, 3:].clamp(max=1))
    return surface


def _softened(detail: Float[Tensor, "n c h w"], weights: tuple[int, ...]) -> Float[Tensor, "n c h w"]:
    """The detail under a separable filter: without the dots that unfolding channels to pixels leads to."""
    line = detail.new_tensor(weights) / sum(weights)
    kernel = torch.outer(line, line).expand(detail.shape[1], 1, -1, -1)
    edge = [len(weights) // 2] * 4
    return F.conv2d(F.pad(detail, edge, mode="replicate"), kernel, groups=detail.shape[1])


def _tiled(square: Float[Tensor, "1 1 t t"], height: int, width: int) -> Float[Tensor, "1 1 h w"]:
    """The square repeated over so many rows and columns."""
    times = [-(-length // square.shape[-1]) for length in (height, width)]
    return square.repeat(1, 1, *times)[..., :height, :width]


def _as_gray(
    fill: Float[Tensor, "n 3 h w"], image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n 3 h w"]:
    """The fill, without the faint colors that the network adds, where nothing observed has a color."""
    chroma = (image.amax(1, keepdim=True) - image.amin(1, keepdim=True)) * (1 - hole)
    gray = (chroma.amax((1, 2, 3), keepdim=True) < _CHROMA) & (hole.amin((1, 2, 3), keepdim=True) < 1)
    return torch.where(gray, fill.mean(1, keepdim=True), fill) if bool(gray.any()) else fill


def _mean(level: Float[Tensor, "n 4 h w"]) -> Float[Tensor, "n 3 h w"]:
    """The mean color of what is observed of each cell; 0 where nothing is."""
    weight = level[:, 3:]
    return level[:, :3] / torch.where(weight > 0, weight, 1.0)


class SmallInpainter(nn.Module):
    """Fills holes of any shape in images of any size, deterministically.

    Args:
        width: Channels at half, quarter and eighth resolution.
        dilations: One gated residual layer each, at eighth resolution; their sum sets how far it sees.
        even: Whether it enlarges before it convolves, and recalls what observed places hold.
    """

    def __init__(
        self,
        width: tuple[int, int, int] = (32, 64, 128),
        dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8),
        even: bool = False,
    ) -> None:
        super().__init__()
        half, quarter, eighth = width
        self.stem = GatedConv(16, half)
        self.down4 = GatedConv(half, quarter, 2)
        self.mix4 = GatedConv(quarter, quarter, residual=True)
        self.down8 = GatedConv(quarter, eighth, 2)
        self.middle = nn.Sequential(
            *[GatedConv(eighth, eighth, dilation=d, residual=True) for d in dilations]
        )
        self.recall = Recall(eighth) if even else None
        self.up4 = Up(eighth, quarter, quarter, even)
        self.up2 = Up(quarter, half, half, even)
        self.head = nn.Conv2d(half, 12, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)  # an untrained network returns the smooth surface
        noise = torch.rand(1, 1, TILE, TILE, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        self.register_buffer("noise", NOISE * (noise - 0.5), persistent=False)
        self.noise: Tensor
        self.register_buffer("away", offsets(), persistent=False)
        self.away: Tensor
        self.register_buffer("preferred", preferences(2 * TILE // MULTIPLE), persistent=False)
        self.preferred: Tensor

    def forward(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n 3 h w"]:
        """Propose content for the hole.

        Args:
            image: RGB in [0, 1]; what lies under the hole is not looked at.
            hole: 1 where pixels are removed, else 0.

        Returns:
            The proposal, in [0, 1], everywhere; the caller composites it.

        Raises:
            ValueError: If a side is not a multiple of 8.
        """
        if image.shape[-1] % MULTIPLE or image.shape[-2] % MULTIPLE:
            raise ValueError(
                f"`image` must have sides that are multiples of {MULTIPLE}, got {tuple(image.shape)}"
            )
        detail, surface = self._painted(image, hole, (0, 0), SOFTEN)
        return _as_gray((self._textured(image, hole, detail, surface) + surface).clamp(0, 1), image, hole)

    def _textured(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"],
        detail: Float[Tensor, "n 3 h w"], surface: Float[Tensor, "n 3 h w"],
    ) -> Float[Tensor, "n 3 h w"]:  # fmt: skip
        """The detail with the image's own texture, without a screen."""
        # sums over many cells, which bfloat16 would round
        image, hole, detail, under = (each.float() for each in (image, hole, detail, surface))
        share = deep(hole)
        if not bool(share.any()):
            return detail.to(surface.dtype)
        if not self.recall:
            detail = detail - share * screen(detail, hole)
        texture = transplanted(image, hole, (detail + under).clamp(0, 1), self.away, self.preferred)
        return (detail + share * texture).to(surface.dtype)

    def proposal(
        self,
        image: Float[Tensor, "n 3 h w"],
        hole: Float[Tensor, "n 1 h w"],
        shift: tuple[int, int],
        soften: tuple[int, ...],
    ) -> Float[Tensor, "n 3 h w"]:
        """The proposal as training sees it, not cut off at 0 and 1, with its screen; the noise is shifted."""
        detail, surface = self._painted(image, hole, shift, soften)
        return detail + surface

    def _painted(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"], shift: tuple[int, int],
        soften: tuple[int, ...],
    ) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n 3 h w"]]:  # fmt: skip
        """The detail, and the smooth surface that it is added to."""
        height, width = image.shape[-2:]
        surface = F.interpolate(smooth(image, hole), scale_factor=2, mode="bilinear")
        noise = _tiled(self.noise.roll(shift, (2, 3)), height, width)
        shown = torch.lerp(image, surface + noise, hole) - 0.5
        half = self.stem(F.pixel_unshuffle(torch.cat([shown, hole], 1), 2))
        quarter = self.mix4(self.down4(half))
        x = self.down8(quarter)
        for number, layer in enumerate(self.middle):
            x = layer(x)
            if self.recall and number == len(self.middle) // 2 - 1:
                x = self.recall(x, F.avg_pool2d(1 - hole, MULTIPLE))
        x = self.up2(self.up4(x, quarter), half)
        return _softened(F.pixel_shuffle(self.head(x), 2), soften), surface


def load(path: Path = FILE) -> SmallInpainter:
    """The trained network, in evaluation mode; the file says whether it is even.

    Raises:
        ValueError: If the file is missing or holds another network.
    """
    checkpoint = read_checkpoint(path)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        network = SmallInpainter(even=any(name.startswith("recall.") for name in checkpoint.state))
    load_state(network, checkpoint, "SmallInpainter")
    return network.eval()


def evened(network: SmallInpainter) -> SmallInpainter:
    """An even network that begins where one that is not has come to; one that is even itself.

    Of the weights for each pixel of a cell it gets the mean; nothing is recalled yet.
    """
    if network.recall:
        return network
    even = SmallInpainter(even=True)
    state = even.state_dict()
    for name, tensor in network.state_dict().items():
        state[name] = tensor.unflatten(0, (-1, 4)).mean(1) if ".lift." in name else tensor
    even.load_state_dict(state)
    return even
