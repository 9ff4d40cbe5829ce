"""Runs one method with one filler on one image, and keeps what is to be shown of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import cast

import torch
from torch import Tensor

from attribution import Explainer, MaskedScore, refilled
from attribution.engine.precision import PreparedClassifier
from attribution.estimate import EstimatingExplainer
from attribution.explainer import AttributingExplainer, Attribution, SamplingExplainer, checked
from attribution.holes import Holes
from attribution.methods.repeated import PASSES, Repeated, repeatable
from attribution.optimize.loop import OptimizingExplainer, require_above_chance
from infill import Filler
from studio.drawing.pixels import channels_last
from studio.explain.panel import Composite
from studio.explain.quantity import quantity_of
from studio.explain.request import ExplainRequest
from studio.explain.result import MethodResult, SearchResult
from studio.explain.trace import Trace
from studio.progress import Progress

SHOWN = 4
"""How many composites of each run are kept to be shown."""
GROWTH = (2, 4, 8, 12, 16, 24)
"""By so many pixels a hole is widened, in turn, for which the final filler brings the class back."""


@dataclass(frozen=True, eq=False)
class Runner:
    """Runs methods on the one image of a score.

    Attributes:
        request: What is asked for.
        methods: By name.
        progress: Told how it goes.
        prepared: What scores images.
        probabilities: How probable each class is, of logits; of what are no classes, the numbers as they are.
        label: The name of a class by its number; empty for what are no classes.
    """

    request: ExplainRequest
    methods: Mapping[str, Explainer]
    progress: Progress
    prepared: PreparedClassifier
    probabilities: Callable[[Tensor], Tensor]
    label: Callable[[int], str]

    def composites(self, name: str, score: MaskedScore) -> int:
        """Return how many composites of the image the method of this name looks at, at most.

        Raises:
            ValueError: If the method cannot work with this image and target.
        """
        method = self.methods[name]
        with naming(name):
            if isinstance(method, OptimizingExplainer):
                require_above_chance(score)
                return method.composites
            if isinstance(method, AttributingExplainer):
                return 1  # how many images it will look at is known to the library alone
            return len(cast(SamplingExplainer, method).holes(score))

    def run(
        self, name: str, filler: str, score: MaskedScore, final: Filler | None = None
    ) -> Callable[[], MethodResult]:
        """Return what runs the method of this name on the image; the score has the filler of that name.

        The hole that an optimizing method finds is filled and judged anew by ``final``, if given. The call
        raises a ``ValueError`` if the method cannot work with this image and filler.
        """
        method, title = self._method(name, score), f"{name} {filler}"
        if isinstance(method, OptimizingExplainer):
            return partial(self._optimized, method, title, score, final)
        if isinstance(method, AttributingExplainer):
            return partial(self._attributed, method, title, score)
        return partial(self._sampled, cast(SamplingExplainer, method), title, score)

    def _method(self, name: str, score: MaskedScore) -> Explainer:
        """Return the method of this name; where fills alone are drawn, run until its map is reliable."""
        method, until = self.methods[name], self.request.until
        if until is None or not score.filler.stochastic or not repeatable(method):
            return method
        return Repeated(cast(SamplingExplainer, method), most_passes(self.request.samples), until)

    def _sampled(self, method: SamplingExplainer, title: str, score: MaskedScore) -> MethodResult:
        holes, estimate = method.holes(score), None
        begun = time.perf_counter()
        with self.progress.run(title) as count:
            if isinstance(method, EstimatingExplainer):
                estimate = method.estimate(score)
                count(int(estimate.samples))
            heatmap = method(score) if estimate is None else estimate.heatmap
        seconds = time.perf_counter() - begun
        composites = len(holes) if estimate is None else int(estimate.samples)
        known = None if estimate is None else estimate.forwards
        return MethodResult(
            _map(heatmap, score),
            self._some_composites(score, holes),
            composites,
            seconds,
            composites * score.fills_per_hole if known is None else int(known),
            estimate=estimate,
        )

    def _optimized(
        self, method: OptimizingExplainer, title: str, score: MaskedScore, final: Filler | None
    ) -> MethodResult:
        trace = Trace(score) if self.request.trace else None
        begun = time.perf_counter()
        with self.progress.run(title) as count:
            found = method.optimize(score, trace)
            outcome = refilled(found, replace(score, filler=final), GROWTH) if final else found
            count(int(outcome.looks))
        seconds = time.perf_counter() - begun
        image, hole = outcome.counterfactual, outcome.hole
        probabilities = self.probabilities(replace(score, image=image, around=None).clean_logits)
        # The score is the mean, where fills differ.
        (shown,) = self._shown(score, image, hole, probabilities, outcome.left)
        quantity = quantity_of(score.link)
        search = SearchResult(outcome, probabilities[0].cpu(), found, trace, quantity)
        looks = int(outcome.looks)
        return MethodResult(_map(outcome.heatmap, score), [shown], looks, seconds, looks, search)

    def _attributed(self, method: AttributingExplainer, title: str, score: MaskedScore) -> MethodResult:
        begun = time.perf_counter()
        with self.progress.run(title, "images") as count:
            found: Attribution = method.attribute(score)
            looks = int(found.forwards)
            count(looks)
        seconds = time.perf_counter() - begun
        shown = [] if found.baseline is None else self._baselines(score, found.baseline[0, :SHOWN])
        return MethodResult(_map(found.heatmap, score), shown, looks, seconds, looks, attribution=found)

    def _baselines(self, score: MaskedScore, images: Tensor) -> list[Composite]:
        """Return what an image was compared with; no hole is drawn, for nothing is left."""
        holes = images.new_zeros(len(images), 1, *images.shape[2:])
        with torch.no_grad():
            logits = self.prepared(images)
        return self._shown(score, images, holes, self.probabilities(logits), score.evaluator.score(logits))

    def _some_composites(self, score: MaskedScore, holes: Holes) -> list[Composite]:
        """Return a few composites by chance, the same holes for every filler; none without a hole."""
        generator = torch.Generator().manual_seed(self.request.seed)
        drawn = (holes[i : i + 1] for i in torch.randperm(len(holes), generator=generator).tolist())
        some = list(islice((hole for hole in drawn if hole.any()), SHOWN))
        if not some:
            return []
        chosen = torch.cat(some)
        once = score.with_sampling(samples=1)
        logits = once.logits(chosen)
        scores, probabilities = score.evaluator.score(logits), self.probabilities(logits)
        return self._shown(score, once.perturbed(chosen), chosen, probabilities, scores)

    def _shown(
        self, score: MaskedScore, images: Tensor, holes: Tensor, probabilities: Tensor, scores: Tensor
    ) -> list[Composite]:
        return [
            Composite(
                image=channels_last(image),
                hole=hole[0].cpu().numpy(),
                score=float(one),
                label=self.label(int(each.argmax())),
                quantity=quantity_of(score.link),
            )
            for image, hole, each, one in zip(images, holes, probabilities, scores, strict=True)
        ]


def most_passes(samples: int) -> int:
    """Return how often a method is run at most until its map is reliable, of so many ``--samples``."""
    return samples if samples > 1 else PASSES


def _map(heatmap: object, score: MaskedScore) -> Tensor:
    """Return the map "h w" of the one image."""
    return checked(heatmap, score)[0].cpu()


@contextmanager
def naming(method: str) -> Iterator[None]:
    """Put the method's name in front of whatever is wrong."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{method}: {error}") from error
