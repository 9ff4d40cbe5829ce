"""Short texts for numbers and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from torch import Tensor, nn


def settings_line(thing: object, hidden: Collection[str] = (), count: int = 4) -> str:
    """Return settings in a line: the first numbers, and what is not as usual; without the ``hidden`` ones."""
    shown = []
    for field in dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ():
        value = getattr(thing, field.name)
        if not field.init or field.name in {"seed", *hidden} or isinstance(value, Tensor | nn.Module):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number or value != field.default:
            shown.append(f"{field.name} {value:g}" if number else f"{field.name} {value}")
    return ", ".join(shown[:count])


def percent(share: float) -> str:
    """Write a share as it is told."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"
