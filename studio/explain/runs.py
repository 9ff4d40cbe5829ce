"""One method with one filler on one image."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

import torch
from torch import Tensor

from attribution import Explainer, MaskedScore
from attribution.explainer import SamplingExplainer
from attribution.holes import Holes
from attribution.optimize.loop import OptimizingExplainer, require_above_chance
from models.classifiers import ImageClassifier
from studio.explain.panel import Sample
from studio.explain.result import Run, Search
from studio.explain.trace import Trace
from studio.progress import Progress

SAMPLES = 4


def planned(name: str, method: Explainer, score: MaskedScore) -> int:
    """Return how many composites of the one image of a score a method looks at, at most.

    Raises:
        ValueError: If the method cannot work with this image and target.
    """
    with _named(name):
        if isinstance(method, OptimizingExplainer):
            require_above_chance(score)
            return method.composites
        return len(cast(SamplingExplainer, method).holes(score))


@dataclass(frozen=True, eq=False)
class Runner:
    """Runs methods, and keeps what is to be shown of what they looked at.

    Attributes:
        classifier: Whose classes they are.
        seed: Of the choice of samples.
        trace: Whether the steps of optimizing methods are kept.
    """

    classifier: ImageClassifier
    progress: Progress
    seed: int
    trace: bool

    def run(self, name: str, method: Explainer, filler: str, score: MaskedScore) -> Run:
        """Run the method of this name on the one image of a score.

        Raises:
            ValueError: If the method cannot work with this image and filler.
        """
        with _named(name):
            if isinstance(method, OptimizingExplainer):
                return self._searched(method, f"{name} {filler}", score)
            return self._sampled(cast(SamplingExplainer, method), f"{name} {filler}", score)

    def _sampled(self, method: SamplingExplainer, name: str, score: MaskedScore) -> Run:
        holes = method.holes(score)
        begun = time.perf_counter()
        with self.progress.run(name):
            heatmap = method(score)[0].float().cpu()
        seconds = time.perf_counter() - begun
        return Run(heatmap, self._samples(score, holes), len(holes), seconds)

    def _searched(self, method: OptimizingExplainer, name: str, score: MaskedScore) -> Run:
        trace = Trace(score) if self.trace else None
        begun = time.perf_counter()
        with self.progress.run(name) as tell:
            outcome = method.optimize(score, trace)
            tell(int(outcome.looks))
        seconds = time.perf_counter() - begun
        after = replace(score, image=outcome.counterfactual)
        chances = self.classifier.probabilities(after.clean_logits)
        (shown,) = self._shown(score, outcome.counterfactual, outcome.hole, chances)
        samples = [replace(shown, probability=outcome.left.item())]  # the mean, where fills differ
        search = Search(outcome, chances[0].cpu(), trace)
        return Run(outcome.heatmap[0].float().cpu(), samples, int(outcome.looks), seconds, search)

    def _samples(self, score: MaskedScore, holes: Holes) -> list[Sample]:
        """Return a few composites by chance, the same holes for every filler; none without a hole."""
        chance = torch.Generator().manual_seed(self.seed)
        drawn = (holes[i : i + 1] for i in torch.randperm(len(holes), generator=chance).tolist())
        chosen = torch.cat(list(islice((hole for hole in drawn if hole.any()), SAMPLES)))
        one = score.with_sampling(samples=1)
        chances = self.classifier.probabilities(one.logits(chosen))
        return self._shown(score, one.perturbed(chosen), chosen, chances)

    def _shown(self, score: MaskedScore, images: Tensor, holes: Tensor, chances: Tensor) -> list[Sample]:
        """Return composites with their holes and all probabilities as they are to be shown."""
        target = int(cast(Tensor, score.target))
        return [
            Sample(
                image=image.permute(1, 2, 0).cpu().numpy(),
                hole=hole[0].cpu().numpy(),
                probability=float(chance[target]),
                label=self.classifier.labels[int(chance.argmax())],
            )
            for image, hole, chance in zip(images, holes, chances, strict=True)
        ]


@contextmanager
def _named(method: str) -> Iterator[None]:
    """Put the method's name in front of whatever is wrong."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{method}: {error}") from error
