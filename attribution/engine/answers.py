"""What classifiers answer, read as logits; and whether they answer the same twice."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

_SAME = 1e-3
"""By which share of the largest logit two answers may differ by rounding alone."""
_OF_ONE = 1e-3
"""By how much the sum of probabilities may differ from 1, also in half precision."""
_BESIDE = 1e-2
"""The same where batches are of different size: half precision then rounds otherwise."""


def logits_of(answer: object, images: int) -> Float[Tensor, "n k"]:
    """Return the logits in what a classifier answers for so many images, in float32.

    They are the answer itself, its ``logits`` (an attribute or a key), or the one tensor in a dict, a tuple
    or a list.

    Raises:
        ValueError: If that is not one row of logits for each image.
    """
    logits = _tensor(answer)
    if isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == images:
        return logits.to(torch.float32, copy=True)  # its memory may be used for the next answer
    came = tuple(logits.shape) if isinstance(logits, Tensor) else _described(logits)
    remedy = "; give lambda x: model(x)[0], or whatever takes them out" if _several(logits) else ""
    if isinstance(logits, Tensor) and logits.shape == (images,):
        remedy = "; of one class, give lambda x: model(x)[:, None]"
    raise ValueError(
        f"classifier must return logits of shape (images, classes), got {came} for {images}{remedy}"
    )


def _tensor(answer: object) -> object:
    if isinstance(answer, Tensor):
        return answer
    logits = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if logits is not None:
        return logits
    values = list(answer.values()) if isinstance(answer, Mapping) else answer
    alone = isinstance(values, Sequence) and len(values) == 1 and isinstance(values[0], Tensor)
    return values[0] if isinstance(values, Sequence) and alone else answer


def _several(answer: object) -> bool:
    return isinstance(answer, Mapping | tuple | list)


def _described(answer: object) -> str:
    name = type(answer).__name__
    if isinstance(answer, Mapping):
        return f"{name} with the keys {', '.join(map(str, answer))}"
    return f"{name} of {len(answer)}" if isinstance(answer, tuple | list) else name


class UnsteadyClassifierWarning(UserWarning):
    """A classifier answers differently when it is asked again."""


class ProbabilitiesWarning(UserWarning):
    """A classifier seems to return probabilities where logits are meant."""


def warn_if_probable(logits: Float[Tensor, "n k"]) -> None:
    """Warn if numbers that a softmax is about to be taken of look as if they had come out of one."""
    of_one = bool(((logits.sum(1) - 1).abs() < _OF_ONE).all()) and bool((logits >= 0).all())
    if of_one and bool((logits != logits.round()).any()):  # whole numbers are somebody's stand-in
        warnings.warn(
            "classifier seems to return probabilities, whose softmax says nearly the same of all classes; "
            "give what comes before its softmax, or lambda x: model(x).clamp_min(1e-30).log()",
            ProbabilitiesWarning,
            stacklevel=3,
        )


def warn_unless_same(first: Float[Tensor, "n k"], second: Float[Tensor, "n k"]) -> bool:
    """Warn if a classifier gave other logits when asked again about the same images; return if it did not."""
    asked = "when asked twice about the same image", "heatmaps will show it", "dropout is on"
    return _steady(first, second, _SAME, *asked)


def warn_unless_alone(
    truth: Float[Tensor, "n k"], classifier: Callable[[Tensor], Tensor], images: Float[Tensor, "n c h w"]
) -> None:
    """Warn if a classifier's logits of images are others beside other images, as in training mode."""
    try:
        beside = classifier(torch.cat([images, 1 - images]))[: len(images)]
    except RuntimeError:  # it takes so many at once and no more
        return
    asked = "about an image that is not alone in its batch", "heatmaps will depend on the batch size"
    _steady(truth, beside, _BESIDE, *asked, "batch normalization is in training mode")


def _steady(first: Tensor, second: Tensor, share: float, asked: str, effect: str, cause: str) -> bool:
    """Return whether logits differ by no more than a share of the largest; warn if they do."""
    finite = first.isfinite() & second.isfinite()
    gap = float((first - second).where(finite, 0).abs().max())
    scale = float(first.where(finite, 0).abs().max())
    if gap <= share * scale:
        return True
    warnings.warn(
        f"classifier answers differently {asked}: logits by up to {gap:.3g}, of at most {scale:.3g}; {effect}"
        f". Call .eval() where {cause}, or say Execution(deterministic=False)",
        UnsteadyClassifierWarning,
        stacklevel=3,
    )
    return False
