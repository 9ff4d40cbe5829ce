"""What was chosen with ``--set``, and what the presets chose."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from studio.registry.build import EVERY_FILLER, METHODS, Settings
from studio.registry.fields import known, typed


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
        ValueError: if a text has another form, or names what is unknown or not used.
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
