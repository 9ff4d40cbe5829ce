"""DeepFill: a coarse network fills the hole, a second one refines it with what it copies from elsewhere.

Version 1 is Yu et al. (2018), "Generative Image Inpainting with Contextual Attention"; version 2 is Yu et al.
(2019), "Free-Form Image Inpainting with Gated Convolution". Layers have the names and widths of the networks
that the authors published, which compute in [-1, 1] at 256 x 256.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.inpainters import deepfill_checkpoints
from models.inpainters.contextual_attention import ContextualAttention, shrunk
from models.inpainters.inpainter import Inpainter
from models.weights.checkpoint import load_state
from models.weights.environment import expanded

Version = Literal["v1", "v2"]
SIZE, MULTIPLE = 256, 8
COVERAGE = 0.5
"""The published code of Agarwal & Nguyen (2020) resizes a hole and takes what is hidden by more than half."""
WIDTHS: dict[str, int] = {"v1": 32, "v2": 24}
"""Features of the first layer. A gated layer has as many gates, so published configurations say 48 for v2."""
_QUARTER = 4


class Layer(NamedTuple):
    """A convolution: its name, its features as a multiple of the network's width (0: a color), its form."""

    name: str
    width: float
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    up: bool = False
    relu: bool = False


def _dilated(start: str) -> list[Layer]:
    return [Layer(f"{start}{7 + i}_atrous", 4, dilation=2 ** (1 + i)) for i in range(4)]


def _decoder(start: str) -> list[Layer]:
    return [
        *(Layer(f"{start}11", 4), Layer(f"{start}12", 4)),
        *(Layer(f"{start}13_upsample", 2, up=True), Layer(f"{start}14", 2)),
        *(Layer(f"{start}15_upsample", 1, up=True), Layer(f"{start}16", 0.5)),
        Layer(f"{start}17", 0),
    ]


LAYERS: dict[str, list[Layer]] = {
    "coarse": [
        *(Layer("conv1", 1, kernel=5), Layer("conv2_downsample", 2, stride=2), Layer("conv3", 2)),
        *(Layer("conv4_downsample", 4, stride=2), Layer("conv5", 4), Layer("conv6", 4)),
        *_dilated("conv"),
        *_decoder("conv"),
    ],
    "hallucination": [
        *(Layer("xconv1", 1, kernel=5), Layer("xconv2_downsample", 1, stride=2), Layer("xconv3", 2)),
        *(Layer("xconv4_downsample", 2, stride=2), Layer("xconv5", 4), Layer("xconv6", 4)),
        *_dilated("xconv"),
    ],
    "matching": [
        *(Layer("pmconv1", 1, kernel=5), Layer("pmconv2_downsample", 1, stride=2), Layer("pmconv3", 2)),
        *(Layer("pmconv4_downsample", 4, stride=2), Layer("pmconv5", 4), Layer("pmconv6", 4, relu=True)),
    ],
    "matched": [Layer("pmconv9", 4), Layer("pmconv10", 4)],
    "merged": _decoder("allconv"),
}
"""The layers of each part; the refining network is all but the first."""


