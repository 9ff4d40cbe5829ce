"""What the classifier sees when more and more of the evidence is removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from attribution import Against, MaskedScore
from infill import Filler
from models.classifiers import ImageClassifier

SHARES = (
    0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.055, 0.075, 0.1, 0.13, 0.17, 0.22, 0.3, 0.4, 0.55, 0.75, 1.0,
)  # fmt: skip
"""How much of the view is removed, stage by stage: finely where most happens."""
TOP = 5


class Row(NamedTuple):
    """A class and how probable it is: the target, what that is compared with (against), or any other."""

    name: str
    probability: float
    role: Literal["target", "against", ""] = ""


@dataclass(frozen=True)
class Seen:
    """What a classifier sees.

    Attributes:
        first: The number of the best class: several may be of one name.
        rows: The best classes, best first, and then those that are asked for and not among them.
        target: The name of the class that is explained.
        probability: How probable that is.
    """

    first: int
    rows: Sequence[Row]
    target: str
    probability: float

    @property
    def compared(self) -> bool:
        """Whether there is a class that the target is compared with."""
        return any(row.role == "against" for row in self.rows)


@dataclass(frozen=True, eq=False)
class Stage:
    """The picture with so much of it removed, what is then seen in it, and its score."""

    share: float
    image: Float[Tensor, "3 h w"]
    hole: Float[Tensor, "h w"]
    seen: Seen
    score: float


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
        left = _of(score, image)
        (found,) = _seen(left, classifier)
        stages.append(Stage(share, image[0].cpu(), hole[0, 0].cpu(), found, float(left.clean)))
        progress(len(stages))
    return stages


def looks(score: MaskedScore, images: Float[Tensor, "n 3 h w"], classifier: ImageClassifier) -> list[Seen]:
    """Return what the classifier sees in other images of the same view, by the score's own preparation."""
    return _seen(_of(score, images), classifier)


def _of(score: MaskedScore, images: Float[Tensor, "n 3 h w"]) -> MaskedScore:
    """Return the score of other images of the same view, for the same class."""
    target = int(score.target[0]) if isinstance(score.target, Tensor) else int(score.target)  # type: ignore[arg-type]
    return replace(score, image=images, around=None, target=target)


def _seen(score: MaskedScore, classifier: ImageClassifier) -> list[Seen]:
    target = int(score.target[0])  # type: ignore[index]  # it is a tensor, once the score is made
    against = score.link.other if isinstance(score.link, Against) else None
    found = classifier.probabilities(score.clean_logits).cpu()
    return [seen(each, target, classifier.labels, against) for each in found]


def seen(
    probabilities: Float[Tensor, " k"], target: int, labels: Sequence[str], against: int | None = None
) -> Seen:
    """Return the best classes of probabilities, and those that are asked for."""
    best: list[int] = probabilities.topk(min(TOP, len(probabilities))).indices.tolist()
    roles: dict[int | None, Literal["target", "against"]] = {against: "against", target: "target"}
    asked = (each for each in (target, against) if each is not None and each not in best)
    rows = [
        Row(labels[index], float(probabilities[index]), roles.get(index, "")) for index in (*best, *asked)
    ]
    return Seen(best[0], rows, labels[target], float(probabilities[target]))


def within(score: MaskedScore, filler: Filler) -> MaskedScore:
    """Return the score with another filler."""
    return replace(score, filler=filler)
