"""RISE: the mean of random masks, weighted by the score of what they keep."""

from dataclasses import dataclass
from typing import Literal

import torch

from attribution.explainer import Heatmap
from attribution.holes import Border, RandomGridHoles, batches
from attribution.score import MaskedScore
from infill.validate import Count, Length, Seed, Share, require_settings

Normalize = Literal["probability", "mass"]


@dataclass(frozen=True)
class Rise:
    """Randomized input sampling for explanation (Petsiuk et al. 2018, eq. 6).

    The heatmap is the expectation of the score given that the pixel is kept, estimated from soft
    random masks; ``1 - hole`` is what is kept.

    Attributes:
        masks: Number of random masks (4000 to 8000 in the paper).
        cells: Cells of the binary grid along each side.
        keep: Probability that a cell is kept.
        normalize: What the weighted sum of the masks is divided by: ``"probability"``, the paper's, by
            ``masks * keep``; ``"mass"``, as in xplique, by the sum of the masks at each pixel.
        border: What a mask is within half a cell of the upsampled grid's border: ``"mirrored"`` (the
            published code), or ``"constant"``.
        seed: Seed of the masks, which are the same for every image of a batch.

    Raises:
        ValueError: If ``masks`` or ``cells`` is below 1, ``keep`` is not between 0 and 1, or
            ``normalize`` or ``border`` is unknown.
    """

    masks: Count = 4000
    cells: Length = 7
    keep: Share = 0.5
    normalize: Normalize = "probability"
    border: Border = "mirrored"
    seed: Seed = 0

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the expected score given that a pixel is kept."""
        total = torch.zeros_like(score.image[:, 0])
        mass = torch.zeros_like(score.image[0, 0])
        holes = self.holes(score)
        for i, one in enumerate(score):
            mass.zero_()
            for hole, scores in one.stream(batches(holes, one.execution.batch_size), len(holes)):
                kept = 1 - hole[:, 0]
                total[i] += torch.einsum("n,nhw->hw", scores, kept)
                mass += kept.sum(dim=0)
        # A pixel that no mask keeps has no estimate: it gets 0, as in the paper's sum.
        return total / (mass.clamp_min(1e-6) if self.normalize == "mass" else self.masks * self.keep)

    def holes(self, score: MaskedScore) -> RandomGridHoles:
        """Return the random holes, soft and in [0, 1]."""
        device = score.image.device
        return RandomGridHoles(self.masks, score.size, self.cells, self.keep, self.seed, device, self.border)
