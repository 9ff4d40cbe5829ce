"""Texts from the command line become the values of a dataclass's fields."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from models.spelling import suggestion


def known(name: str, names: Iterable[str], kind: str) -> str:
    """Return the name, if it is one.

    Raises:
        ValueError: If it is not; the nearest one is suggested.
    """
    names = list(names)
    if name in names:
        return name
    hint = suggestion(name, names) or ";"
    raise ValueError(f"unknown {kind} {name!r}{hint} known: {', '.join(names)}")


def settable(cls: type, fixed: Iterable[str] = ()) -> dict[str, list[Any]]:
    """Return the fields of a dataclass that a text can give, except the ``fixed``, each with its types."""
    names = [field.name for field in dataclasses.fields(cls) if field.init and field.name not in fixed]
    return _simple_ones(cls, names)


def settable_parameters(function: Callable[..., Any], fixed: Iterable[str] = ()) -> dict[str, list[Any]]:
    """Return the parameters of a function that a text can give, except the ``fixed``, each with its types."""
    return _simple_ones(
        function, [name for name in inspect.signature(function).parameters if name not in fixed]
    )


def said(owner: Any, names: Iterable[str]) -> dict[str, str]:
    """Return in words what fields of a dataclass, or parameters of a function, may be.

    Numbers that have a range say it beside their type, as ``Annotated[int, ...]``.
    """
    hints = typing.get_type_hints(owner, include_extras=True)
    return {name: " or ".join(_said(each) for each in _options(hints[name])) for name in names}


def _said(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        kind, extra = hint.__origin__, hint.__metadata__[0]
        return f"{named(kind)} in {extra}" if get_origin(kind) is not tuple else f"{named(kind)}, in {extra}"
    return named(hint)


def parse_fields(owner: str, fields: Mapping[str, Sequence[Any]], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that the texts stand for.

    Raises:
        ValueError: If there is no such field (the nearest is suggested), or the text is none of its types.
    """
    return {
        key: _value(text, fields[known(key, fields, f"field of {owner}")], f"{owner}.{key}")
        for key, text in texts.items()
    }


def _simple_ones(owner: Any, names: Iterable[str]) -> dict[str, list[Any]]:
    hints = typing.get_type_hints(owner)
    simple = {name: [kind for kind in _options(hints[name]) if _simple(kind)] for name in names}
    return {
        name: kinds for name, kinds in simple.items() if any(kind is not types.NoneType for kind in kinds)
    }


def _options(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, or the hint itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _simple(kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return all(item in (int, float, Ellipsis) for item in get_args(kind))
    return get_origin(kind) is Literal or kind in (int, float, bool, str, types.NoneType)


def _value(text: str, kinds: Sequence[Any], place: str) -> Any:
    for kind in sorted(kinds, key=lambda kind: kind is not types.NoneType):  # a text may be anything
        try:
            return _read(text, kind)
        except ValueError:
            continue
    wanted = " or ".join(named(kind) for kind in kinds)
    raise ValueError(f"{place}: expected {wanted}, got {text!r}")


def _read(text: str, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        items = get_args(kind)
        parts = text.split(",")
        if Ellipsis not in items and len(parts) != len(items):
            raise ValueError
        return tuple(_read(part.strip(), items[0]) for part in parts)
    if get_origin(kind) is Literal:
        choices = {str(choice): choice for choice in get_args(kind)}
    elif kind is bool:
        choices = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
    elif kind is types.NoneType:
        choices = {"none": None}
    else:
        return kind(text)
    if text.lower() not in choices:
        raise ValueError
    return choices[text.lower()]


def named(kind: Any) -> str:
    """Return in words what a text of this type looks like."""
    if get_origin(kind) is Literal:
        return " or ".join(repr(choice) for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "numbers with commas between"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(kind, "none")
