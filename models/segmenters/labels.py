"""The names of a segmenter's classes."""

from collections.abc import Sequence

from models.spelling import suggestion

_NOTHING = ("background", "unlabeled", "other")


def class_index(label: str, labels: Sequence[str]) -> int:
    """Return which class has this name.

    Raises:
        ValueError: If none has; the nearest is suggested.
    """
    if label in labels:
        return labels.index(label)
    expected = f"expected one of the segmenter's {len(labels)} classes, got {label!r}"
    raise ValueError(f"label: {expected}{suggestion(label, labels, cutoff=0.0)}")


def background_of(labels: Sequence[str]) -> int | None:
    """Return the class that means "nothing": the first one if its name says so, else the plainest name."""
    plain = [label.strip("_ ").casefold() for label in labels]
    if plain[:1] and plain[0] in _NOTHING:
        return 0
    return next((plain.index(name) for name in _NOTHING if name in plain), None)
