"""What stands in the tables for the names that other packages add (`studio.registry.plugins`)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from studio.registry.entry import Entry
from studio.registry.plugins import Plugin, plugins

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class AddedMetric:
    """A metric that another package adds; the attributes are those of `studio.evaluate.metrics.MetricEntry`.

    Attributes:
        measure: From what is explained, and the filler to remove with, to a number.
        better: Which numbers are.
    """

    measure: Callable[..., Any]
    summary: str
    source: str
    origin: str
    needs: str
    removes: bool
    of: str
    better: Better

    def value(self, explained: Any, filler: str) -> float:
        """Return the metric's number.

        Raises:
            ValueError: If it finds none.
        """
        try:
            number = float(self.measure(explained, filler) if self.removes else self.measure(explained))
        except ValueError:
            raise
        except Exception as error:  # the code is others'
            raise ValueError(_failed(error)) from error
        if not math.isfinite(number):
            raise ValueError(f"expected a finite number, got {number}")
        return number


def fillers(taken: Collection[str]) -> dict[str, Entry]:
    """Return the rows of fillers; ``taken`` are the names of our own."""

    def made(plugin: Plugin) -> Entry:
        _require(plugin.meant, ("per_hole", "sees_hidden", "stochastic", "__call__"), "a filler")
        return _row(plugin)

    return plugins("fillers", lambda: taken, made)


def methods(taken: Collection[str]) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """Return the rows of methods: those with ``holes``, and those that ``optimize`` theirs."""

    def made(plugin: Plugin) -> Entry:
        optimizes = hasattr(plugin.meant, "optimize")
        _require(plugin.meant, ("composites",) if optimizes else ("holes",), "a method")
        return _row(plugin)

    rows = plugins("methods", lambda: taken, made)
    optimizing = {name: row for name, row in rows.items() if hasattr(row.load(), "optimize")}
    return {name: row for name, row in rows.items() if name not in optimizing}, optimizing


@functools.cache
def classifiers() -> Mapping[str, Plugin]:
    """Return the sources of classifiers, each a function of a place and a file of weights."""

    def taken() -> Collection[str]:
        from models.classifiers import load, torchvision

        return {"scenes", *(form.partition(":")[0] for form in load.FORMS), *torchvision.names()}

    def made(plugin: Plugin) -> Plugin:
        if not callable(plugin.meant):
            raise ValueError(f"expected a function of a place and a file of weights, got {plugin.meant!r}")
        return plugin

    return plugins("classifiers", taken, made)


def loaders() -> dict[str, Callable[[str, Path | None], Any]]:
    """Return by form, as in ``toy`` and ``toy:PLACE``, what loads a classifier of these sources."""
    forms = {name: (name, f"{name}:PLACE") for name in classifiers()}
    return {form: functools.partial(_load, classifiers()[name]) for name in forms for form in forms[name]}


def _load(plugin: Plugin, place: str, weights: Path | None) -> Any:
    from models.classifiers.custom import as_classifier

    try:
        found = plugin.meant(place, weights)
    except ValueError as error:
        raise ValueError(f"classifier: {plugin.name}: {error}") from error
    except Exception as error:  # the code is others'
        raise ValueError(f"classifier: {plugin.name} ({plugin.origin}) {_failed(error)}") from error
    return as_classifier(found, f"classifier: {plugin.name} ({plugin.origin})")


@functools.cache
def metrics(taken: frozenset[str]) -> Mapping[str, AddedMetric]:
    """Return the metrics."""

    def made(plugin: Plugin) -> AddedMetric:
        if not callable(plugin.meant):
            raise ValueError(f"expected a function of what is explained, got {plugin.meant!r}")
        return AddedMetric(
            plugin.meant,
            plugin.summary,
            plugin.said("source", str, ""),
            plugin.origin,
            _one_of(plugin, "needs", ("", "boxes", "silhouettes", "region", "others")),
            plugin.said("removes", bool, False),
            _one_of(plugin, "of", ("heatmap", "samples", "filler", "again")),
            _one_of(plugin, "better", ("neither", "lower", "higher")),
        )

    return plugins("metrics", lambda: taken, made)


def _one_of(plugin: Plugin, attribute: str, choices: tuple[str, ...]) -> Any:
    found = plugin.said(attribute, str, choices[0])
    if found not in choices:
        raise ValueError(f"expected {attribute} to be one of {', '.join(map(repr, choices))}, got {found!r}")
    return found


def _require(cls: Any, needed: tuple[str, ...], kind: str) -> None:
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        raise ValueError(f"expected the class of {kind}, a dataclass, got {cls!r}")
    names = {field.name for field in dataclasses.fields(cls)}
    for name in needed:
        if not hasattr(cls, name) and name not in names:
            raise ValueError(f"{cls.__name__} is not {kind}: it has no {name}")
    for field in dataclasses.fields(cls):
        if field.init and field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{cls.__name__}.{field.name} has no default")


def _row(plugin: Plugin) -> Entry:
    row = Entry(
        plugin.place,
        plugin.summary,
        plugin.said("source", str, ""),
        quick=plugin.said("quick", dict, {}),
        smallest=plugin.said("smallest", dict, {}),
        signed=plugin.said("signed", bool, False),
        origin=plugin.origin,
    )
    try:
        row.settings()
    except (TypeError, NameError, AttributeError) as error:  # types that are not to be found
        raise ValueError(f"the types of its settings cannot be read ({error})") from error
    known = {field.name for field in dataclasses.fields(row.load())}
    for what in ("quick", "smallest"):
        unknown = [name for name in getattr(row, what) if name not in known]
        if unknown:
            raise ValueError(f"{what} names {unknown[0]!r}, which is none of its settings")
    return row


def _failed(error: Exception) -> str:
    return f"fails ({type(error).__name__}: {str(error).strip().partition(chr(10))[0]})"
