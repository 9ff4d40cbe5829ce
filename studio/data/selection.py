"""Some of a data set's examples: of certain classes, drawn by chance, the first so many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from models.spelling import suggestion

if TYPE_CHECKING:
    from studio.data.annotation import Label
    from studio.data.example import Case, Dataset

Targets: TypeAlias = Literal["one", "every"]
"""Of an image that shows several classes: the one that is largest, or every one in turn."""
Looking: TypeAlias = Callable[[int, int], object]
"""Told how many of how many images have been asked for their classes."""
_TOLD = 20


def unwatched(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Selection:
    """Which examples are meant; each step chooses among what the ones before have left.

    Attributes:
        targets: Whether an image counts once, or once for every class that it is known to show.
        classes: Only examples of these classes: an index, or a name; none: of all.
        sample: So many, drawn by chance; in the data's order.
        seed: Of that draw.
        limit: The first so many.

    Raises:
        ValueError: If a number is below 1.
    """

    targets: Targets = "one"
    classes: Sequence[str] = ()
    sample: int | None = None
    seed: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("sample", "limit"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"--{name}: expected 1 or more, got {number}")


def select(
    data: Dataset,
    selection: Selection,
    labels: Sequence[str] = (),
    progress: Looking = unwatched,
) -> Dataset:
    """Return the examples of a data set that are meant.

    An image whose classes cannot be read keeps its place, unless classes are asked for: reading it says what
    is wrong.

    Args:
        data: All of them.
        selection: What is asked for.
        labels: The names of the classes that the data counts, so that they can be asked for by name.
        progress: Told how it goes.

    Raises:
        ValueError: If the data says nothing of classes, knows none that is asked for, or has fewer examples
            than are to be drawn.
    """
    cases: list[Case] = [(index, None) for index in range(len(data))]
    if selection.targets == "every" or selection.classes:
        if "labels" not in data.offers:
            option = "--classes" if selection.classes else "--targets every"
            raise ValueError(f"{option}: {data.title} does not say what its images show")
        cases = list(_of_classes(data, selection, labels, progress))
    if selection.sample is not None:
        if selection.sample > len(cases):
            raise ValueError(f"--sample: expected at most the {len(cases)} examples, got {selection.sample}")
        import numpy as np

        drawn = np.random.default_rng(selection.seed).choice(len(cases), selection.sample, replace=False)
        cases = [cases[index] for index in sorted(drawn.tolist())]
    cases = cases[: selection.limit]
    return data if len(cases) == len(data) and selection.targets == "one" else data.only(cases)


def _of_classes(
    data: Dataset,
    selection: Selection,
    labels: Sequence[str],
    progress: Looking,
) -> Iterator[Case]:
    wanted, every = {name.casefold() for name in selection.classes}, selection.targets == "every"
    seen: dict[str, str] = {}
    for index in range(len(data)):
        shown = _shown(data, index)
        if not shown and not wanted:
            yield index, None
        for label in shown if every else shown[:1]:
            words = {word.casefold(): word for word in _words(label, labels)}
            seen.update(words)
            if not wanted or wanted & words.keys():
                yield index, label if every else None
        progress(index + 1, len(data))
    _check_seen(data, selection.classes, seen)


def _shown(data: Dataset, index: int) -> Sequence[Label]:
    try:
        return data.classes(index)
    except ValueError:  # reading the example will say what is wrong
        return []


def _check_seen(data: Dataset, classes: Sequence[str], seen: Mapping[str, str]) -> None:
    for name in classes:
        if name.casefold() not in seen:
            known = [seen[word] for word in sorted(seen)]
            more = f" and {len(known) - _TOLD} more" if len(known) > _TOLD else ""
            near = "" if name.isdecimal() else suggestion(name, known)  # no index is meant for another
            hint = near or f"; it has {', '.join(known[:_TOLD])}{more}"
            raise ValueError(f"--classes: {data.title} has no image of {name!r}{hint}")


def _words(label: Label, labels: Sequence[str]) -> list[str]:
    """Return how a class can be called: by its index, and by its name where that is known."""
    if isinstance(label, str):
        return [label]
    return [str(label), *([labels[label]] if 0 <= label < len(labels) else [])]
