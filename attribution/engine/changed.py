"""Maps of images that differ from one image's in windows only: torch's functions take them for tensors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map

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
    Tensor.__len__,
    Tensor.dim,
    Tensor.numel,
    Tensor.is_floating_point,
    Tensor.is_complex,
}
"""What asks for no values."""
MAPS = "maps"
"""Stands for changed maps among arguments."""
CHANGES = 8
"""After so many runs with other arguments a network is not followed any more."""


class UnfollowedError(Exception):
    """A network does something that cannot be followed window by window."""


@dataclass(eq=False)
class Kept:
    """One of the untouched image's maps.

    Attributes:
        spec: The form of the arguments of the function that made it.
        given: These arguments, each tensor with its version; the maps among them are `MAPS`.
        made: The map.
    """

    spec: TreeSpec
    given: list[tuple[Any, int]]
    made: Tensor

    def answers(self, spec: TreeSpec, given: list[Any]) -> bool:
        """Whether it was made with the same arguments."""
        return spec == self.spec and all(map(_same, self.given, given))


@dataclass(eq=False)
class Trail:
    """The untouched image's maps, each made when it is first needed.

    What is computed with a map may depend on the images (a gate, a branch, a filter that is made of them), so
    a map is taken again only for the same arguments.

    Attributes:
        follow: Takes a function of torch and its arguments, and returns what comes of changed maps, or
            ``NotImplemented``.
        maps: The maps by the function that made them and the maps that it was given.
        runs: How often the network has run.
        news: In how many of its runs a function that has been seen before was given other arguments.
    """

    follow: Callable[[Any, Any, Any], Any]
    maps: dict[Hashable, list[Kept]] = field(default_factory=dict)
    runs: int = 0
    news: dict[Hashable, set[int]] = field(default_factory=dict)
    _call: tuple[Hashable, TreeSpec, list[Any]] = field(default=((), tree_flatten(())[1], []))

    @contextmanager
    def entered(self, func: Any, args: Any, kwargs: Any) -> Iterator[None]:
        """Note that a function is called, as long as it is; it may be while another one is followed."""
        leaves, spec = tree_flatten((args, kwargs))
        given = [each for each in leaves if isinstance(each, Changed)]
        key = (func, *(id(each.clean) for each in given))  # maps that are kept have numbers of their own
        before = self._call
        self._call = (key, spec, [MAPS if isinstance(each, Changed) else each for each in leaves])
        try:
            yield
        finally:
            self._call = before

    def map(self, make: Callable[[], Tensor]) -> Tensor:
        """Return what the function that has been called makes of the untouched image's maps.

        Raises:
            UnfollowedError: If it is given other arguments again and again.
        """
        key, spec, given = self._call
        known = self.maps.setdefault(key, [])
        for kept in known:
            if kept.answers(spec, given):
                return kept.made
        news = self.news.setdefault(key, set())
        news.add(self.runs)
        if len(news) > CHANGES:
            raise UnfollowedError("it computes with other numbers for other images")
        known.append(Kept(spec, [_noted(each) for each in given], make()))
        return known[-1].made


def _noted(value: Any) -> tuple[Any, int]:
    if not isinstance(value, Tensor):
        return value, 0
    # Without a version nobody sees that it has been changed in place.
    return (value.clone(), 0) if value.is_inference() else (value, value._version)


def _same(noted: tuple[Any, int], value: Any) -> bool:
    kept, version = noted
    if not isinstance(value, Tensor) or not isinstance(kept, Tensor):
        return type(kept) is type(value) and bool(kept == value)
    if not kept.is_inference() and kept._version != version:
        return False
    alike = (kept.shape, kept.dtype, kept.device) == (value.shape, value.dtype, value.device)
    return kept is value or (alike and torch.equal(kept, value))


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
        leaves = tree_flatten((args, kwargs))[0]
        trail = next(each.trail for each in leaves if isinstance(each, Changed))
        with trail.entered(func, args, kwargs):
            found = trail.follow(func, args, kwargs)
        if found is not NotImplemented:
            return found
        changed = args[0] if args and changes(func, kwargs) else kwargs.get("out")
        if isinstance(changed, Changed):
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
    named = name.startswith("__i") or name in ("__setitem__", "__set__") if special else name.endswith("_")
    return named or bool(kwargs.get("inplace", False))
