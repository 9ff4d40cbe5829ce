"""A caller's network made ready to be asked, without touching the caller's own."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Precision: TypeAlias = Literal["float32", "bfloat16", "auto"]
"""``auto`` is bfloat16 where the hardware computes faster in it, else float32."""

Network: TypeAlias = Callable[..., Tensor]
"""``(image, hole) -> image``, each ``n ? h w``; stochastic ones take ``generator=`` too."""

PIXELS_AT_ONCE = 2**18
"""What a processor is given at once, five images of 224 x 224: what the layers of a convolutional network
keep of more does not stay in its caches (``benchmarks/results/portions.md``). The same whatever the number
of threads, for the last digit of logits depends on it."""
_PROBES = {"AVX512_BF16": "_is_avx512_bf16_supported", "AMX": "_is_amx_tile_supported"}
"""What ``torch.cpu`` can be asked; private names, so their absence counts as a no."""
_PROCESSOR = Path("/proc/cpuinfo")
"""Where Linux says whose processor it is."""


@contextmanager
def unrounded() -> Iterator[None]:
    """Compute in the dtypes of the tensors themselves, even under someone's ``torch.autocast``."""
    with ExitStack() as stack:
        for device in ("cpu", "cuda", "xpu", "mps"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes faster in it than in float32."""
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
    else:
        found = bfloat16_instructions()
        native = device.type == "cpu" and ("AMX" in found or (bool(found) and not _intel()))
    return torch.bfloat16 if native else torch.float32


def bfloat16_instructions() -> list[str]:
    """Return which of AVX512_BF16 and AMX torch uses on this processor."""
    return [name for name, probe in _PROBES.items() if getattr(torch.cpu, probe, bool)()]


@cache
def _intel() -> bool:
    """Whether the processor is Intel's, whose AVX512_BF16 multiplies no faster than float32: its AMX does."""
    try:
        return "GenuineIntel" in _PROCESSOR.read_text()
    except OSError:
        return False


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


def at_once(network: Network, device: torch.device, size: tuple[int, int], most: int) -> int:
    """How many of ``most`` images of that height and width a network is best given at once.

    A processor is faster with few, and a plain callable gets all, for nobody knows what it does.
    """
    if device.type != "cpu" or not isinstance(network, nn.Module):
        return most
    return max(1, min(most, PIXELS_AT_ONCE // math.prod(size)))


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
