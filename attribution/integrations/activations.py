"""Activations as modules of their own, for captum: it sees neither functions nor a module's second call."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from attribution.integrations.scalar import Images, Scalar
from infill.validate import require

Makers: TypeAlias = Mapping[Callable[..., Any], Callable[..., nn.Module | None]]
"""By function what makes a module that does the same, from its further arguments; ``None``: leave it."""


class Routed(nn.Module):
    """A network in which every call of certain functions goes through a module of its own, once.

    captum's guided backpropagation, deconvnet and DeepLIFT change the derivative of modules. Of a ReLU that
    is called as a function (DenseNet, Inception, the scenes' classifier), and of a ReLU6, they know
    nothing; a module that is run twice (ResNet) stops DeepLIFT. Modules call functions, too, so functions
    are what is
    replaced: captum is shown nothing but the modules that take their place.

    Args:
        network: What is run.
        image: What it is run on once, to find the calls.
        makers: Of which functions.

    Raises:
        ValueError: If the network does otherwise when its functions are replaced.
    """

    def __init__(self, network: Scalar, image: Images, makers: Makers) -> None:
        super().__init__()
        self.made = nn.ModuleList()
        self._network = (network,)  # in a tuple: what is in it is none of captum's business
        self._makers = makers
        with torch.no_grad(), _Routing(self.made, makers, grow=True):
            routed = network(image)
        with torch.no_grad():
            same = torch.allclose(routed, network(image), rtol=1e-3, atol=1e-4)
        require(same, "classifier", "one that does not rely on activations in place", "other logits")

    def forward(self, images: Images) -> Float[Tensor, " n"]:
        """Return what the network returns."""
        with _Routing(self.made, self._makers):
            answer: Tensor = self._network[0](images)
        return answer


class _Routing(TorchFunctionMode):
    """While it lasts, the first call of such a function goes through the first of the modules, and so on."""

    def __init__(self, modules: nn.ModuleList, makers: Makers, grow: bool = False) -> None:
        super().__init__()
        self._modules, self._makers, self._grow, self._next = modules, makers, grow, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        further = dict(kwargs or {})
        maker = self._makers.get(func)
        if maker is None:
            return func(*args, **further)
        first, *rest = args if args else (further.pop("input"),)
        made = maker(*rest, **further)
        if made is None:
            return func(first, *rest, **further)
        if self._grow:
            self._modules.append(made)
        require(self._next < len(self._modules), "classifier", "one that always runs alike", "further calls")
        self._next += 1
        # Of a copy: captum changes the derivative by the whole input, wherever else that goes.
        return self._modules[self._next - 1](first.clone())


class CappedReLU(nn.Module):
    """ReLU6 as a ReLU with a ceiling, through which derivatives pass as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, values: Tensor) -> Tensor:
        """Return the values between 0 and 6."""
        positive: Tensor = self.relu(values)
        return positive.clamp(max=6)


class TwoReLUs(nn.Module):
    """ReLU6 as a difference of two ReLUs, whose slopes from one input to another add up to its own."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.beyond = nn.ReLU(), nn.ReLU()

    def forward(self, values: Tensor) -> Tensor:
        """Return the values between 0 and 6."""
        difference: Tensor = self.relu(values.clone()) - self.beyond(values - 6)
        return difference


class PooledByReLUs(nn.Module):
    """Max pooling as ReLUs: ``max(a, b) = b + relu(a - b)``, along one side and then the other.

    captum's own rule for max pooling loses what goes to inputs that two windows share, or that are alike.
    """

    def __init__(
        self, window: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], ceil: bool
    ) -> None:
        super().__init__()
        self.window, self.stride, self.pad, self.ceil = window, stride, pad, ceil
        self.relus = nn.ModuleList([nn.ModuleList([nn.ReLU() for _ in range(side - 1)]) for side in window])

    def forward(self, values: Float[Tensor, "n k h w"]) -> Float[Tensor, "n k y x"]:
        """Return the largest value in each window."""
        size = F.max_pool2d(values[:1, :1].detach(), self.window, self.stride, self.pad, 1, self.ceil).shape[
            2:
        ]
        for axis, (count, step, pad) in enumerate(zip(size, self.stride, self.pad, strict=True)):
            values = self._along(values, axis, count, step, pad)
        return values

    def _along(self, values: Tensor, axis: int, count: int, step: int, pad: int) -> Tensor:
        behind = max(0, (count - 1) * step + self.window[axis] - values.shape[2 + axis] - pad)
        sides = (0, 0, pad, behind) if axis == 0 else (pad, behind, 0, 0)
        # Below all others, so that the margin never is the largest of a window.
        padded = F.pad(values, sides, value=float(values.detach().min()) - 1)
        places = torch.arange(count, device=values.device) * step
        largest = padded.index_select(2 + axis, places)
        for i, relu in enumerate(cast(nn.ModuleList, self.relus[axis]), start=1):
            largest = largest + relu(padded.index_select(2 + axis, places + i) - largest)
        return largest


def _capped(maker: type[nn.Module]) -> Callable[..., nn.Module | None]:
    """Return what makes a module for ``hardtanh`` between 0 and 6, as which torch computes ReLU6."""

    def make(min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> nn.Module | None:
        return maker() if (min_val, max_val) == (0, 6) else None

    return make


def _pooling(
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    **more: Any,
) -> nn.Module | None:
    window, step, pad, apart = (
        (each, each) if isinstance(each, int) else tuple(each)
        for each in (kernel_size, stride or kernel_size, padding, dilation)
    )
    plain = apart == (1, 1) and not more.get("return_indices")
    return PooledByReLUs(window, step, pad, ceil_mode) if plain else None


def _relu(inplace: bool = False) -> nn.Module:
    return nn.ReLU()


_RELUS: Makers = {
    function: _relu for function in (F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)
}

RECTIFIERS: Makers = {
    **_RELUS,
    F.hardtanh: _capped(CappedReLU),
    F.relu6: lambda inplace=False: CappedReLU(),
}
"""What guided backpropagation and deconvnet change."""

NONLINEAR: Makers = {
    **_RELUS,
    F.hardtanh: _capped(TwoReLUs),
    F.relu6: lambda inplace=False: TwoReLUs(),
    F.leaky_relu: lambda negative_slope=0.01, inplace=False: nn.LeakyReLU(negative_slope),
    F.elu: lambda alpha=1.0, inplace=False: nn.ELU(alpha),
    F.softplus: lambda beta=1.0, threshold=20.0: nn.Softplus(beta, threshold),
    **{function: nn.Sigmoid for function in (torch.sigmoid, Tensor.sigmoid)},
    **{function: nn.Tanh for function in (torch.tanh, Tensor.tanh)},
    **{function: _pooling for function in (F.max_pool2d, torch.max_pool2d)},
}
"""What captum's DeepLIFT knows, or what can be made of that."""
