"""What the classifier sees when more and more of the evidence is removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from attribution import MaskedScore
from infill import Filler
from models.classifiers import ImageClassifier

SHARES = (
    0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.055, 0.075, 0.1, 0.13, 0.17, 0.22, 0.3, 0.4, 0.55, 0.75, 1.0,
)  # fmt: skip
"""How much of the view is removed, stage by stage: finely where most happens."""
TOP = 5


@dataclass(frozen=True)
class Seen:
    """What a classifier sees: its best classes with their probabilities, and the one that is explained.

    Attributes:
        best: Names with probabilities, best first.
        against: The class that it is compared with, and its probability, if it is.
    """

    best: Sequence[tuple[str, float]]
    target: str
    probability: float
    against: tuple[str, float] | None = None

    @property
    def asked(self) -> list[tuple[str, float]]:
        """The classes that are asked for."""
        return [(self.target, self.probability), *([] if self.against is None else [self.against])]


@dataclass(frozen=True, eq=False)
class Stage:
    """The picture with so much of it removed."""

    share: float
    image: Float[Tensor, "3 h w"]
    hole: Float[Tensor, "h w"]
    seen: Seen


def removal(
    score: MaskedScore,
    heatmap: Float[Tensor, "h w"],
    classifier: ImageClassifier,
    shares: Sequence[float] = SHARES,
    progress: Callable[[int], object] = lambda done: None,
) -> list[Stage]:
    """Remove the pixels with the largest values first, as a deletion curve does, and look at every stage.

    Args:
        score: Of one image; its filler fills the holes.
        heatmap: Large where there is evidence. Among equal values the upper ones go first.
        classifier: That of the score, which knows its classes' names.
        shares: Of all pixels, 0 to 1.
        progress: Told how many stages are done.
    """
    order = torch.argsort(heatmap.flatten(), descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    once, stages = score.with_sampling(samples=1), list[Stage]()
    for share in shares:
        hole = (rank < round(share * len(order))).view(1, 1, *heatmap.shape).to(score.image)
        image = once.perturbed(hole) if hole.any() else score.image
        stages.append(Stage(share, image[0].cpu(), hole[0, 0].cpu(), looks(score, image, classifier)[0]))
        progress(len(stages))
    return stages


def looks(
    score: MaskedScore,
    images: Float[Tensor, "n 3 h w"],
    classifier: ImageClassifier,
    against: int | None = None,
) -> list[Seen]:
    """Return what the classifier sees in other images of the same view, by the score's own preparation."""
    target = int(score.target[0]) if isinstance(score.target, Tensor) else int(score.target)  # type: ignore[arg-type]
    logits = replace(score, image=images, around=None, target=target).clean_logits
    found = classifier.probabilities(logits).cpu()
    return [seen(each, target, classifier.labels, against) for each in found]


def seen(
    probabilities: Float[Tensor, " k"], target: int, labels: Sequence[str], against: int | None = None
) -> Seen:
    """Return the best classes of probabilities, and those that are asked for."""
    best = probabilities.topk(min(TOP, len(probabilities)))
    names = [
        (labels[index], value)
        for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    other = None if against is None else (labels[against], float(probabilities[against]))
    return Seen(names, labels[target], float(probabilities[target]), other)


def within(score: MaskedScore, filler: Filler) -> MaskedScore:
    """Return the score with another filler."""
    return replace(score, filler=filler)
