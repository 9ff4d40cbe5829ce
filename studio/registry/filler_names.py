"""``NAME[:CHECKPOINT][@FIELD=VALUE,...]``: one word for a filler, its weights and its settings."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FORM = re.compile(r"(?s)(?P<name>[^:@]+)(:(?P<checkpoint>[^@]+))?(@(?P<fields>.+))?")
_NEXT = re.compile(r",(?=\w+=)")


def split_names(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names, and what else the texts say in the words of ``--set``.

    A value may have commas (``gray@color=0,0,0``), a checkpoint may have colons, but no ``@``.

    Raises:
        ValueError: if a text has another form, or a name comes with two different settings.
    """
    said: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, settings = _split(text)
        if said.setdefault(name, settings) != settings:
            raise ValueError(f"--filler: {name} can be had with one checkpoint and settings at a time")
    return tuple(said), tuple(setting for settings in said.values() for setting in settings)


def _split(text: str) -> tuple[str, tuple[str, ...]]:
    form = _FORM.fullmatch(text)
    fields = _NEXT.split(form["fields"]) if form and form["fields"] else []
    if not form or not all(re.fullmatch(r"(?s)\w+=.+", field) for field in fields):
        raise ValueError(f"--filler: expected NAME[:CHECKPOINT][@FIELD=VALUE,...], got {text!r}")
    checkpoint = [f"checkpoint={form['checkpoint']}"] if form["checkpoint"] else []
    return form["name"], tuple(f"{form['name']}.{field}" for field in (*checkpoint, *fields))
