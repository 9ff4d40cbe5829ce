"""What other packages add: names of their own, by entry points.

A package that is installed beside infill states in the group ``infill.fillers``, ``infill.methods``,
``infill.classifiers`` or ``infill.metrics`` a name and the object that it means. Nothing of it is imported
before a job or a list needs names.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeAlias

Group: TypeAlias = Literal["fillers", "methods", "classifiers", "metrics"]

_NAME = r"[a-z][a-z0-9_-]*"  # what can stand in NAME:CHECKPOINT@FIELD=VALUE, NAME.FIELD=VALUE and NAME/FILLER


class PluginWarning(UserWarning):
    """What another package adds cannot be used, and is left out."""


@dataclass(frozen=True)
class Plugin:
    """A name that another package adds.

    Attributes:
        name: As the user writes it.
        place: ``module:object``.
        origin: The package and its version.
        meant: The object.
    """

    name: str
    place: str
    origin: str
    meant: Any

    @property
    def summary(self) -> str:
        """The first line of what the object says of itself."""
        lines = str(getattr(self.meant, "__doc__", None) or "").strip().splitlines()
        return lines[0].rstrip(".") if lines else ""

    def said(self, attribute: str, kind: type, default: Any) -> Any:
        """Return what the object says of itself, if it does.

        Raises:
            ValueError: If that is of another kind.
        """
        found = getattr(self.meant, attribute, default)
        if not isinstance(found, kind):
            raise ValueError(f"expected {attribute} to be of type {kind.__name__}, got {found!r}")
        return found


def plugins(
    group: Group, taken: Callable[[], Collection[str]], made: Callable[[Plugin], Any]
) -> dict[str, Any]:
    """Return what is made of each name that other packages add to a group, sorted by package and name.

    What cannot be imported, has no usable name, or cannot be made something of is left out, each with a
    `PluginWarning` of one line. So is what is called like something that is there already.

    Args:
        group: What is added.
        taken: Returns the names of infill's own.
        made: Makes of a plugin what stands for it here.
    """
    points = sorted(entry_points(group=f"infill.{group}"), key=lambda each: (origin(each), each.name))
    owners = dict.fromkeys(taken(), "infill itself") if points else {}
    found: dict[str, Any] = {}
    for point in points:
        try:
            found[point.name] = made(_loaded(point, owners))
            owners[point.name] = origin(point)
        except ValueError as error:
            text = f"{group[:-1]} {point.name!r} of {origin(point)} is left out: {error}"
            warnings.warn(text, PluginWarning, stacklevel=2)
    return found


def _loaded(point: EntryPoint, owners: dict[str, str]) -> Plugin:
    if not re.fullmatch(_NAME, point.name):
        raise ValueError("expected a name of small letters, digits, - and _")
    if point.name in owners:
        raise ValueError(f"{owners[point.name]} has that name")
    try:
        meant = point.load()
    except (Exception, SystemExit) as error:  # the code is others': it may fail in any way
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"cannot import {point.value} ({type(error).__name__}: {reason})") from error
    return Plugin(point.name, point.value, origin(point), meant)


def origin(point: EntryPoint) -> str:
    """Return the package that states an entry point, and its version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
