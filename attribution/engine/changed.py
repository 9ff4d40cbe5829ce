"""Maps of images that differ from one image's in windows only: torch's functions take them for tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from attribution.engine.windows import Windows, cut, paste

_PROPERTIES = (
    "shape",
    "dtype",
    "device",
    "ndim",
    "requires_grad",
    "is_cuda",
    "is_sparse",
    "layout",
    "grad_fn",
)
_SEEN = {getattr(Tensor, name).__get__ for name in _PROPERTIES} | {
    Tensor.size,
    Tensor.dim,
    Tensor.numel,
    Tensor.is_floating_point,
    Tensor.is_complex,
}
"""What asks for no values."""


class UnfollowedError(Exception):
    """A network does something that cannot be followed window by window."""


@dataclass(eq=False)
class Trail:
    """The untouched image's maps, each made when it is first needed.

    Attributes:
        follow: Takes a function of torch and its arguments, and returns what comes of changed maps, or
            ``NotImplemented``.
        maps: The maps by the function that made them, the maps that it was given, and which of its calls for
            these it was.
        calls: How often a function has been called for the same maps while a network runs once.
    """

    follow: Callable[[Any, Any, Any], Any]
    maps: dict[Hashable, Tensor] = field(default_factory=dict)
    calls: Counter[Hashable] = field(default_factory=Counter)
    _call: Hashable = ()

    def enter(self, func: Any, given: list[Changed]) -> None:
        """Note that a function is called."""
        key = (func, *(id(each.clean) for each in given))  # maps that are kept have numbers of their own
        self._call = (*key, self.calls[key])
        self.calls[key] += 1

    def map(self, make: Callable[[], Tensor]) -> Tensor:
        """Return what the function that has been called makes of the untouched image's maps."""
        if self._call not in self.maps:
            self.maps[self._call] = make()
        return self.maps[self._call]


class Changed(Tensor):
    """Maps of n images that are one image's outside of windows. What cannot be followed gets whole maps.

    Attributes:
        trail: The untouched image's maps so far.
        clean: The one of them that this differs from.
        pixels: What lies in the windows.
        windows: Where these are.
    """

    trail: Trail
    clean: Float[Tensor, "1 c h w"]
    pixels: Float[Tensor, "n c y x"]
    windows: Windows

    @staticmethod
    def __new__(cls, trail: Trail, clean: Tensor, pixels: Tensor, windows: Windows) -> Changed:
        """Return maps that show the shape of whole ones."""
        shape = (len(pixels), *clean.shape[1:])
        made: Changed = torch.Tensor._make_wrapper_subclass(
            cls, shape, dtype=pixels.dtype, device=pixels.device
        )
        return made.become(trail, clean, pixels, windows)

    def become(self, trail: Trail, clean: Tensor, pixels: Tensor, windows: Windows) -> Changed:
        """Take what these maps are; that is how they are changed in place."""
        self.trail, self.clean, self.pixels, self.windows = trail, clean, pixels, windows
        return self

    def whole(self) -> Float[Tensor, "n c h w"]:
        """Return the whole maps."""
        return self.within(Windows.everywhere(len(self.pixels), self.clean.shape[2:]))

    def within(self, windows: Windows) -> Float[Tensor, "n c _ _"]:
        """Return larger windows of the same maps."""
        if windows == self.windows:
            return self.pixels
        found = cut(self.clean, windows)
        paste(found, windows, self.pixels, self.windows)
        return found

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Follow a function of torch, or give it whole maps.

        Raises:
            UnfollowedError: If it would change maps in place and is not followed.
        """
        kwargs = kwargs or {}
        if func in _SEEN:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Changed)]
        trail = given[0].trail
        trail.enter(func, given)
        found = trail.follow(func, args, kwargs)
        if found is not NotImplemented:
            return found
        if changes(func, kwargs) and isinstance(args[0], Changed):
            raise UnfollowedError(func.__name__)
        args, kwargs = tree_map(
            lambda each: each.whole() if isinstance(each, Changed) else each, (args, kwargs)
        )
        return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Refuse what has not come by torch's functions."""
        raise UnfollowedError(str(func))


def changes(func: Any, kwargs: Any) -> bool:
    """Whether a function of torch changes its first argument in place."""
    name = getattr(func, "__name__", "")
    special = name.startswith("__") and name.endswith("__")
    named = name.startswith("__i") or name == "__setitem__" if special else name.endswith("_")
    return named or bool(kwargs.get("inplace", False))
