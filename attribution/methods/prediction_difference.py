"""Prediction difference analysis: the weight of evidence of a sliding patch (Zintgraf et al. 2017)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.engine.link import Against, probability, sigmoid
from attribution.estimate import GROUPS, Estimate, jackknife, joined, quantile, reliability
from attribution.explainer import Heatmap
from attribution.holes import PatchHoles, batches
from attribution.score import MaskedScore
from infill.network import unrounded
from infill.validate import Count, Length, Range, Share, require, require_settings


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
        until: The map's reliability (`attribution.estimate`) at which fills are enough, asked for after every
            second pass over all patches; ``samples`` is the most. ``None``: all are taken.
        instances: N, the number of images that the classifier was trained on; by default ImageNet's.

    Raises:
        ValueError: If a parameter is below 1, or a ``stride`` larger than the patch leaves gaps.
    """

    patch: Length = 10
    stride: Length = 1
    samples: Count = 10
    instances: Annotated[int, Range(1, 10**12)] = 1_281_167
    until: Share | None = None

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

    @unrounded()
    def evidence(self, score: MaskedScore) -> tuple[Heatmap, Heatmap]:
        """Return the weight of evidence per pixel, in bits, and how uncertain chance leaves it.

        The second map is the standard error of ``p(c | x without W)`` over the fills, in [0, 1], averaged
        over the patches that cover a pixel; 0 where fills do not differ.

        Raises:
            ValueError: As for a call.
        """
        maps = []
        for one, holes, passes in self._sampled(score):
            error = passes.std(dim=0) / len(passes) ** 0.5 if len(passes) > 1 else torch.zeros_like(passes[0])
            maps.append(self._maps(one, holes, torch.stack([self._values(one, passes), error])))
        heatmap, spread = torch.stack(maps, dim=1)
        return heatmap, spread

    @unrounded()
    def estimate(self, score: MaskedScore) -> Estimate:
        """Return the weight of evidence per pixel, in bits, with its error over the fills.

        Raises:
            ValueError: As for a call.
        """
        return joined([self._estimate(*sampled) for sampled in self._sampled(score)])

    def _sampled(self, score: MaskedScore) -> Iterator[tuple[MaskedScore, PatchHoles, Float[Tensor, "m n"]]]:
        """Yield each image, its patches, and the probabilities of one pass over them after another."""
        score = self._of_probability(score)
        if score.sampling.samples == 1:
            score = score.with_sampling(samples=self.samples)
        for one in score:
            holes, generator, times = self.holes(one), one.sampling.generator(), one.fills_per_hole
            single, passes = one.with_sampling(samples=1), one.image.new_empty(0, len(holes))
            while len(passes) < times and not self._enough(one, holes, passes):
                found = []
                for hole in batches(holes, one.execution.batch_size):
                    found.append(single(hole, generator=generator).float())
                    done = len(passes) * len(holes) + sum(map(len, found))
                    one.execution.progress(done // times, len(holes))
                passes = torch.cat([passes, torch.cat(found)[None]])
            one.execution.progress(len(holes), len(holes))  # also if fewer passes were enough
            yield one, holes, passes

    def _of_probability(self, score: MaskedScore) -> MaskedScore:
        if isinstance(score.link, Against):
            return score.relinked(score.link.probability, score.sampling.pool)
        name = getattr(score.link, "__name__", score.link)
        require(score.link in (probability, sigmoid), "link", "probability, sigmoid or Against", name)
        return score

    def _enough(self, one: MaskedScore, holes: PatchHoles, passes: Tensor) -> bool:
        """Whether two halves of the passes are there and agree well enough."""
        if self.until is None or not len(passes) or len(passes) % 2:
            return False
        return self._reliability(one, holes, passes) >= self.until

    def _reliability(self, one: MaskedScore, holes: PatchHoles, passes: Tensor) -> float:
        """Return how well the map would agree with one of as many new fills; 0 from a single one."""
        if not one.filler.stochastic:
            return 1.0
        if len(passes) < 2:
            return 0.0
        halves = torch.stack([self._values(one, passes[half::2]) for half in (0, 1)])
        return reliability(*self._maps(one, holes, halves))

    def _estimate(self, one: MaskedScore, holes: PatchHoles, passes: Tensor) -> Estimate:
        groups, number = min(GROUPS, len(passes)), torch.arange(len(passes), device=passes.device)
        parts = [passes[number % groups != group] for group in range(groups)] if groups > 1 else [passes]
        whole, *left_out = self._maps(
            one, holes, torch.stack([self._values(one, part) for part in (passes, *parts)])
        )
        chance = one.filler.stochastic
        error = jackknife(torch.stack(left_out)) if chance else torch.zeros_like(whole)
        return Estimate(
            heatmap=whole[None],
            error=error[None],
            told=(whole.abs() > (quantile(groups) * error if chance else error))[None],
            reliability=torch.tensor([self._reliability(one, holes, passes)]),
            samples=torch.tensor([passes.numel()]),
            forwards=torch.tensor([passes.numel()]),
        )

    def _values(self, one: MaskedScore, passes: Float[Tensor, "m n"]) -> Float[Tensor, " n"]:
        """Return the weight of evidence of each patch from some passes over them."""
        return self._bits(one, one.clean) - self._bits(one, passes.mean(dim=0))

    def _maps(
        self, one: MaskedScore, holes: PatchHoles, values: Float[Tensor, "m n"]
    ) -> Float[Tensor, "m h w"]:
        """Return per pixel the means of several values over the patches that cover it."""
        total, cover = values.new_zeros(len(values), *holes.size), values.new_zeros(*holes.size)
        start = 0
        for hole in batches(holes, one.execution.batch_size):
            total += torch.einsum("mn,nhw->mhw", values[:, start : start + len(hole)], hole[:, 0])
            cover += hole.sum(dim=(0, 1))
            start += len(hole)
        return total / cover

    def _bits(self, one: MaskedScore, probabilities: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the logarithm of the odds of probabilities, to base 2."""
        # A sigmoid tells two classes apart, whatever others there are, as a comparison does; so does a single
        # logit.
        classes = max(one.clean_logits.shape[1], 2) if one.link is probability else 2
        probabilities = probabilities.clamp(0, 1)  # a mean of ones may be rounded to more
        return torch.log2(
            (probabilities * self.instances + 1) / ((1 - probabilities) * self.instances + classes - 1)
        )
