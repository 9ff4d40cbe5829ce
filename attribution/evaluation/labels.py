"""What the classifier takes a method's own samples for (Agarwal & Nguyen 2020, sec. 5.2)."""

import torch
from jaxtyping import Int
from torch import Tensor

from attribution.holes import Holes, batches
from attribution.score import MaskedScore


def top_labels(score: MaskedScore, holes: Holes) -> Int[Tensor, " n"]:
    """Return the first choice of the classifier for every composite of one image that a method looks at.

    With the same sampling these are the very composites: one generator serves all holes, as in
    `MaskedScore.stream`. Of several fills of a hole the first counts.

    Raises:
        ValueError: If the score is of several images.
    """
    generator = score.sampling.generator()
    parts = batches(holes, max(1, score.execution.batch_size // score.fills_per_hole))
    return torch.cat([score.logits(hole, generator=generator).argmax(1) for hole in parts])
