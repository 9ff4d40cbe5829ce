"""What files and modules state of their classifier: how it wants its images, and what its classes are."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models.preprocessing import Preprocessing

_USUAL = Preprocessing()
_ZOOM = 256 / 224


@dataclass(frozen=True)
class Metadata:
    """The fields of `Preprocessing`, and what the classes are; ``None`` is what is not stated.

    Attributes:
        labels: The names of the classes.
        multi_label: Whether an image may be of several classes.
    """

    crop: int | None = None
    resize: int | tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    interpolation: str | None = None
    labels: tuple[str, ...] | None = None
    multi_label: bool | None = None

    def preprocessing(self, usual: Preprocessing = _USUAL) -> Preprocessing:
        """Return the usual preprocessing with what is stated in place of it.

        A crop that comes alone is of an image resized to 256/224 of it.

        Raises:
            ValueError: If the values do not go together.
        """
        names = [field.name for field in dataclasses.fields(Preprocessing)]
        stated = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.crop is not None:
            stated.setdefault("resize", round(self.crop * _ZOOM))
        return dataclasses.replace(usual, **stated)


KEYS = tuple(field.name for field in dataclasses.fields(Metadata))


def from_values(values: Mapping[str, Any], place: str) -> Metadata:
    """Return what values by some of `KEYS` state.

    Args:
        values: As JSON has them, or the attributes of a module.
        place: Where they are; errors begin with it.

    Raises:
        ValueError: If a value cannot be understood.
    """
    return _parsed(
        values,
        {
            "crop": _whole,
            "resize": _size,
            "mean": _numbers,
            "std": _numbers,
            "interpolation": str,
            "labels": _labels,
            "multi_label": _truth,
        },
        place,
    )


def from_texts(texts: Mapping[str, str], path: Path) -> Metadata:
    """Return what the texts beside the tensors of a safetensors file state.

    Without ``labels`` a list of names in ``classes`` is taken, as some tools write it.

    Raises:
        ValueError: If a text cannot be understood.
    """
    if "labels" not in texts and texts.get("classes", "").lstrip().startswith("["):
        texts = {**texts, "labels": texts["classes"]}
    return _parsed(
        texts,
        {
            "crop": int,
            "resize": int,
            "mean": lambda text: _numbers(text.split(",")),
            "std": lambda text: _numbers(text.split(",")),
            "interpolation": str,
            "labels": lambda text: _labels(json.loads(text)),
            "multi_label": lambda text: _truth(json.loads(text)),
        },
        f"weights: {path}",
    )


def class_names(labels: Sequence[str] | None, count: int, place: str) -> tuple[str, ...]:
    """Return the names of so many classes: the labels, or ``class 0`` and so on where there are none.

    Raises:
        ValueError: If there are more or fewer labels than classes; the message begins with ``place``.
    """
    if labels and len(labels) != count:
        raise ValueError(f"{place} has {count} classes, but names {len(labels)}")
    return tuple(labels or (f"class {index}" for index in range(count)))


def _parsed(values: Mapping[str, Any], parsers: Mapping[str, Callable[[Any], Any]], place: str) -> Metadata:
    stated = {}
    for key, parse in parsers.items():
        if key in values:
            try:
                stated[key] = parse(values[key])
            except (TypeError, ValueError) as error:
                raise ValueError(f"{place}: cannot understand {key} = {values[key]!r}") from error
    return Metadata(**stated)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")
    return value


def _size(value: Any) -> int | tuple[int, int]:
    if not isinstance(value, (list, tuple)):
        return _whole(value)
    tall, wide = value
    return _whole(tall), _whole(wide)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _numbers(values: Any) -> tuple[float, ...]:
    if isinstance(values, Tensor):
        values = values.flatten().tolist()
    if isinstance(values, str) or not len(values):
        raise ValueError("not a list of numbers")
    return tuple(float(value) for value in values)


def _labels(values: Any) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)):
        raise ValueError("not a list")
    return tuple(str(value) for value in values)
