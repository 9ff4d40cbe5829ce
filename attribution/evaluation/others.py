"""What becomes of the other classes of an image when the objects of one are removed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.score import MaskedScore
from infill.filler import Hole
from infill.validate import require

_HALF = 0.5


@dataclass(frozen=True, eq=False)
class Others:
    """The scores of other classes than the target's, and whether the target goes alone.

    Attributes:
        before: Of the untouched image.
        removed: With the hole filled.
        alone: Whether the target keeps less than half of its score, and each of the others at least half;
            ``None`` where the classifier does not see the target in the untouched image.
    """

    before: Float[Tensor, " k"]
    removed: Float[Tensor, " k"]
    alone: bool | None


def others_without(score: MaskedScore, hole: Hole, others: Sequence[int]) -> Others:
    """Return the scores of other classes before and after the target's objects are removed from one image.

    What the score's classifier does not see anyway cannot stay: of the classes that are asked for only those
    count whose score is above `MaskedScore.chance` before.

    Args:
        score: Of one image; a probability of its target.
        hole: The target's objects, "1 1 h w".
        others: Classes of which something else in the image is.

    Raises:
        ValueError: If the score is of several images, there is not one hole, or the target is among the
            others or they are none of the classifier's.
    """
    require(len(score) == 1, "score", "of one image", f"{len(score)} images")
    require(len(hole) == 1, "hole", "one", len(hole))
    target, known = int(torch.as_tensor(score.target).flatten()[0]), score.clean_logits.shape[1]
    fit = target not in others and all(0 <= each < known for each in others)
    require(fit, "others", f"classes from 0 to {known - 1} other than the target {target}", list(others))
    fill = score.fills(hole)
    of_class = [replace(score, target=each) for each in (target, *others)]
    before = torch.cat([each.clean for each in of_class])
    removed = torch.cat([each(hole, fill=fill) for each in of_class])
    seen, kept = before > score.chance.to(before), removed >= _HALF * before
    alone = bool(~kept[0] & kept[1:][seen[1:]].all()) if bool(seen[0]) else None
    return Others(before[1:][seen[1:]], removed[1:][seen[1:]], alone)
