"""What runs a classifier: torch, all of it or what holes change, or OpenVINO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from studio.registry.tables import METHODS, OPTIMIZING

if TYPE_CHECKING:
    import torch

    from attribution.engine.precision import PreparedClassifier
    from infill.network import Precision
    from models.classifiers import ImageClassifier

Runtime: TypeAlias = Literal["eager", "incremental", "openvino", "auto"]

PATCHES = ("sp", "pda")
"""Methods that remove one small patch at a time."""
SAVING = 1.1
"""Where fewer times less is computed for a small hole, whole images are classified."""


def running(
    classifier: ImageClassifier,
    runtime: Runtime,
    methods: Iterable[str],
    fixed: bool = True,
    precision: Precision = "float32",
) -> tuple[ImageClassifier, str]:
    """Return the classifier as it is run, and what runs it, in words.

    Args:
        classifier: As torch runs it.
        runtime: ``auto`` is incremental for methods that remove patches, where that saves anything, else
            OpenVINO where that is possible; the words say why not.
        methods: Names of those that will ask it.
        fixed: Whether it is the same for all images.
        precision: In which torch runs it.

    Raises:
        ValueError: If there is no such runtime, or OpenVINO is asked for and cannot run this.
    """
    if runtime not in get_args(Runtime):
        raise ValueError(f"--runtime: expected one of {', '.join(get_args(Runtime))}, got {runtime}")
    asked = tuple(methods)
    if runtime == "eager":
        return classifier, "eager"
    if runtime == "incremental" or (runtime == "auto" and set(asked) <= set(PATCHES)):
        told = _followed(classifier, fixed, precision)
        if runtime == "incremental" or told.startswith("incremental"):
            return classifier, told
    try:
        return _by_openvino(classifier, asked, fixed, precision), "openvino"
    except ValueError as error:
        if runtime == "openvino":
            raise ValueError(f"--runtime: {error}") from error
        return classifier, f"eager ({error})"


def precision_kept(precision: Precision, device: torch.device, classifier: PreparedClassifier | None) -> str:
    """Return in which precision a job computes: of ``auto`` what the processor makes of it.

    Otherwise a job that goes on elsewhere could do so in another precision, unnoticed.

    Args:
        precision: That was asked for.
        device: On which fillers run, and a classifier that is made for each image.
        classifier: As it is run, if it is the same for all images; it may need float32 where fillers do not.
    """
    from infill.network import fast_dtype

    if precision != "auto":
        return precision
    fast = str(fast_dtype(device)).removeprefix("torch.")
    own = fast if classifier is None else "float32" if classifier.exact else "bfloat16"
    return fast if own == fast else f"{fast}, the classifier {own}"


def _by_openvino(
    classifier: ImageClassifier, methods: Sequence[str], fixed: bool, precision: Precision
) -> ImageClassifier:
    if precision == "bfloat16":
        raise ValueError("OpenVINO computes in float32, got --precision bfloat16")
    following = [name for name in methods if name in OPTIMIZING or _needs_gradients(name)]
    if following:
        raise ValueError(f"OpenVINO gives no gradients, which {', '.join(following)} needs")
    if not fixed:
        raise ValueError("OpenVINO runs classifiers, and a box or a region is asked of another network")
    from models.classifiers.runtime import converted

    return converted(classifier)


def _followed(classifier: ImageClassifier, fixed: bool, precision: Precision) -> str:
    """Return in words whether what holes change can be computed alone, and what that saves."""
    from attribution.engine.incremental import saving
    from attribution.engine.precision import prepare

    if not fixed:
        return "eager (incremental: a box or a region is asked of another network for each image)"
    channels, side = len(classifier.mean), classifier.crop
    if not side:
        return "eager (incremental: it does not say of which size its images are; give its preprocessing)"
    example = classifier.mean.new_zeros(1, channels, side, side)
    try:
        times = saving(prepare(classifier, precision, example), example)
    except ValueError as error:
        return f"eager (incremental: {error})"
    if times < SAVING:
        return f"eager (incremental: its layers see whole maps, a small hole saves {1 - 1 / times:.0%})"
    return f"incremental ({times:.1f} times less is computed for a hole of an eighth of each side)"


def _needs_gradients(name: str) -> bool:
    return name in METHODS and METHODS[name].gradients
