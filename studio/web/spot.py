"""The samples that speak for a spot of the map, and those that speak against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attribution import MaskedScore
from attribution.explainer import SamplingExplainer
from attribution.holes import Holes, batches
from models.classifiers import ImageClassifier
from studio.web.removal import Seen, looks

SHOWN = 4
_LARGE = 0.2
"""Holes of this share of the view on average are large: what they leave standing is worth a look, too."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A composite that the method looked at."""

    image: Float[Tensor, "3 h w"]
    hole: Float[Tensor, "h w"]
    seen: Seen


@dataclass(frozen=True, eq=False)
class Spot:
    """What the samples say of a spot.

    Attributes:
        value: The map's value there.
        clean: The score of the untouched image.
        removed: The samples without the spot whose score is lowest.
        kept: Those with the spot whose score is highest although much else is removed; none where holes are
            small.
        without: How many samples removed the spot, and their mean score.
        with_it: How many left it standing, and their mean score.
        anew: Whether the samples that are shown are filled otherwise than those that were scored.
    """

    row: int
    column: int
    value: float
    clean: float
    removed: Sequence[Sample]
    kept: Sequence[Sample]
    without: tuple[int, float]
    with_it: tuple[int, float]
    anew: bool


def spot(
    method: SamplingExplainer,
    score: MaskedScore,
    scores: Sequence[float],
    heatmap: Float[Tensor, "h w"],
    classifier: ImageClassifier,
    place: tuple[int, int],
) -> Spot:
    """Return what the samples of a method say of the pixel at ``place`` (row, column).

    Args:
        method: It makes its holes again, the same as before.
        score: What it asked.
        scores: What it was told, sample by sample.
        heatmap: What came of it.
        classifier: That of the score.
        place: Inside the view.

    Raises:
        ValueError: If the place is outside, or there are no samples.
    """
    row, column = place
    height, width = heatmap.shape
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"spot: expected a pixel inside {height} x {width}, got {row}, {column}")
    if not scores:
        raise ValueError("spot: this method looks for one hole step by step; it has no samples to show")
    holes = method.holes(score)
    gone, area = _gone(holes, len(scores), place, score.execution.batch_size)
    told = torch.tensor(scores)
    order = told.argsort()
    lowest = [int(i) for i in order if gone[i] >= 0.5][:SHOWN]
    highest = [int(i) for i in order.flip(0) if gone[i] < 0.5][:SHOWN] if area >= _LARGE else []
    without, with_it = gone >= 0.5, gone < 0.5
    return Spot(
        row,
        column,
        float(heatmap[row, column]),
        float(score.clean),
        _samples(score, holes, lowest, classifier),
        _samples(score, holes, highest, classifier),
        (int(without.sum()), _mean(told[without])),
        (int(with_it.sum()), _mean(told[with_it])),
        score.filler.stochastic,
    )


def _gone(holes: Holes, count: int, place: tuple[int, int], size: int) -> tuple[Tensor, float]:
    """Return how far each of so many holes removes a pixel, and the share that they remove on average."""
    found, area, row, column = [], 0.0, *place
    for some in batches(holes, size):
        found.append(some[:, 0, row, column].cpu())
        area += float(some.mean(dim=(1, 2, 3)).sum())
    return torch.cat(found)[:count], area / max(len(holes), 1)


def _samples(
    score: MaskedScore, holes: Holes, numbers: Sequence[int], classifier: ImageClassifier
) -> list[Sample]:
    if not numbers:
        return []
    some = torch.cat([holes[number : number + 1] for number in numbers])
    images = score.with_sampling(samples=1).perturbed(some)
    return [
        Sample(image.cpu(), hole[0].cpu(), seen)
        for image, hole, seen in zip(images, some, looks(score, images, classifier), strict=True)
    ]


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else float("nan")
