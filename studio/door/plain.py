"""What callers hold in their hands, made plain: numbers of other libraries, and the mode torch is in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def plain(value: Any) -> Any:
    """Return a number of NumPy or torch (a scalar, or an array without axes) as Python's own."""
    return value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value


def with_derivatives(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function make tensors that can be differentiated, even in a caller's `torch.inference_mode`."""

    @wraps(function)
    def outside(*args: P.args, **kwargs: P.kwargs) -> R:
        import torch

        if not torch.is_inference_mode_enabled():
            return function(*args, **kwargs)
        with torch.inference_mode(False):
            return function(*args, **kwargs)

    return outside
