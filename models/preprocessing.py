"""How networks from elsewhere want their images, and what they call their classes: checked and completed."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

KEYS = ("crop", "resize", "mean", "std", "interpolation", "labels", "multi_label")
_CROP = 224


def completed(said: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return what `ImageClassifier` takes beside the network; what is not said is ImageNet's usual.

    A crop that comes alone is of an image resized to 256/224 of it. Without labels there are none.

    Args:
        said: Values by some of `KEYS`.
        place: Where it was said; errors begin with it.

    Raises:
        ValueError: If a value cannot be understood.
    """
    crop = _read(said, "crop", _whole, _CROP, place)
    return {
        "crop": crop,
        "resize": _read(said, "resize", _resize, round(crop * 256 / 224), place),
        "mean": _read(said, "mean", _numbers, IMAGENET_MEAN, place),
        "std": _read(said, "std", _numbers, IMAGENET_STD, place),
        "interpolation": _read(said, "interpolation", str, "bilinear", place),
        "labels": _read(said, "labels", _labels, (), place),
        "multi_label": _read(said, "multi_label", _truth, False, place),
    }


def metadata(texts: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Return what the text beside a safetensors file's tensors says, as values by some of `KEYS`.

    Raises:
        ValueError: If a text cannot be understood.
    """
    place = f"weights: {path}"
    reading: dict[str, Callable[[str], Any]] = {
        "crop": int,
        "resize": int,
        "mean": lambda text: _numbers(text.split(",")),
        "std": lambda text: _numbers(text.split(",")),
        "labels": lambda text: _labels(json.loads(text)),
        "multi_label": lambda text: _truth(json.loads(text)),
    }
    return {key: _read(texts, key, reading.get(key, str), None, place) for key in KEYS if key in texts}


def named(labels: Sequence[str], count: int, place: str) -> tuple[str, ...]:
    """Return the names of so many classes: the labels, or ``class 0`` and so on where there are none.

    Raises:
        ValueError: If there are more or fewer labels than classes.
    """
    if labels and len(labels) != count:
        raise ValueError(f"{place} has {count} classes, but names {len(labels)}")
    return tuple(labels) or tuple(f"class {index}" for index in range(count))


def refuse_weights(weights: Path | None, name: str) -> None:
    """Refuse a file of weights for what comes with its own.

    Raises:
        ValueError: If there is one.
    """
    if weights is not None:
        raise ValueError(f"weights: expected none, for {name} comes with its own, got {weights}")


def _read(said: Mapping[str, Any], key: str, parse: Callable[[Any], Any], default: Any, place: str) -> Any:
    if key not in said:
        return default
    try:
        return parse(said[key])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: cannot understand {key} = {said[key]!r}") from error


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")
    return value


def _resize(value: Any) -> int | tuple[int, int]:
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
