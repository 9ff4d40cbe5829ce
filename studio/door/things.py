"""One thing or several, by name or as objects: what callers give, as requests have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import TYPE_CHECKING, Any, TypeAlias

from studio.explain.inputs import numbered
from studio.registry.fields import known
from studio.registry.tables import ALL_FILLERS, METHODS, NO_METHODS, RESERVED
from studio.runs.folder import JOINT

if TYPE_CHECKING:
    from attribution import Explainer
    from infill import Filler

    Several: TypeAlias = "list[Any] | tuple[Any, ...] | Mapping[str, Any]"


@dataclass(frozen=True)
class Things:
    """Methods, or fillers, in the order in which they were given.

    Attributes:
        texts: As a request has them: names (of fillers perhaps with settings), and the names of objects.
        own: The objects, by these names.
    """

    texts: tuple[str, ...]
    own: Mapping[str, Any]

    @property
    def named(self) -> list[str]:
        """The texts of those that are no objects."""
        return [text for text in self.texts if text not in self.own]

    def told(self, fields: Mapping[str, Any]) -> Things:
        """Return the methods with the ``seed`` and the ``until`` of a call, where it has any.

        Raises:
            ValueError: If an object has one of its own that cannot be replaced, or cannot have this one.
        """
        given = {name: fields[name] for name in ("seed", "until") if name in fields}
        return replace(self, own={name: _told(thing, given) for name, thing in self.own.items()})


NO_THINGS = Things((), {})


def _told(thing: Any, given: Mapping[str, Any]) -> Any:
    wanted = {name: value for name, value in given.items() if getattr(thing, name, value) != value}
    known = [field.name for field in dataclass_fields(thing) if field.init] if is_dataclass(thing) else []
    for name, value in wanted.items():
        if name not in known:
            kind = type(thing).__name__
            raise ValueError(
                f"{name}: {kind} has one of its own, {getattr(thing, name)!r}; give it {value!r}"
            )
    return replace(thing, **wanted) if wanted else thing


def listed(given: Any, kind: str) -> list[tuple[str, Any]]:
    """Return what was given: one thing, a list, or a mapping by name; without a name it is "".

    Raises:
        ValueError: If there is nothing.
    """
    if isinstance(given, Mapping):
        found = [(_name(key, kind), thing) for key, thing in given.items()]
    else:
        found = [("", thing) for thing in (given if several(given) else [given])]
    if not found:
        raise ValueError(f"{kind}: expected one or more, got none")
    return found


def several(given: Any) -> bool:
    """Whether it is a list, a tuple or a mapping, and so asks for a grid."""
    return isinstance(given, list | tuple | Mapping)


def methods_of(given: Any) -> Things:
    """Return the methods.

    Raises:
        ValueError: If a name is unknown, or an object is no method.
    """
    found = listed(given, "method")
    for _, thing in found:
        if isinstance(thing, str):
            known(thing, METHODS, "method")
        else:
            _require_method(thing)
    return _things(found, "method", (*METHODS, *NO_METHODS))


def fillers_of(given: Any) -> Things:
    """Return the fillers; their names are parsed elsewhere.

    Raises:
        ValueError: If an object is no filler.
    """
    found = listed(given, "filler")
    for _, thing in found:
        if not isinstance(thing, str):
            _require_filler(thing)
    return _things(found, "filler", (*ALL_FILLERS, *RESERVED))


def _things(found: Sequence[tuple[str, Any]], kind: str, taken: Sequence[str]) -> Things:
    """Call objects by their keys, or else their classes, numbered where one comes again."""
    names = [key or (thing if isinstance(thing, str) else type(thing).__name__) for key, thing in found]
    for name, (key, thing) in zip(names, found, strict=True):
        if key and isinstance(thing, str) and key != thing:
            raise ValueError(f"{kind}: {key!r} is to name an object, got the name {thing!r}")
        if name in taken and not isinstance(thing, str):
            raise ValueError(f"{kind}: {name!r} is the name of one of infill's own; give another")
        if key and JOINT in key:
            raise ValueError(f"{kind}: expected a name without {JOINT!r}, got {key!r}")
    objects = [not isinstance(thing, str) for _, thing in found]
    numbers = iter(numbered([name for name, own in zip(names, objects, strict=True) if own]))
    texts = [next(numbers) if own else name for name, own in zip(names, objects, strict=True)]
    things = zip(texts, objects, found, strict=True)
    return Things(tuple(dict.fromkeys(texts)), {text: thing for text, own, (_, thing) in things if own})


_BESIDE = {
    "holes": ("", ""),
    "optimize": ("composites", "how many its steps score at most"),
    "attribute": ("fills", "whether a filler matters to it"),
}
"""What a method has, and what else it then must have."""


def _require_method(thing: Any) -> Explainer:
    if isinstance(thing, type):
        raise ValueError(
            f"method: expected an object, got the class {thing.__name__}; give {thing.__name__}()"
        )
    name = type(thing).__name__
    asked = next((each for each in _BESIDE if hasattr(thing, each)), None)
    if not callable(thing) or asked is None:
        raise ValueError(
            "method: expected a name, or an object that is called with a score and has holes(score), "
            f"optimize(score) or attribute(score), got {name}"
        )
    beside, why = _BESIDE[asked]
    if beside and not hasattr(thing, beside):
        raise ValueError(f"method: expected {beside}, {why}, beside {asked}(score), got {name} without")
    method: Explainer = thing
    return method


def _require_filler(thing: Any) -> Filler:
    from infill import Filler

    if isinstance(thing, type):
        raise ValueError(
            f"filler: expected an object, got the class {thing.__name__}; give {thing.__name__}()"
        )
    if not isinstance(thing, Filler):
        remedy = "; infill.Learned(f) makes a filler of a function (image, hole) -> image" * callable(thing)
        raise ValueError(
            "filler: expected a name, or a callable (image, hole, generator) with per_hole, sees_hidden and "
            f"stochastic, got {type(thing).__name__}{remedy}"
        )
    return thing


def _name(key: Any, kind: str) -> str:
    if not isinstance(key, str) or not key.strip() or set(key) & set("/\\:@,="):
        raise ValueError(f"{kind}: expected names without / \\ : @ , = as keys, got {key!r}")
    return key
