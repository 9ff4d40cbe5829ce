"""A method run anew with other fills until their mean map is reliable."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from attribution.engine.execution import ProgressCallback
from attribution.estimate import (
    GROUPS,
    Estimate,
    EstimatingExplainer,
    jackknife,
    joined,
    quantile,
    reliability,
)
from attribution.explainer import Explainer, Heatmap, SamplingExplainer
from attribution.holes import Holes
from attribution.score import MaskedScore
from infill.network import unrounded
from infill.validate import Length, Share, require_settings

PASSES = 64
"""So often a method is run at most, unless somebody says otherwise."""


@dataclass(frozen=True, eq=False)
class Repeated:
    """The mean of a method's maps over fills that chance makes, and what chance may have done to it.

    For a method whose holes chance has no part in, as `SlidingPatch`, with a filler that draws: each pass
    scores every hole with one new fill. With any other filler one pass is all there is to know. The passes
    are dealt to ten groups, so that memory does not grow with their number.

    Attributes:
        method: What is run; its own samples, if it has such, are drawn the same each time.
        passes: How often at most.
        until: The map's reliability (`attribution.estimate`) at which passes are enough, asked for after
            every second; ``None``: all are run.

    Raises:
        ValueError: If there is less than one pass, or ``until`` is not between 0 and 1.
    """

    method: SamplingExplainer
    passes: Length = PASSES
    until: Share | None = None

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the mean map of each image.

        Raises:
            ValueError: As the method.
        """
        return self.estimate(score).heatmap

    def holes(self, score: MaskedScore) -> Holes:
        """Return the method's holes, those of one pass.

        Raises:
            ValueError: As the method.
        """
        return self.method.holes(score)

    @unrounded()
    def estimate(self, score: MaskedScore) -> Estimate:
        """Return the mean map of each image with its error over the passes.

        Raises:
            ValueError: As the method.
        """
        return joined([self._estimate(one) for one in score])

    def _estimate(self, one: MaskedScore) -> Estimate:
        most = self.passes if one.filler.stochastic else 1
        sums = one.image.new_zeros(min(GROUPS, most), *one.size)
        dealt = sums.new_zeros(len(sums))
        for number, seed in enumerate(_seeds(one.sampling.seed, most)):
            once = one.with_sampling(samples=1, seed=seed)
            once = once.with_execution(progress=_part(one.execution.progress, number, most))
            sums[number % len(sums)] += self.method(once)[0].float()
            dealt[number % len(sums)] += 1
            if self.until is not None and number % 2 and _agreement(sums, dealt) >= self.until:
                break
        count = len(self.holes(one))
        one.execution.progress(count, count)  # also if fewer passes were enough
        return _found(sums, dealt, count, one.filler.stochastic)


def repeatable(method: Explainer) -> bool:
    """Whether chance has a part in a method's maps through fills alone."""
    return isinstance(method, SamplingExplainer) and not isinstance(method, EstimatingExplainer)


def _found(sums: Float[Tensor, "g h w"], dealt: Float[Tensor, " g"], holes: int, chance: bool) -> Estimate:
    """Return the estimate from the sums of the groups' maps."""
    ran = dealt > 0
    sums, dealt = sums[ran], dealt[ran]
    total, count = sums.sum(0), dealt.sum()
    heatmap = total / count
    if not chance:
        error = torch.zeros_like(heatmap)
    elif len(sums) == 1:
        error = torch.full_like(heatmap, torch.inf)
    else:
        error = jackknife((total - sums) / (count - dealt)[:, None, None])
    near = error * quantile(len(sums)) if chance else error
    shown = torch.tensor([int(count) * holes])
    return Estimate(
        heatmap=heatmap[None],
        error=error[None],
        told=(heatmap.abs() > near)[None],
        reliability=torch.tensor([_agreement(sums, dealt) if chance else 1.0]),
        samples=shown,
        forwards=shown,
    )


def _agreement(sums: Float[Tensor, "g h w"], dealt: Float[Tensor, " g"]) -> float:
    """Return the reliability from every other group, and those in between; 0 from a single one."""
    if len(sums) < 2 or not dealt[1]:
        return 0.0
    first, second = (sums[half::2].sum(0) / dealt[half::2].sum() for half in (0, 1))
    return reliability(first, second)


def _seeds(seed: int, count: int) -> list[int]:
    """Return as many seeds, drawn with this one: no other one has the same."""
    generator = torch.Generator().manual_seed(seed)
    return [int(torch.randint(2**62, (), generator=generator, device="cpu")) for _ in range(count)]


def _part(progress: ProgressCallback, number: int, most: int) -> ProgressCallback:
    """Return what tells of one pass among so many."""

    def told(done: int, total: int) -> None:
        progress((number * total + done) // most, total)

    return told
