"""LaMa (Suvorov et al. 2022), "Resolution-robust large mask inpainting with Fourier convolutions".

The generator (section 2.1) is a residual network whose convolutions work on two groups of channels: a local
one, and a global one that passes through the frequencies of the whole image (Chi et al. 2020, "Fast Fourier
convolution"). Its tensors are called as in the published checkpoints. The published TorchScript file runs as
it is.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.inpainters.inpainter import Inpainter
from models.weights.checkpoint import load_state, read_checkpoint
from models.weights.environment import expanded
from models.weights.libraries import one_line

MULTIPLE = 8
"""Sides must be multiples of this many pixels: there are three steps down."""
_SMALLEST = 16  # at an eighth of it, reflection still finds a pixel to repeat
_GLOBAL = 0.75
_STEPS = 3
_FIRST = "model.1.ffc.convl2l.weight"
_BLOCK = re.compile(r"model\.(\d+)\.conv1\.ffc\.convl2l\.weight")

_Groups = tuple[Tensor, Tensor | None]
"""Local channels, and global ones where there are any."""


class FourierUnit(nn.Module):
    """A 1 x 1 convolution of the image's frequencies: every output pixel sees every input pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Filter the spectrum, whose real and imaginary parts are channels beside each other."""
        # Transforms know neither bfloat16 nor, mostly, float16.
        planes = torch.view_as_real(torch.fft.rfftn(x.float(), dim=(-2, -1), norm="ortho"))
        planes = planes.permute(0, 1, 4, 2, 3).flatten(1, 2).to(x.dtype)
        planes = F.relu(self.bn(self.conv_layer(planes))).unflatten(1, (-1, 2)).float()
        spectrum = torch.complex(planes[:, :, 0], planes[:, :, 1])
        return torch.fft.irfftn(spectrum, s=x.shape[-2:], dim=(-2, -1), norm="ortho").to(x.dtype)


class SpectralTransform(nn.Module):
    """The path from global to global channels: a Fourier unit and a shortcut past it, at half the width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Sequential(nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU())
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Mix the whole image into every pixel."""
        x = self.conv1(x)
        return self.conv2(x + self.fu(x))


class FFC(nn.Module):
    """Fast Fourier convolution: paths between local and global channels, summed where they meet."""

    def __init__(
        self, inward: tuple[int, int], outward: tuple[int, int], kernel: int, stride: int, padding: int
    ) -> None:
        super().__init__()

        def conv(i: int, o: int) -> nn.Conv2d:
            return nn.Conv2d(i, o, kernel, stride, padding, bias=False, padding_mode="reflect")

        (local_in, global_in), (local_out, global_out) = inward, outward
        self.convl2l = conv(local_in, local_out)
        self.convl2g = conv(local_in, global_out) if global_out else None
        self.convg2l = conv(global_in, local_out) if global_in else None
        self.convg2g = SpectralTransform(global_out) if global_in and global_out else None

    def forward(self, groups: _Groups) -> _Groups:
        """Convolve both groups into both."""
        fine, wide = groups
        to_local = self.convl2l(fine)
        to_global = None if self.convl2g is None else self.convl2g(fine)
        if wide is not None and self.convg2l is not None:
            to_local = to_local + self.convg2l(wide)
        if wide is not None and self.convg2g is not None:
            to_global = to_global + self.convg2g(wide)
        return to_local, to_global


class FFCLayer(nn.Module):
    """A fast Fourier convolution, normalized and rectified."""

    def __init__(
        self,
        inward: tuple[int, int],
        outward: tuple[int, int],
        kernel: int = 3,
        stride: int = 1,
        padding: int = 1,
    ) -> None:
        super().__init__()
        self.ffc = FFC(inward, outward, kernel, stride, padding)
        self.bn_l = nn.BatchNorm2d(outward[0])
        self.bn_g = nn.BatchNorm2d(outward[1]) if outward[1] else None

    def forward(self, groups: _Groups) -> _Groups:
        """Apply the layer to both groups."""
        fine, wide = self.ffc(groups)
        return F.relu(self.bn_l(fine)), None if self.bn_g is None else F.relu(self.bn_g(wide))


