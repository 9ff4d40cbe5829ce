"""Texts like ``blur@sigma=5`` are taken apart, and one filler in several settings gets a name for each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from studio.files import alike
from studio.registry.tables import SettingTexts

_FILLER = re.compile(r"(?s)(?P<name>[^:@]+)(:(?P<checkpoint>[^@]+))?(@(?P<fields>.+))?")
_COMMA = re.compile(r",(?=\w+=)")
_UNFIT = re.compile(r"[^\w.,;+()-]|-(?=-)")
"""What is not for the name of a file; nor is what stands between a method and a filler (``--``)."""
_LONGEST = 100
"""So many bytes of a name are shown: it becomes a file's, with more before and behind it."""


def split_fillers(texts: Sequence[str]) -> tuple[tuple[str, ...], SettingTexts]:
    """Split ``NAME[:CHECKPOINT][@FIELD=VALUE,...]`` into names and settings; equal ones are one.

    A value may have commas (``gray@color=0,0,0``), a checkpoint may have colons, but no ``@``.

    Returns:
        The names, as of `names_of`, and the settings of those that have any; a checkpoint is one.

    Raises:
        ValueError: As for `names_of`.
    """
    names = names_of(texts)
    settings = {names[text]: _split(text)[1] for text in texts}
    return tuple(settings), {name: its for name, its in settings.items() if its}


def names_of(texts: Sequence[str]) -> dict[str, str]:
    """Return by text what each filler is called.

    That is its own name, ``blur``. Where it comes in several settings, those that differ from one to the
    other are added: ``blur``, ``blur@sigma=5``, ``lama@checkpoint=FILE``.

    Raises:
        ValueError: If a text has another form, or two that differ could not be told apart.
    """
    parts = {text: _split(text) for text in texts}
    names = {text: _name(kind, its, _others(kind, parts.values())) for text, (kind, its) in parts.items()}
    first: dict[tuple[str, str], str] = {}
    for text, name in names.items():
        other = first.setdefault((kind_of(name), alike(name)), text)
        if parts[other] != parts[text]:
            raise ValueError(f"--filler: {other} and {text} would both be called {name}; run one at a time")
    return names


def kind_of(name: str) -> str:
    """Return which filler it is that is called so."""
    return name.partition("@")[0]


def kinds_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return which fillers are asked for, in whatever settings.

    Raises:
        ValueError: If a text has another form.
    """
    return tuple(dict.fromkeys(_split(text)[0] for text in texts))


def _others(kind: str, parts: Iterable[tuple[str, Mapping[str, str]]]) -> list[Mapping[str, str]]:
    return [settings for each, settings in parts if each == kind]


def _name(kind: str, settings: Mapping[str, str], every: Sequence[Mapping[str, str]]) -> str:
    """Return the filler's name, with those of its settings that are not the same in all of ``every``."""
    differing = [
        f"{field}={_fit(field, text)}"
        for field, text in sorted(settings.items())
        if any(other.get(field) != text for other in every)
    ]
    name = kind + "@" * bool(differing) + ",".join(differing)
    if len(name.encode()) <= _LONGEST:
        return name
    digest = hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:8]
    return f"{name.encode()[:_LONGEST].decode('utf-8', 'ignore').rstrip('-')}-{digest}"


def _fit(field: str, text: str) -> str:
    short = PurePath(text).name if field == "checkpoint" else text
    return _UNFIT.sub("_", short)


def _split(text: str) -> tuple[str, dict[str, str]]:
    form = _FILLER.fullmatch(text)
    fields = _COMMA.split(form["fields"]) if form and form["fields"] else []
    if not form or not all(re.fullmatch(r"(?s)\w+=.+", field) for field in fields):
        raise ValueError(f"--filler: expected NAME[:CHECKPOINT][@FIELD=VALUE,...], got {text!r}")
    checkpoint = {"checkpoint": form["checkpoint"]} if form["checkpoint"] else {}
    return form["name"], {**checkpoint, **dict(field.split("=", 1) for field in fields)}
