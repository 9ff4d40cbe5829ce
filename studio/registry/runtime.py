"""What runs a classifier: torch, or OpenVINO."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from studio.registry.tables import METHODS, OPTIMIZING

if TYPE_CHECKING:
    from models.classifiers import ImageClassifier

Runtime: TypeAlias = Literal["eager", "openvino", "auto"]


def running(
    classifier: ImageClassifier, runtime: Runtime, methods: Iterable[str], fixed: bool = True
) -> tuple[ImageClassifier, str]:
    """Return the classifier as it is run, and what runs it, in words.

    Args:
        classifier: As torch runs it.
        runtime: ``auto`` is OpenVINO where that is possible; the words say why not.
        methods: Names of those that will ask it.
        fixed: Whether it is the same for all images.

    Raises:
        ValueError: If there is no such runtime, or OpenVINO is asked for and cannot run this.
    """
    if runtime not in get_args(Runtime):
        raise ValueError(f"--runtime: expected one of {', '.join(get_args(Runtime))}, got {runtime}")
    if runtime == "eager":
        return classifier, "eager"
    try:
        following = [name for name in methods if name in OPTIMIZING or _needs_gradients(name)]
        if following:
            raise ValueError(f"OpenVINO gives no gradients, which {', '.join(following)} needs")
        if not fixed:
            raise ValueError("OpenVINO runs classifiers, and a box or a region is asked of another network")
        from models.classifiers.runtime import converted

        return converted(classifier), "openvino"
    except ValueError as error:
        if runtime == "openvino":
            raise ValueError(f"--runtime: {error}") from error
        return classifier, f"eager ({error})"


def _needs_gradients(name: str) -> bool:
    return name in METHODS and METHODS[name].gradients