class ResidualBlock(nn.Module):
    """Two layers and a shortcut."""

    def __init__(self, width: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = FFCLayer(width, width)
        self.conv2 = FFCLayer(width, width)

    def forward(self, groups: _Groups) -> _Groups:
        """Add to both groups."""
        fine, wide = self.conv2(self.conv1(groups))
        return groups[0] + fine, groups[1] + wide


class Enter(nn.Module):
    """The input, extended at its edges; all of its channels are local."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> _Groups:
        """Reflect three pixels, for a kernel of seven."""
        return F.pad(x, (3, 3, 3, 3), mode="reflect"), None


class Join(nn.Module):
    """Both groups as one tensor."""

    def forward(self, groups: _Groups) -> Float[Tensor, "n c h w"]:
        """Put the global channels behind the local ones."""
        fine, wide = groups
        return fine if wide is None else torch.cat([fine, wide], 1)


class Lama(nn.Module):
    """The generator. What is under the hole is not looked at.

    Args:
        base: Channels of the first layer; each step down doubles them.
        blocks: Residual blocks at an eighth of the resolution.
    """

    def __init__(self, base: int = 64, blocks: int = 18) -> None:
        super().__init__()
        widths = [base << step for step in range(_STEPS + 1)]
        groups = [(width, 0) for width in widths[:-1]]
        shared = int(widths[-1] * _GLOBAL)
        groups.append((widths[-1] - shared, shared))
        layers: list[nn.Module] = [Enter(), FFCLayer((4, 0), groups[0], 7, padding=0)]
        layers += [FFCLayer(groups[step], groups[step + 1], stride=2) for step in range(_STEPS)]
        layers += [ResidualBlock(groups[-1]) for _ in range(blocks)]
        layers.append(Join())
        for width in reversed(widths[1:]):
            up = nn.ConvTranspose2d(width, width // 2, 3, stride=2, padding=1, output_padding=1)
            layers += [up, nn.BatchNorm2d(width // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(base, 3, 7), nn.Sigmoid()]
        self.model = nn.Sequential(*layers)

    def forward(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n 3 h w"]:
        """Propose content for the hole, in [0, 1], everywhere.

        Raises:
            ValueError: If a side is not a multiple of 8.
        """
        return _grown(self._proposal, image, hole)

    def _proposal(self, image: Tensor, hole: Tensor) -> Tensor:
        return self.model(torch.cat([image * (1 - hole), hole], 1))


class Script(nn.Module):
    """A TorchScript program ``(image, hole) -> image``. It stays in float32: its transforms know no other."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def forward(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n 3 h w"]:
        """Propose content for the hole, in [0, 1].

        Raises:
            ValueError: If a side is not a multiple of 8.
        """
        return _grown(self.program, image.float(), hole.float()).to(image.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Script":
        super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)
        return self


def load(checkpoint: Path | str) -> Inpainter:
    """LaMa from a file: the published TorchScript file, or tensors of the generator.

    A TorchScript file (``big-lama.pt``) is code, which runs when it is loaded and used: take one only from a
    source that you trust. All other files are read as tensors only: the published training checkpoint
    (``best.ckpt``), whose other entries are left out, or a state dict or safetensors file of the generator
    alone. Its width and its number of blocks are read off the tensors.

    Raises:
        ValueError: If the file is missing or damaged, or holds something else.
    """
    path = expanded(checkpoint)
    network = _program(path) if _is_torchscript(path) else _generator(path)
    return Inpainter(network.eval().requires_grad_(False), multiple=MULTIPLE)


def _grown(network: Callable[[Tensor, Tensor], Tensor], image: Tensor, hole: Tensor) -> Tensor:
    """Run a network on images that are large enough for it, their last rows and columns repeated."""
    height, width = image.shape[-2:]
    if height % MULTIPLE or width % MULTIPLE:
        raise ValueError(
            f"`image` must have sides that are multiples of {MULTIPLE}, got {tuple(image.shape)}"
        )
    pad = (0, max(0, _SMALLEST - width), 0, max(0, _SMALLEST - height))
    if any(pad):
        image, hole = (F.pad(one, pad, mode="replicate") for one in (image, hole))
    return network(image, hole)[..., :height, :width]


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):  # the reader of state dicts says what is wrong
        return False
    return "constants.pkl" in names


def _program(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that TorchScript will be given up one day
            program = torch.jit.load(str(path), map_location="cpu")
        takes = [argument.name for argument in program.forward.schema.arguments]
    except (RuntimeError, OSError, AttributeError) as error:
        raise ValueError(f"weights: {path} is a damaged TorchScript file ({one_line(error)})") from error
    if len(takes) != 3:  # with the program itself
        raise ValueError(f"weights: {path} must be a program of image and hole, but takes {takes[1:]}")
    return Script(program)


class _Ignored:
    """Stands for any class in a pickle: what is not a tensor is neither imported nor kept."""

    def __new__(cls, *_: object) -> "_Ignored":
        return super().__new__(cls)

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def _generator(path: Path) -> Lama:
    with torch.serialization.safe_globals([(_Ignored, name) for name in _foreign(path)]):
        read = read_checkpoint(path)
    prefixes = sorted(name.removesuffix(_FIRST) for name in read.state if name.endswith(_FIRST))
    if not prefixes:
        raise ValueError(f"weights: {path} holds no generator of LaMa: no tensor is called {_FIRST}")
    prefix = "generator." if "generator." in prefixes else prefixes[0]
    own = {name.removeprefix(prefix): value for name, value in read.state.items() if name.startswith(prefix)}
    base = own[_FIRST].shape[:1].numel()
    blocks = sum(_BLOCK.fullmatch(name) is not None for name in own)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        network = Lama(base, blocks)
    load_state(network, replace(read, state=own), f"LaMa of width {base} with {blocks} blocks")
    return network


def _foreign(path: Path) -> list[str]:
    """The names in a training checkpoint that are not of tensors, but of its settings and its trainer."""
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError):
        return []  # no such file, or of another kind: the reader of state dicts says which
