"""Prediction difference analysis: the weight of evidence of a sliding patch (Zintgraf et al. 2017)."""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.engine.link import Against, probability, sigmoid
from attribution.explainer import Heatmap
from attribution.holes import PatchHoles, batches
from attribution.score import MaskedScore
from infill.validate import Count, Length, Range, require, require_settings


@dataclass(frozen=True)
class PredictionDifference:
    """Prediction difference analysis (Zintgraf et al. 2017, alg. 1; Robnik-Sikonja & Kononenko 2008).

    A square W is removed at every position of a grid, ``samples`` times, and ``p(c | x without W)`` is the
    mean of the target's probability over the fills. The position's value is the weight of evidence
    ``log2(odds(p(c | x))) - log2(odds(p(c | x without W)))``, in bits, with ``odds(p) = p / (1 - p)`` and the
    Laplace correction ``p <- (p N + 1) / (N + K)`` for K classes, which keeps it finite. A pixel's value is
    the mean over all squares that cover it; the grid goes on until every pixel is covered, with squares that
    are cut off at the far edges.

    The paper's removal is `infill.Marginal`. A filler that leaves nothing to chance is run once for each
    patch, whatever ``samples`` says.

    Attributes:
        patch: Side of the patch in pixels.
        stride: Step of the grid in pixels.
        samples: How many fills of each patch the probability is averaged over, unless the score's own
            sampling has several.
        instances: N, the number of images that the classifier was trained on; by default ImageNet's.

    Raises:
        ValueError: If a parameter is below 1, or a ``stride`` larger than the patch leaves gaps.
    """

    patch: Length = 10
    stride: Length = 1
    samples: Count = 10
    instances: Annotated[int, Range(1, 10**12)] = 1_281_167

    def __post_init__(self) -> None:
        require_settings(self)
        require(self.stride <= self.patch, "stride", f"at most the patch ({self.patch})", self.stride)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the weight of evidence per pixel, in bits.

        Raises:
            ValueError: If the patch is larger than the image, the score's link is neither a probability nor
                a comparison of two classes, or as for the score.
        """
        return self.evidence(score)[0]

    def holes(self, score: MaskedScore) -> PatchHoles:
        """Return the patches, row by row, those at the far edges cut off.

        Raises:
            ValueError: If the patch is larger than the image.
        """
        return PatchHoles(score.size, self.patch, self.stride, True, score.image.device)

    def evidence(self, score: MaskedScore) -> tuple[Heatmap, Heatmap]:
        """Return the weight of evidence per pixel, in bits, and how uncertain chance leaves it.

        The second map is the standard error of ``p(c | x without W)`` over the fills, in [0, 1], averaged
        over the patches that cover a pixel; 0 where fills do not differ.

        Raises:
            ValueError: As for a call.
        """
        if isinstance(score.link, Against):
            score = score.relinked(score.link.probability, score.sampling.pool)
        else:
            name = getattr(score.link, "__name__", score.link)
            require(score.link in (probability, sigmoid), "link", "probability, sigmoid or Against", name)
        if score.sampling.samples == 1:
            score = score.with_sampling(samples=self.samples)
        holes = self.holes(score)
        total = score.image.new_zeros(2, len(score), *holes.size)
        cover = torch.zeros_like(total[0, 0])
        for i, one in enumerate(score):
            generator, done = one.sampling.generator(), 0
            before = self._bits(one, one.clean)
            cover.zero_()
            for hole in batches(holes, max(1, one.execution.batch_size // one.fills_per_hole)):
                mean, error = one.spread(hole, generator=generator)
                values = torch.stack([before - self._bits(one, mean), error])
                total[:, i] += torch.einsum("mn,nhw->mhw", values, hole[:, 0])
                cover += hole.sum(dim=(0, 1))
                done += len(hole)
                one.execution.progress(done, len(holes))
        heatmap, spread = total / cover
        return heatmap, spread

    def _bits(self, one: MaskedScore, probabilities: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the logarithm of the odds of probabilities, to base 2."""
        # A sigmoid tells two classes apart, whatever others there are, as a comparison does; so does a single
        # logit.
        classes = max(one.clean_logits.shape[1], 2) if one.link is probability else 2
        probabilities = probabilities.clamp(0, 1)  # a mean of ones may be rounded to more
        return torch.log2(
            (probabilities * self.instances + 1) / ((1 - probabilities) * self.instances + classes - 1)
        )
