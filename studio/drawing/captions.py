"""Short texts for numbers and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
from torch import Tensor, nn

_LARGE = (Tensor, np.ndarray, nn.Module)


def settings_line(thing: object, hidden: Collection[str] = (), count: int = 4) -> str:
    """Return settings in a line: the first numbers, and what is not as usual; without the ``hidden`` ones.

    Arrays and networks are left out.
    """
    shown = []
    for field in dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ():
        value = getattr(thing, field.name)
        if not field.init or field.name in {"seed", *hidden} or isinstance(value, _LARGE):
            continue
        value = value.item() if isinstance(value, np.generic) else value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number or value != field.default:
            shown.append(f"{field.name} {value:g}" if number else f"{field.name} {value}")
    return ", ".join(shown[:count])


def percent(share: float) -> str:
    """Write a share as it is told."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def colors_mean(target: str, against: str | None, signed: Collection[bool]) -> str:
    """Return what the colors of heatmaps mean, some of which may be signed, without a full stop.

    Args:
        target: What is explained.
        against: What it is compared with, if it is.
        signed: Whether maps speak for the target above 0 and against it below.
    """
    if not any(signed):
        return f"Red is what counts for {target}, the deeper the more"
    text = f"Red speaks for {target}, blue {'against it' if against is None else f'for {against}'}"
    return text if all(signed) else f"{text} (no blue: only what counts for it)"
