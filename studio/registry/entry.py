"""A row of the registry: the class that a name means, and its settings."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from studio.registry.fields import named, said, settable, settable_parameters


@dataclass(frozen=True)
class Entry:
    """The class that the name of a method or filler means, and the settings it is built with.

    Attributes:
        target: ``module:class`` of a dataclass.
        summary: What it does, in a line.
        source: Author and year.
        fixed: Settings that the name implies; the user cannot change them.
        given: Settings that the name starts from; the user may change them.
        quick: Settings that make it affordable on a small machine; the class's own are the paper's.
        smallest: Further settings where the smallest removal is asked for.
        options: Settings that are not the class's, but say how it is used; by name with their type.
        of_image: Whether a filler fits only the images that it was built for (`Filler`).
        signed: Whether its heatmap speaks for the target above 0 and against it below; else nothing in it
            speaks against the target, and it is never drawn in blue.
        origin: The package that adds it, and its version; empty for what is infill's own.
        gradients: Whether it needs the classifier's gradients (all optimizing methods do).
        fills: Whether a filler matters to a method; if not, it runs once, with `tables.NO_FILLER`.
        compares: Whether a method needs a class that the target is compared with.
        changes: Whether a search is through once another class is seen, however likely its own still is.
        keeping: The settings with which a search keeps what is enough for the class, and never asks what is
            left without that; empty: with whatever settings. ``None``: it always asks.
    """

    target: str
    summary: str
    source: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    smallest: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    of_image: bool = False
    signed: bool = False
    origin: str = ""
    gradients: bool = False
    fills: bool = True
    compares: bool = False
    changes: bool = False
    keeping: Mapping[str, Any] | None = None

    @property
    def hidden(self) -> Collection[str]:
        """Fields that the user cannot set, and need not read."""
        return tuple(self.fixed)

    def load(self) -> Any:
        """Import and return the class."""
        return import_name(self.target)

    def is_of(self, thing: object) -> bool:
        """Whether a thing is of the class that the name means; nothing is imported for that."""
        package, name = self.target.split(":")
        own = type(thing).__module__
        return type(thing).__name__ == name and package in (own, own.partition(".")[0])

    @property
    def keeps(self) -> bool:
        """Whether a search never asks what is left without the evidence, whatever the user sets."""
        return self.keeping is not None and self.keeping.items() <= self.fixed.items()

    def kept_by(self, method: object) -> bool:
        """Whether a search of this class, with its settings, never asks that."""
        keeping = self.keeping
        return keeping is not None and all(getattr(method, name) == keeping[name] for name in keeping)

    def fields(self) -> dict[str, list[Any]]:
        """Return the fields that a text can set, each with its types."""
        return {**settable(self.load(), self.hidden), **{name: [kind] for name, kind in self.options.items()}}

    def settings(self) -> dict[str, tuple[Any, str]]:
        """Return the fields that a text can set, each with its value and, in words, what it may be."""
        owner, names = self.load(), settable(self.load(), self.hidden)
        defaults = {field.name: field.default for field in dataclasses.fields(owner)}
        values, words = {**defaults, **self.given}, said(owner, names)
        own = {name: (_plain(values[name]), words[name]) for name in names}
        options = {name: (get_args(kind)[0], named(kind)) for name, kind in self.options.items()}
        return {**own, **options}


def import_name(target: str) -> Any:
    """Import ``module:name`` and return it."""
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


def _plain(value: Any) -> Any:
    return "" if value is dataclasses.MISSING else value


@dataclass(frozen=True)
class Pretrained(Entry):
    """A filler whose network is loaded from a checkpoint.

    Attributes:
        loader: ``module:function`` that takes a checkpoint and returns an `Inpainter`.
        loading: Arguments of the loader that the name implies; the user cannot change them.
        weights: The checkpoint's name in the catalog of weights; without one, the user gives a checkpoint.
        sought: Where the user finds a checkpoint, in words, if the catalog has none.
        at_once: How many holes the network gets at once; ``None``: a whole batch.
        draws: Whether its fills are drawn by chance.
    """

    loader: str = ""
    loading: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weights: str = ""
    sought: str = ""
    at_once: int | None = None
    draws: bool = False

    @property
    def hidden(self) -> Collection[str]:
        """Fields that the checkpoint decides."""
        from models.inpainters.inpainter import Inpainter

        return (*self.fixed, "copy", *(field.name for field in dataclasses.fields(Inpainter)))

    def parameters(self) -> dict[str, list[Any]]:
        """Return the loader's parameters that a text can set, each with its types."""
        function = import_name(self.loader)
        first = next(iter(inspect.signature(function).parameters))
        return {"checkpoint": [str], **settable_parameters(function, (first, *self.loading))}

    def settings(self) -> dict[str, tuple[Any, str]]:
        """Return the fields that a text can set, each with its value and, in words, what it may be."""
        function = import_name(self.loader)
        names = [name for name in self.parameters() if name != "checkpoint"]
        words, defaults = said(function, names), inspect.signature(function).parameters
        loading = {name: (defaults[name].default, words[name]) for name in names}
        return {**loading, **super().settings()}

    def fields(self) -> dict[str, list[Any]]:
        """Return the fields that a text can set, each with its types."""
        return {**super().fields(), **self.parameters()}
