"""What a name stands for."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.registry.fields import settable, settable_parameters


@dataclass(frozen=True)
class Entry:
    """What a name stands for.

    Attributes:
        place: ``module:class`` of a dataclass.
        says: What it does, in a line.
        source: Where it is from.
        fixed: What makes the class the thing of this name; not to be set.
        quick: Settings that make it affordable on a small machine; the class's own are the paper's.
        smallest: What is set beside the quick ones where the smallest removal is asked for.
        of_image: Whether it must be built anew for other images.
        signed: Whether its heatmap speaks for the target above 0 and against it below.
    """

    place: str
    says: str
    source: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    smallest: Mapping[str, Any] = field(default_factory=dict)
    of_image: bool = False
    signed: bool = False

    @property
    def hidden(self) -> Collection[str]:
        """Fields that are not to be set, and need not be told."""
        return tuple(self.fixed)

    def load(self) -> Any:
        """Import and return the class."""
        return imported(self.place)

    def fields(self) -> dict[str, list[Any]]:
        """Return what can be set by a text, each with its types."""
        return settable(self.load(), self.hidden)


def imported(place: str) -> Any:
    """Import ``module:name``."""
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Pretrained(Entry):
    """A filler whose network is loaded.

    Attributes:
        loader: ``module:function`` that takes a checkpoint and returns an `Inpainter`.
        loading: What makes the function load the thing of this name; not to be set.
        weights: The checkpoint's name among the known weights; without one, a checkpoint must be given.
        sought: Where there is one to be given, in words.
        at_once: How many holes the network gets at once, if not all that are asked about.
    """

    loader: str = ""
    loading: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weights: str = ""
    sought: str = ""
    at_once: int | None = None

    @property
    def hidden(self) -> Collection[str]:
        """Fields that the checkpoint decides."""
        from models.inpainters.inpainter import Inpainter

        return (*self.fixed, "copy", *(field.name for field in dataclasses.fields(Inpainter)))

    def parameters(self) -> dict[str, list[Any]]:
        """Return what can be set when the network is loaded, each with its types."""
        function = imported(self.loader)
        first = next(iter(inspect.signature(function).parameters))
        return {"checkpoint": [str], **settable_parameters(function, (first, *self.loading))}

    def fields(self) -> dict[str, list[Any]]:
        """Return what can be set by a text, each with its types."""
        return {**super().fields(), **self.parameters()}
