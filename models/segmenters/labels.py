"""The names of a segmenter's classes."""

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

_NOTHING = ("background", "unlabeled", "other")


def class_index(label: str, labels: Sequence[str]) -> int:
    """Return which class has this name.

    Raises:
        ValueError: If none has; the nearest is suggested.
    """
    if label in labels:
        return labels.index(label)
    folded = [known.casefold() for known in labels]
    near = difflib.get_close_matches(label.casefold(), folded, n=1, cutoff=0)[0]
    nearest = labels[folded.index(near)]
    expected = f"expected one of the segmenter's {len(folded)} classes, got {label!r}"
    raise ValueError(f"label: {expected}; did you mean {nearest!r}?")


def background_of(labels: Sequence[str]) -> int | None:
    """Return the class that means "nothing": the first one if its name says so, else the plainest name."""
    plain = [label.strip("_ ").casefold() for label in labels]
    if plain[:1] and plain[0] in _NOTHING:
        return 0
    return next((plain.index(name) for name in _NOTHING if name in plain), None)
