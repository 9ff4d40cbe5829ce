"""Part by part an image is replaced by what the classifier suggests (Deelaka et al. 2024, sec. 4.2)."""

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.blanks import Normalize, Threshold, TiledBlanks
from attribution.optimize.updates import Descent, Order
from attribution.score import MaskedScore
from infill.filler import Hole, composite
from infill.validate import Count, Length, Range, Seed, require, require_settings


@dataclass(frozen=True, eq=False)
class Progression:
    """Images that become, step by step, what the classifier suggests.

    Attributes:
        tiles: What each step removes and fills.
        masked: What the classifier is shown in each step.
        filled: The images after each step; the last is nowhere the original.
        logits: Of what it was shown.
    """

    tiles: Float[Tensor, "t 1 h w"]
    masked: Float[Tensor, "t b c h w"]
    filled: Float[Tensor, "t b c h w"]
    logits: Float[Tensor, "t b k"]

    @property
    def prototype(self) -> Float[Tensor, "b c h w"]:
        """The images of which nothing is left of the original."""
        return self.filled[-1]


@dataclass(frozen=True)
class ProgressiveBlanks:
    """Fills an image in parts that do not overlap, each given those filled before (Deelaka et al. 2024, 4.2).

    In each step one part is removed (the paper sets it to 0: the filler ``Gray((0, 0, 0))``), the
    classifier's update for the target is computed, thresholded and put there. In the end nothing of the image
    is left. This is no `Explainer`: what comes out is an image, and none of its pixels stands for one of the
    original.

    Attributes:
        parts: Into how many parts the image is divided.
        patch: Side in pixels of the patches that a part consists of.
        update: Of first or of second order, see `Descent`.
        steps: Of the second-order update.
        normalize: See `Threshold`, as for the next two.
        binarize: Whether what is filled in is black or white alone.
        level: At which level.
        seed: Of the parts, which are the same for every image of a batch.

    Raises:
        ValueError: If a number is out of its range or a choice is unknown.
    """

    parts: Annotated[int, Range(2, 10**4)] = 4
    patch: Length = 2
    update: Order = "first"
    steps: Count = 10
    normalize: Normalize = "positive"
    binarize: bool = True
    level: Annotated[float, Range(0, 1, open_high=True)] = 0.05
    seed: Seed = 0

    def __post_init__(self) -> None:
        require_settings(self)

    def fill_in(self, score: MaskedScore) -> Progression:
        """Return the images after each step; all of them in lockstep, none depending on another.

        Raises:
            ValueError: If there are more parts than patches, or as for `Descent`.
        """
        require(score.margin == 0, "score", "of images as the classifier sees them (margin 0)", score.margin)
        tiles = TiledBlanks(self.parts, score.size, self.patch, self.seed, score.image.device)
        threshold = Threshold(self.normalize, self.binarize, self.level)
        images, steps = score.image, []
        for tile in tiles[:]:
            hole = tile.expand(len(images), 1, -1, -1)
            masked, logits, update = self._updated(replace(score, image=images, around=None), hole)
            images = composite(images, hole, threshold(update, hole))
            steps.append((masked, images, logits))
        return Progression(tiles[:], *(torch.stack(each) for each in zip(*steps, strict=True)))

    def _updated(self, score: MaskedScore, hole: Hole) -> tuple[Tensor, Tensor, Tensor]:
        """Return the images without a part, their logits, and their updates."""
        rows, descent = torch.arange(len(score)), Descent(self.update, self.steps)
        masked = score.perturbed(hole, rows, [score.sampling.generator() for _ in rows])
        masked = masked[:: score.fills_per_hole]
        suggested = descent.suggested(score, masked, score.target, every=True)  # type: ignore[arg-type]
        return masked, suggested.logits, suggested.update
