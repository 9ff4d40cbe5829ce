"""Fill in the blanks: how a classifier would change what random masks hide (Deelaka et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.blanks import RandomBlanks
from attribution.estimate import GROUPS, Estimate, jackknife, joined, quantile, reliability, rounds
from attribution.explainer import Heatmap
from attribution.optimize.updates import Descent, Order, Suggestion
from attribution.score import MaskedScore
from infill.exact import exact, exact_device, rounded
from infill.filler import Hole
from infill.network import unrounded
from infill.validate import Count, Length, Seed, Share, require, require_settings

Shown = Literal["update", "blank", "returned"]
_SORTS: tuple[Shown, ...] = ("update", "blank", "returned")


@dataclass(frozen=True, eq=False)
class ExpectedUpdate:
    """How a classifier would change images that it sees with random patches removed, in the mean.

    Attributes:
        update: The mean update of each image (eq. 5), positive where a pixel should become brighter.
        blank: At each pixel the mean over those masks alone that remove it: what fills the blanks.
        masks: How many masks of each image were tried.
        correct: How many of them left the target to be seen, and count (the paper's N*); each fill of a
            mask by itself, where there are several.
    """

    update: Float[Tensor, "b c h w"]
    blank: Float[Tensor, "b c h w"]
    masks: Int[Tensor, " b"]
    correct: Int[Tensor, " b"]


@dataclass(frozen=True)
class FillInBlanks:
    """The expected update over random masks (Deelaka et al. 2024, sec. 4.1, eq. 5).

    Random patches are removed (the paper sets them to 0: the filler ``Gray((0, 0, 0))``). Where the
    classifier still sees the target, the update of the composite's pixels is computed that would lower its
    loss. The mean of these is how it goes on from parts of this image to what the target looks like to it.

    Attributes:
        masks: How many masks are tried at most.
        correct: After so many masks that left the target to be seen, no more are tried; the paper wants
            more than 10,000.
        ratio: Share of the patches that each mask removes.
        patch: Side of the patches in pixels. The paper's 2 are for images of 28 x 28, others want others.
        update: Of first or of second order, see `Descent`.
        steps: Of the second-order update.
        shown: What the heatmap is. ``"update"``, the paper's: the mean update of each pixel, summed over its
            channels, whether masks remove it or not: bright where the pixel should become brighter.
            ``"blank"``: the same over those masks alone that remove the pixel. ``"returned"``: over those
            masks, update times what the pixel was, less what stood in its place: how much of the loss its
            return takes away, to first order. This one is evidence where classes are not bright on black.
        until: The reliability at which masks are enough (`attribution.estimate.reliability`), however many
            count; ``None``: as ``correct`` says.
        seed: Seed of the masks, which are the same for every image of a batch.

    Raises:
        ValueError: If a number is out of its range or a choice is unknown.
    """

    masks: Count = 20_000
    correct: Count = 10_001
    ratio: Share = 0.25
    patch: Length = 2
    update: Order = "first"
    steps: Count = 10
    shown: Shown = "update"
    until: Share | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        require_settings(self)

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return what is `shown`.

        Raises:
            ValueError: As for `expected`.
        """
        return self.estimate(score).heatmap

    def holes(self, score: MaskedScore) -> RandomBlanks:
        """Return the masks that may be tried.

        Raises:
            ValueError: If a patch is larger than the image, or such a share of the patches none or all.
        """
        return RandomBlanks(self.masks, score.size, self.patch, self.ratio, self.seed, score.image.device)

    def expected(self, score: MaskedScore) -> ExpectedUpdate:
        """Return the mean update of each image, with its colors, and how many masks it took.

        Raises:
            ValueError: If no mask leaves the target to be seen, or as for `Descent`.
        """
        found = [self._summed(one) for one in score]
        update, blank = (torch.stack([sums.mean(shown) for sums in found]) for shown in _SORTS[:2])
        masks, correct = (
            torch.tensor([getattr(sums, name) for sums in found]) for name in ("masks", "correct")
        )
        return ExpectedUpdate(update, blank, masks, correct)

    @unrounded()
    def estimate(self, score: MaskedScore) -> Estimate:
        """Return the heatmap with its error.

        Raises:
            ValueError: As for `expected`.
        """
        return joined([self._estimate(self._summed(one)) for one in score])

    def _estimate(self, sums: _Sums) -> Estimate:
        every = torch.arange(GROUPS)
        heatmap = sums.map(self.shown)
        left_out = [sums.map(self.shown, every != group) for group in range(min(GROUPS, sums.correct))]
        error = jackknife(torch.stack(left_out))
        if self.shown != "update":  # of a pixel that one group has hidden, or none, nothing is known
            error = error.where((sums.hidden[:, 0] > 0).sum(0) > 1, torch.inf)
        return Estimate(
            heatmap=heatmap[None],
            error=error[None],
            told=(heatmap.abs() > quantile(len(left_out)) * error)[None],
            reliability=torch.tensor([sums.reliability(self.shown)]),
            samples=torch.tensor([sums.masks]),
        )

    def _summed(self, one: MaskedScore) -> _Sums:
        require(one.margin == 0, "score", "of images as the classifier sees them (margin 0)", one.margin)
        holes, sums = self.holes(one), _Sums.of(one)
        descent, generator = Descent(self.update, self.steps), one.sampling.generator()
        most = self.correct if self.until is None else self.masks * one.fills_per_hole
        enough = None if self.until is None else partial(self._enough, sums, self.until)
        times, done = one.fills_per_hole, 0
        for hole in rounds(holes, max(1, one.execution.batch_size // times), enough):
            images = one.perturbed(hole, None, generator)
            target = one.target.expand(len(images))  # type: ignore[union-attr]
            sums.add(descent.suggested(one, images, target), hole.repeat_interleave(times, 0), images, most)
            done += len(hole)
            one.execution.progress(done, len(holes))
            if sums.correct >= most:
                break
        if done < len(holes):
            one.execution.progress(len(holes), len(holes))
        sums.masks = -(-sums.masks // times)
        rule = f"a class that the classifier still sees when {self.ratio:g} of the image is removed"
        require(sums.correct > 0, "target", rule, f"none of {done} masks that leave class {int(target[0])}")
        return sums

    def _enough(self, sums: _Sums, wanted: float) -> bool:
        return sums.reliability(self.shown) >= wanted


@dataclass(eq=False)
class _Sums:
    """Updates summed up group by group, to which the masks that count are dealt in turn.

    Attributes:
        image: The untouched image.
        updates: By group the sum of the updates, of those where the pixel is removed, and of these times
            what the pixel's return would change.
        hidden: By group how many masks remove each pixel.
        counts: By group how many masks count.
        masks: How many masks were tried; until all are, each of a mask's fills is one.
        correct: How many of them count.
    """

    image: Float[Tensor, "c h w"]
    updates: Float[Tensor, "g 3 c h w"]
    hidden: Float[Tensor, "g 1 h w"]
    counts: Float[Tensor, " g"]
    masks: int = 0
    correct: int = 0

    @classmethod
    def of(cls, one: MaskedScore) -> _Sums:
        """Return the sums of no mask."""
        image = one.image[0]
        # In double precision: sums of ten thousand updates do not depend on how they were cut into batches.
        new = partial(torch.zeros, dtype=torch.float64, device=exact_device(image.device))
        return cls(image, new((GROUPS, 3, *image.shape)), new((GROUPS, 1, *image.shape[1:])), new(GROUPS))

    def add(self, suggested: Suggestion, hole: Hole, images: Float[Tensor, "n c h w"], most: int) -> None:
        """Deal the updates of the masks that count to the groups, until there are as many as are wanted."""
        places = suggested.right.nonzero()[:, 0][: most - self.correct]
        update, blank = exact(suggested.update[: len(places)]), exact(hole[places])
        returned = update * blank * exact(self.image - images[places])
        group = (self.correct + torch.arange(len(places), device=update.device)) % GROUPS
        self.updates.index_add_(0, group, torch.stack([update, update * blank, returned], 1))
        self.hidden.index_add_(0, group, blank)
        self.counts.index_add_(0, group, torch.ones_like(group, dtype=torch.float64))
        self.correct += len(places)
        self.masks += len(images) if self.correct < most else int(places[-1]) + 1

    def map(self, shown: Shown, groups: Tensor | None = None) -> Float[Tensor, "h w"]:
        """Return the heatmap from some groups, or all."""
        return self.mean(shown, groups).sum(0)

    def mean(self, shown: Shown, groups: Tensor | None = None) -> Float[Tensor, "c h w"]:
        """Return the mean update, or what its return would change, from some groups, or all."""
        chosen = slice(None) if groups is None else groups.to(self.updates.device)
        place = _SORTS.index(shown)
        total = self.updates[chosen, place].sum(0)
        count = self.counts[chosen].sum() if shown == "update" else self.hidden[chosen].sum(0)
        return rounded(total / count.clamp_min(1), self.image)

    def reliability(self, shown: Shown) -> float:
        """Return how reliable the heatmap is; 0 of a single mask."""
        even = torch.arange(GROUPS) % 2 == 0
        if self.correct < 2:
            return 0.0
        return reliability(self.map(shown, even), self.map(shown, ~even))
