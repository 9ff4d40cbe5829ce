"""What was chosen with ``--set``, and what the presets chose."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

import torch

from studio.registry.fields import known, typed
from studio.registry.tables import EVERY_FILLER, METHODS, Settings


def shortcuts(names: Iterable[str], settings: Settings) -> str:
    """Return in a line where the quick settings of these methods differ from their papers'."""
    told = []
    for name in names:
        defaults = {field.name: field.default for field in dataclasses.fields(METHODS[name].load())}
        for key, value in METHODS[name].quick.items():
            if key not in settings.get(name, {}):
                told.append(f"{name}.{key} {value} (paper: {defaults[key]})")
    return ", ".join(told)


def parse_settings(pairs: Sequence[str], used: Sequence[str]) -> Settings:
    """Sort texts like ``sp.patch=41`` by the methods and fillers that are ``used``, and check them all.

    Raises:
        ValueError: If a text has another form, or names what is unknown or not used.
    """
    settings: dict[str, dict[str, str]] = {}
    for pair in pairs:
        place, equals, value = pair.partition("=")
        name, dot, field_name = place.partition(".")
        if not (name and dot and field_name and equals):
            raise ValueError(f"--set: expected NAME.FIELD=VALUE, as in sp.patch=41, got {pair!r}")
        known(name, [*METHODS, *EVERY_FILLER], "method or filler in --set")
        # LIME's superpixels serve mean-segment too.
        if name not in used and not (name == "lime" and "mean-segment" in used):
            raise ValueError(f"--set {pair}: {name} is not used here; used: {', '.join(used)}")
        settings.setdefault(name, {})[field_name] = value
    for name, texts in settings.items():
        typed(name, {**METHODS, **EVERY_FILLER}[name].fields(), texts)
    return settings


def parse_device(name: str) -> torch.device:
    """Return the device of this name; ``auto`` is a GPU if there is one.

    Raises:
        ValueError: If it cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device: {name!r} cannot be used here; try cpu") from error
    return device


_FORM = re.compile(r"(?s)(?P<name>[^:@]+)(:(?P<checkpoint>[^@]+))?(@(?P<fields>.+))?")
_NEXT = re.compile(r",(?=\w+=)")


def split_names(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names, and what else the texts say in the words of ``--set``.

    A value may have commas (``gray@color=0,0,0``), a checkpoint may have colons, but no ``@``.

    Raises:
        ValueError: If a text has another form, or a name comes with two different settings.
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
