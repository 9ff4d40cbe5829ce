"""A hole that somebody has drawn, as each filler completes it, and what the classifier then sees."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attribution import MaskedScore
from models.classifiers import ImageClassifier
from studio.explain.inputs import InputImage
from studio.registry.build import build_filler
from studio.registry.tables import ALL_FILLERS
from studio.web.removal import Seen, looks

USUAL = ("gray", "blur", "telea", "inpaint", "exemplar")
"""The fillers that are shown unless others are chosen."""


@dataclass(frozen=True, eq=False)
class Completion:
    """A hole as one filler completes it.

    Attributes:
        image: In the classifier's view; ``None`` if the filler cannot fill this hole.
        seconds: What the fill took.
        error: Why there is none.
    """

    name: str
    summary: str
    image: Float[Tensor, "3 h w"] | None
    seen: Seen | None
    seconds: float = 0.0
    error: str = ""


def completions(
    image: InputImage,
    hole: Float[Tensor, "h w"],
    fillers: Sequence[str],
    classifier: ImageClassifier,
    score: MaskedScore,
) -> Iterator[Completion]:
    """Yield the untouched view, and each filler's completion as soon as it is there.

    Args:
        image: The picture.
        hole: 1 where it is removed, in the classifier's view.
        fillers: Names.
        classifier: Who looks.
        score: Of the picture's view, for this classifier.

    Raises:
        ValueError: If the hole does not have the size of the view.
    """
    view = score.image[0]
    if hole.shape != view.shape[1:]:
        raise ValueError(f"hole: expected {tuple(view.shape[1:])} as the view, got {tuple(hole.shape)}")
    yield Completion("original", "nothing removed", view.cpu(), looks(score, view[None], classifier)[0])
    if not hole.any():
        return
    for name in fillers:
        begun = time.perf_counter()
        try:
            filled = _filled(image, hole, name, classifier, score)
        except ValueError as error:
            yield Completion(name, ALL_FILLERS[name].summary, None, None, error=str(error))
            continue
        seconds = time.perf_counter() - begun
        (seen,) = looks(score, filled[None], classifier)
        yield Completion(name, ALL_FILLERS[name].summary, filled.cpu(), seen, seconds)


def _filled(
    image: InputImage, hole: Tensor, name: str, classifier: ImageClassifier, score: MaskedScore
) -> Float[Tensor, "3 h w"]:
    device = score.image.device
    filler = build_filler(
        name, {}, score.image[0], "float32", lambda change: classifier.view(change(image.pixels.to(device)))
    )
    once = replace(score, filler=filler).with_sampling(samples=1)
    return once.perturbed(hole[None, None].to(score.image))[0]


def packed(hole: Float[Tensor, "h w"]) -> str:
    """Return a hole as text: a bit a pixel, row by row, in base64."""
    return base64.b64encode(np.packbits(hole.numpy() >= 0.5).tobytes()).decode()


def unpacked(text: str, side: int) -> Float[Tensor, "side side"]:
    """Return the hole that a page has sent.

    Raises:
        ValueError: If it is not of this size.
    """
    try:
        bits = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValueError("hole: what the page has sent is no hole; reload the page") from error
    expected = (side * side + 7) // 8
    if len(bits) != expected:
        raise ValueError(f"hole: expected {side} x {side} pixels in {expected} bytes, got {len(bits)} bytes")
    hole = np.unpackbits(np.frombuffer(bits, np.uint8), count=side * side)
    return torch.from_numpy(hole.reshape(side, side).astype(np.float32))
