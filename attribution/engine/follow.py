"""What torch's functions make of maps that differ from one image's in windows only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from attribution.engine.changed import Changed, UnfollowedError, changes
from attribution.engine.windows import Step, Windows, cut, paste

WORTH = 0.8
"""Where windows cover more of a map than this, whole maps are computed from there on."""


def follow(func: Any, args: Any, kwargs: Any) -> Any:
    """Return what a function makes of changed maps; ``NotImplemented``: it needs whole ones."""
    rule = _RULES.get(func)
    return NotImplemented if rule is None or not args else rule(func, args, kwargs)


def _made(maps: Changed, make: Callable[[], Tensor], pixels: Tensor, windows: Windows) -> Changed:
    return Changed(maps.trail, maps.trail.map(make), pixels, windows)


def _given_back(func: Any, kwargs: Any, old: object, new: Changed) -> Changed:
    """Return what was made, or what was changed in place."""
    if not changes(func, kwargs):
        return new
    if not isinstance(old, Changed) or old.shape != new.shape:
        raise UnfollowedError(func.__name__)
    return old.become(new.trail, new.clean, new.pixels, new.windows)


def _pixelwise(func: Any, args: Any, kwargs: Any) -> Any:
    """Follow a function of each value by itself."""
    maps, *others = args
    options = {name: value for name, value in kwargs.items() if name != "inplace"}
    if any(isinstance(each, Tensor) for each in (*others, *options.values())):
        return NotImplemented
    pure: Callable[..., Any] = _PURE.get(func, func)
    once: Callable[[Tensor], Tensor] = lambda values: pure(values, *others, **options)  # noqa: E731
    new = _made(maps, lambda: once(maps.clean), once(maps.pixels), maps.windows)
    return _given_back(func, kwargs, maps, new)


def _arithmetic(func: Any, args: Any, kwargs: Any) -> Any:
    """Follow a sum, difference, product or quotient of maps, or of maps and what is the same everywhere."""
    if kwargs or len(args) != 2:
        return NotImplemented
    first, second = args
    both = [each for each in args if isinstance(each, Changed)]
    windows = both[0].windows
    if len(both) == 2:
        if first.shape != second.shape:
            return NotImplemented
        windows = first.windows.joined(second.windows)
    elif not all(isinstance(each, Changed) or _even(each, len(both[0])) for each in args):
        return NotImplemented
    pure: Callable[..., Any] = _PURE.get(func, func)
    pixels = pure(*(each.within(windows) if isinstance(each, Changed) else each for each in args))

    def clean() -> Tensor:
        made: Tensor = pure(*(each.clean if isinstance(each, Changed) else each for each in args))
        return made

    return _given_back(func, kwargs, first, _made(both[0], clean, pixels, windows))


def _even(other: object, images: int) -> bool:
    """Whether something is the same for every place and image: a number, or one for each channel.

    With a single image, what has an axis of images may have been made of it (squeeze-and-excitation).
    """
    if not isinstance(other, Tensor):
        return isinstance(other, int | float)
    shape = (1,) * (4 - other.ndim) + tuple(other.shape)
    return shape[:1] + shape[2:] == (1, 1, 1) and (other.ndim < 4 or images > 1)


def _joined(func: Any, args: Any, kwargs: Any) -> Any:
    """Follow a concatenation of channels."""
    maps, dim = args[0], kwargs.get("dim", args[1] if len(args) > 1 else 0)
    if kwargs.keys() - {"dim"} or dim not in (1, -3) or not all(isinstance(each, Changed) for each in maps):
        return NotImplemented
    windows = maps[0].windows
    for each in maps[1:]:
        windows = windows.joined(each.windows)
    pixels = torch.cat([each.within(windows) for each in maps], dim=1)
    return _made(maps[0], lambda: torch.cat([each.clean for each in maps], dim=1), pixels, windows)


def _dropout(func: Any, args: Any, kwargs: Any) -> Any:
    return NotImplemented if kwargs.get("training", True) else args[0]


def _normalized(func: Any, args: Any, kwargs: Any) -> Any:
    """Follow a batch normalization by running statistics, which are the same everywhere."""
    maps, *others = args
    if kwargs.get("training", True) or len(others) != 2 or not isinstance(maps, Changed):
        return NotImplemented
    pure: Callable[..., Any] = func
    once: Callable[[Tensor], Tensor] = lambda values: pure(values, *others, **kwargs)  # noqa: E731
    return _made(maps, lambda: once(maps.clean), once(maps.pixels), maps.windows)


def _convolved(func: Any, args: Any, kwargs: Any) -> Any:
    return _convolution(*args, **kwargs)


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    made = isinstance(weight, Changed) or isinstance(bias, Changed)
    if not isinstance(input, Changed) or made or isinstance(padding, str):
        return NotImplemented
    clean = input.trail.map(
        lambda: torch.conv2d(input.clean, weight, bias, stride, padding, dilation, groups)
    )
    steps = _steps(weight.shape[2:], stride, padding, dilation)
    return _moved(
        input,
        clean,
        steps,
        0.0,
        lambda pixels: torch.conv2d(pixels, weight, bias, stride, 0, dilation, groups),
    )


def _maximum(func: Any, args: Any, kwargs: Any) -> Any:
    return _max_pool(*args, **kwargs)


def _max_pool(
    input: Changed,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    if return_indices:
        return NotImplemented
    stride = stride or kernel_size
    clean = input.trail.map(
        lambda: torch.max_pool2d(input.clean, kernel_size, stride, padding, dilation, ceil_mode)
    )
    steps = _steps(_pair(kernel_size), stride, padding, dilation)
    once = lambda pixels: torch.max_pool2d(pixels, kernel_size, stride, 0, dilation)  # noqa: E731
    return _moved(input, clean, steps, -torch.inf, once)


def _mean(func: Any, args: Any, kwargs: Any) -> Any:
    return _average_pool(*args, **kwargs)


def _average_pool(
    input: Changed,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    counted = count_include_pad or _pair(padding) == (0, 0)
    if ceil_mode or not counted or divisor_override is not None:
        return NotImplemented
    stride = stride or kernel_size
    clean = input.trail.map(lambda: F.avg_pool2d(input.clean, kernel_size, stride, padding))
    steps = _steps(_pair(kernel_size), stride, padding, 1)
    return _moved(input, clean, steps, 0.0, lambda pixels: F.avg_pool2d(pixels, kernel_size, stride))


def _steps(kernel: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Step, Step]:
    pairs = zip(kernel, _pair(stride), _pair(padding), _pair(dilation), strict=True)
    down, across = (Step((k - 1) * d + 1, s, p) for k, s, p, d in pairs)
    return down, across


def _pair(value: Any) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value) * (2 if len(value) == 1 else 1)


def _moved(
    maps: Changed, clean: Tensor, steps: tuple[Step, Step], beyond: float, once: Callable[[Tensor], Tensor]
) -> Any:
    """Follow a kernel that moves over maps, beyond whose borders lies one value."""
    before = (maps.windows.down, maps.windows.across)
    after = [span.after(step, side) for span, step, side in zip(before, steps, clean.shape[2:], strict=True)]
    windows = Windows(*after)
    if windows.share > WORTH:
        return NotImplemented
    if all(step == Step(1, 1, 0) for step in steps):
        return Changed(maps.trail, clean, once(maps.pixels), windows)
    reads = Windows(*(span.read(step) for span, step in zip(after, steps, strict=True)))
    inside = Windows(
        *(
            span.shifted(step.padding, read.side)
            for span, step, read in zip(before, steps, (reads.down, reads.across), strict=True)
        )
    )
    pixels = cut(_padded(maps.clean, steps, reads, beyond), reads)
    paste(pixels, reads, maps.pixels, inside)
    return Changed(maps.trail, clean, once(pixels), windows)


def _padded(maps: Tensor, steps: tuple[Step, Step], reads: Windows, beyond: float) -> Tensor:
    """Return a map with its padding around it, and what ``ceil_mode`` reads behind."""
    (top, left), (high, wide) = (step.padding for step in steps), maps.shape[2:]
    below, right = reads.down.side - high - top, reads.across.side - wide - left
    return F.pad(maps, (left, max(right, 0), top, max(below, 0)), value=beyond)


_PURE: dict[Any, Callable[..., Any]] = {
    torch.relu_: torch.relu,
    Tensor.relu_: torch.relu,
    F.relu: torch.relu,
    torch._C._nn.hardtanh_: torch._C._nn.hardtanh,
    Tensor.add_: torch.add,
    Tensor.__iadd__: torch.add,
    Tensor.sub_: torch.sub,
    Tensor.__isub__: torch.sub,
    Tensor.mul_: torch.mul,
    Tensor.__imul__: torch.mul,
    Tensor.div_: torch.div,
    Tensor.__itruediv__: torch.div,
}
"""What changes its argument in place, without that."""
_PIXELWISE = (
    *(torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, torch.sigmoid, Tensor.sigmoid, torch.tanh),
    *(Tensor.tanh, Tensor.clone, Tensor.contiguous, Tensor.float, Tensor.clamp, torch.clamp),
    *(F.relu, F.relu6, F.hardtanh, F.silu, F.hardswish, F.hardsigmoid, F.gelu, F.leaky_relu, F.elu),
    *(F.mish, F.softplus, torch._C._nn.hardtanh_),
)
_ARITHMETIC = (
    *(torch.add, torch.sub, torch.mul, torch.div, Tensor.add, Tensor.sub, Tensor.mul, Tensor.div),
    *(Tensor.add_, Tensor.sub_, Tensor.mul_, Tensor.div_, Tensor.__iadd__, Tensor.__isub__),
    *(Tensor.__imul__, Tensor.__itruediv__, Tensor.__add__, Tensor.__radd__, Tensor.__sub__),
    *(Tensor.__mul__, Tensor.__rmul__, Tensor.__truediv__),
)
_RULES: dict[Any, Callable[[Any, Any, Any], Any]] = {
    **dict.fromkeys(_PIXELWISE, _pixelwise),
    **dict.fromkeys(_ARITHMETIC, _arithmetic),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), _joined),
    **dict.fromkeys((F.dropout, F.dropout2d), _dropout),
    F.batch_norm: _normalized,
    torch.conv2d: _convolved,
    torch.max_pool2d: _maximum,
    F.max_pool2d: _maximum,
    F.avg_pool2d: _mean,
}
