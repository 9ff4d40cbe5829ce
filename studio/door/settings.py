"""Keywords become the fields of a request, and the settings of its methods and fillers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from models.spelling import suggestion
from studio.door.plain import plain
from studio.registry.fields import known as known_name
from studio.registry.tables import ALL_FILLERS, METHODS, RESERVED
from studio.registry.target import INDEX


def sorted_out(
    keywords: Mapping[str, Any], fields: Sequence[str], names: Sequence[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return which fields of the request are given, and the settings, in the words of ``--set``.

    Args:
        keywords: Names of such fields; ``settings``, which maps ``NAME.FIELD`` to values; and fields of a
            method or filler alone, where only one has it.
        fields: Those of the request that may be given.
        names: Methods and fillers that are used, and known by name.

    Raises:
        ValueError: If a keyword is none of these, or means several.
    """
    keywords = dict(keywords)
    named = keywords.pop("settings", None) or {}
    if not isinstance(named, Mapping):
        raise ValueError(f"settings: expected a mapping as in {{'sp.patch': 41}}, got {named!r:.80}")
    keywords = {name: plain(value) for name, value in keywords.items()}
    given = {name: _field(name, value) for name, value in keywords.items() if name in fields}
    rest = {name: value for name, value in keywords.items() if name not in fields}
    texts = [f"{_place(str(key), fields, names)}={text(value)}" for key, value in {**named, **rest}.items()]
    return {key: value for key, value in given.items() if value is not None}, tuple(texts)


def index_text(place: str | int) -> str:
    """Return a class as the command takes it: a number is its index, also where names are numbers."""
    return f"{INDEX}{place}" if isinstance(place, int) else place


def text(value: Any) -> str:
    """Return a value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(text, value)) if isinstance(value, list | tuple) else str(plain(value))


_PATH, _NUMBER, _TRUTH = ((str, PathLike), "a path"), ((int, float), "a number"), ((bool,), "True or False")
_TEXT = (str,), "a text"
_KINDS: Mapping[str, tuple[tuple[Any, ...], str]] = {
    **dict.fromkeys(("weights", "judge_weights", "segmenter_weights", "fill_cache", "out"), _PATH),
    **dict.fromkeys(("until", "fill_cache_size"), _NUMBER),
    **dict.fromkeys(("multi_label", "paper", "trace", "correct_only", "baselines"), _TRUTH),
    **dict.fromkeys(("split", "preset", "attack", "holes", "judge", "segmenter", "segmenter_point"), _TEXT),
    **dict.fromkeys(("reference", "segmenter_class"), _TEXT),
    "final": ((str,), "a filler's name"),
}
"""What keywords may be that no other check looks at, and how that is said."""


def _field(name: str, value: Any) -> Any:
    if name in _KINDS and value is not None:
        kinds, words = _KINDS[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{name}: expected {words}, got {value!r:.80}")
        if value == "":
            raise ValueError(f"{name}: expected {words}, got ''")
    if name == "classes" and value is not None:
        return _classes(value)
    if name in ("target", "against") and value is not None:
        if isinstance(value, bool) or not isinstance(value, str | int):
            words = "top1" if name == "target" else "top1 or next"
            raise ValueError(f"--{name}: expected an index, a class name or {words}, got {value!r:.80}")
        return index_text(value)
    return Path(value) if _KINDS.get(name) is _PATH and value is not None else value


def _classes(value: Any) -> tuple[str, ...]:
    """Return classes as the command has them: names, or indices as texts.

    Raises:
        ValueError: If it is no list of names and indices.
    """
    each_fits = isinstance(value, Sequence) and not isinstance(value, str)
    if not each_fits or not all(isinstance(each, str | int) and not isinstance(each, bool) for each in value):
        raise ValueError(
            f"classes: expected a list of names or indices, as in ['gear', 3], got {value!r:.80}"
        )
    return tuple(map(str, value))


def _place(key: str, fields: Sequence[str], names: Sequence[str]) -> str:
    """Return the setting that a key means, as ``NAME.FIELD``."""
    if "." in key:
        return key
    entries = {**METHODS, **ALL_FILLERS}
    for name in names:
        known_name(name, [*entries, *RESERVED], "filler")  # methods were looked at
    known = {name: list(entries[name].fields()) for name in names if name in entries}
    owners = [name for name, own in known.items() if key in own]
    if len(owners) == 1:
        return f"{owners[0]}.{key}"
    if owners:
        ways = " or ".join(f"'{name}.{key}'" for name in owners)
        raise ValueError(f"{key}: {' and '.join(owners)} have it; say which, as in settings={{{ways}: ...}}")
    settings = [field for own in known.values() for field in own]
    hint = suggestion(key, [*settings, *fields]) or ";"
    whose = "; ".join(f"of {name}: {', '.join(own) or 'none'}" for name, own in known.items())
    raise ValueError(f"unknown setting {key!r}{hint} known: {', '.join(fields)}" + f"; {whose}" * bool(whose))
