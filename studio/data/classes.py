"""Which class of a classifier the data means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

    from studio.data.annotation import Label
    from studio.data.example import Dataset, Example

_CLASSES = {"ilsvrc": 1000, "places": 365}
"""How many classes the numbers of published data sets count."""


def class_of(example: Example, kind: str, labels: Sequence[str]) -> int:
    """Return the classifier's class that the data means.

    Raises:
        ValueError: If the classifier does not know it, or the data does not say.
    """
    if example.label is None:
        raise ValueError(f"{example.name}: its class is not known")
    try:
        return _place(example.label, kind, labels)
    except ValueError as error:
        raise ValueError(f"{example.name}: {error}") from error


def others_of(
    example: Example, kind: str, labels: Sequence[str], target: int
) -> dict[int, Int[Tensor, "o 4"]]:
    """Return the boxes of other classes than the target's, by the classifier's class, where it knows it."""
    found: dict[int, list[Tensor]] = {}
    for label, boxes in (example.others or {}).items():
        with suppress(ValueError):  # what the classifier knows nothing of it cannot see
            found.setdefault(_place(label, kind, labels), []).append(boxes)
    return {place: torch.cat(boxes) for place, boxes in found.items() if place != target}


def shows_several(data: Dataset, photographs: Collection[str], labels: Sequence[str]) -> bool:
    """Whether any of some photographs is known to show several of the classifier's classes."""
    if data.kind == "scenes":  # they would be drawn to know which
        return True
    for index, photograph in enumerate(data.photographs):
        if photograph not in photographs:
            continue
        known = set()
        with suppress(ValueError):  # reading the example will say what is wrong
            for label in data.classes(index):
                with suppress(ValueError):
                    known.add(_place(label, data.kind, labels))
        if len(known) > 1:
            return True
    return False


def unknown(data: Dataset, example: Example, labels: Sequence[str]) -> ValueError | None:
    """Return why the classifier knows no class of the data; ``None`` if it knows that of any image.

    A single wrong one is that image's error. ``example`` is one that was read, and asked first.
    """
    try:
        class_of(example, data.kind, labels)
        return None
    except ValueError as error:
        reason = error
    for index in range(len(data)):
        with suppress(ValueError):  # reading the example will say what is wrong
            for label in data.classes(index)[:1]:
                _place(label, data.kind, labels)
                return None
    return reason


def _place(label: Label, kind: str, labels: Sequence[str]) -> int:
    if kind == "scenes" and isinstance(label, int):
        from models.scenes import CLASSES

        label = CLASSES[label]
    expected = _CLASSES.get(kind, len(labels))
    if expected != len(labels):
        raise ValueError(f"its class is one of {expected}, the classifier has {len(labels)}")
    if isinstance(label, int):
        if not 0 <= label < len(labels):
            raise ValueError(f"class {label} is none of the classifier's {len(labels)}")
        return label
    places = [index for index, name in enumerate(labels) if name.casefold() == label.casefold()]
    if not places:
        raise ValueError(f"the classifier has no class {label!r}")
    if len(places) > 1:
        raise ValueError(f"{label!r} is the name of classes {' and '.join(map(str, places))}; give indices")
    return places[0]
