"""A caller's network made ready to be asked, without touching the caller's own."""

import copy
from collections.abc import Callable
from itertools import chain
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Precision: TypeAlias = Literal["float32", "bfloat16", "auto"]
"""``auto`` is bfloat16 where the hardware computes in it natively, else float32."""

Network: TypeAlias = Callable[..., Tensor]
"""``(image, hole) -> image``, each ``n ? h w``; stochastic ones take ``generator=`` too."""

_NATIVE_ON_CPU = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
"""What ``torch.cpu`` can be asked; private names, so their absence counts as a no."""


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes in it natively, else float32."""
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
    else:
        probes = (getattr(torch.cpu, name, None) for name in _NATIVE_ON_CPU)
        native = device.type == "cpu" and any(probe() for probe in probes if probe is not None)
    return torch.bfloat16 if native else torch.float32


def compute_dtype(network: Network, precision: Precision) -> torch.dtype:
    """The dtype in which a network gets its input; "auto" leaves a plain callable at float32."""
    if precision == "bfloat16":
        return torch.bfloat16
    if precision == "float32" or not isinstance(network, nn.Module):
        return torch.float32
    return fast_dtype(home(network) or torch.device("cpu"))


def home(network: Network) -> torch.device | None:
    """The device of a module's weights; ``None`` if it has none, or is no module."""
    if not isinstance(network, nn.Module):
        return None
    tensor = next(chain(network.parameters(), network.buffers()), None)
    return None if tensor is None else tensor.device


def ready(network: Network, dtype: torch.dtype, copied: bool = True) -> Network:
    """A private copy of a module: eval mode, frozen, channels last, in ``dtype``.

    The caller's module keeps its mode, dtype, ``requires_grad`` and gradients; unless it is not copied, but
    changed. A plain callable comes back as it is.
    """
    if not isinstance(network, nn.Module):
        return network
    private = (copy.deepcopy(network) if copied else network).eval().requires_grad_(False)
    return private.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def last_layer(network: nn.Module, run: Callable[[], object]) -> nn.Module | None:
    """The linear or convolutional layer of the network that is called last when it is ``run``."""
    called: list[nn.Module] = []
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_hook(lambda layer, *_: called.append(layer)) for layer in layers]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return called[-1] if called else None