class Convolution(nn.Conv2d):
    """A layer: doubles the side (if ``up``), convolves to ceil(side / stride), and activates or gates.

    TensorFlow pads one more behind than before where it pads an odd number; PyTorch as much on both sides.
    """

    def __init__(self, inward: int, layer: Layer, width: int, gated: bool, tensorflow: bool) -> None:
        outward = int(layer.width * width) * (2 if gated else 1) or 3
        super().__init__(inward, outward, layer.kernel, layer.stride, 0, layer.dilation)
        self.layer, self.gated, self.tensorflow = layer, gated and bool(layer.width), tensorflow

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        """Apply the layer."""
        if self.layer.up:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = super().forward(F.pad(x, [*self._edge(x.shape[-1]), *self._edge(x.shape[-2])]))
        if not self.layer.width:
            return x
        act = F.relu if self.layer.relu else F.elu
        if not self.gated:
            return act(x)
        features, gate = x.chunk(2, 1)
        return act(features) * torch.sigmoid(gate)

    def _edge(self, side: int) -> tuple[int, int]:
        """How much is padded before and behind."""
        reach, stride = self.layer.dilation * (self.layer.kernel - 1), self.layer.stride
        if not self.tensorflow:
            return reach // 2, reach // 2
        whole = max((-(-side // stride) - 1) * stride + reach + 1 - side, 0)
        return whole // 2, whole - whole // 2


class DeepFill(nn.Module):
    """The two networks, of either version.

    Args:
        version: "v1": plain convolutions, colors are cut off at -1 and 1. "v2": gated convolutions, colors
            pass a hyperbolic tangent, and the refining network is not told the hole.
        width: Features of the first layer; ``None``: as published.
        tensorflow: Pad, shrink and normalize as the authors' networks do; else as networks trained in
            PyTorch.
    """

    def __init__(self, version: Version, width: int | None = None, tensorflow: bool = True) -> None:
        super().__init__()
        self.version, self.tensorflow = version, tensorflow
        width = width or WIDTHS[version]
        refined = 5 if version == "v1" else 3
        self.coarse = self._part("coarse", 5, width)
        self.hallucination = self._part("hallucination", refined, width)
        self.matching = self._part("matching", refined, width)
        self.attention = ContextualAttention(tensorflow)
        self.matched = self._part("matched", 4 * width, width)
        self.merged = self._part("merged", 8 * width, width)

    def _part(self, part: str, inward: int, width: int) -> nn.Sequential:
        convolutions: OrderedDict[str, nn.Module] = OrderedDict()
        for layer in LAYERS[part]:
            gated = self.version == "v2"
            convolutions[layer.name] = Convolution(inward, layer, width, gated, self.tensorflow)
            inward = int(layer.width * width)
        return nn.Sequential(convolutions)

    def forward(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n 3 h w"]:
        """Propose content for the hole.

        Args:
            image: RGB in [-1, 1]; what lies under the hole is not looked at.
            hole: 1 where pixels are removed, else 0.

        Returns:
            The proposal, in [-1, 1], everywhere; the caller composites it.

        Raises:
            ValueError: If a side is not a multiple of 8.
        """
        if image.shape[-1] % MULTIPLE or image.shape[-2] % MULTIPLE:
            raise ValueError(
                f"`image` must have sides that are multiples of {MULTIPLE}, got {tuple(image.shape)}"
            )
        observed = torch.where(hole > 0, 0.0, image)
        condition = torch.cat([torch.ones_like(hole), hole], 1)
        proposal = self._limited(self.coarse(torch.cat([observed, condition], 1)))
        pasted = torch.where(hole > 0, proposal, image)
        if self.version == "v1":
            pasted = torch.cat([pasted, condition], 1)
        matching = self.matching(pasted)
        matched = self.matched(self.attention(matching, shrunk(hole, _QUARTER, self.tensorflow)))
        return self._limited(self.merged(torch.cat([self.hallucination(pasted), matched], 1)))

    def _limited(self, colors: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        return colors.clamp(-1, 1) if self.version == "v1" else colors.tanh()


def load(checkpoint: Path | str, version: Version = "v1") -> Inpainter:
    """The trained networks, in evaluation mode and frozen; images are resized to 256 x 256 for them.

    Args:
        checkpoint: A file that ``deepfill_checkpoints.save`` wrote, a state dict in one of the two layouts
            of "deepfillv2-pytorch", or the authors' TensorFlow checkpoint: its folder, its ``.index`` or
            ``.data`` file, or what their names have in common (``.../snap-0``).
        version: Which networks the checkpoint holds.

    Raises:
        ValueError: If the version is unknown, or the file is missing, damaged or holds other networks.
    """
    if version not in get_args(Version):
        raise ValueError(f"version: expected one of {', '.join(get_args(Version))}, got {version!r}")
    names = {part: [layer.name for layer in layers] for part, layers in LAYERS.items()}
    saved, tensorflow = deepfill_checkpoints.read(expanded(checkpoint), names)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        network = DeepFill(version, tensorflow=tensorflow)
    load_state(network, saved, f"DeepFill {version}")
    network.eval().requires_grad_(False)
    return Inpainter(network, size=SIZE, coverage=COVERAGE, value_range=(-1.0, 1.0))
