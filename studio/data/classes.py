"""Which class of a classifier the data means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.data.dataset import Example

_CLASSES = {"ilsvrc": 1000, "places": 365}
"""How many classes the numbers of published data sets count."""


def class_of(example: Example, kind: str, labels: Sequence[str]) -> int:
    """Return the classifier's class that the data means.

    Raises:
        ValueError: If the classifier does not know it, or the data does not say.
    """
    label = example.label
    if label is None:
        raise ValueError(f"{example.name}: its class is not known")
    if kind == "scenes":
        from models.scenes import CLASSES

        label = CLASSES[int(label)]
    expected = _CLASSES.get(kind, len(labels))
    if expected != len(labels):
        raise ValueError(f"{example.name}: its class is one of {expected}, the classifier has {len(labels)}")
    if isinstance(label, int):
        if not 0 <= label < len(labels):
            raise ValueError(f"{example.name}: class {label} is none of the classifier's {len(labels)}")
        return label
    folded = [name.casefold() for name in labels]
    if label.casefold() not in folded:
        raise ValueError(f"{example.name}: the classifier has no class {label!r}")
    return folded.index(label.casefold())
