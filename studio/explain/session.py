"""Runs methods with fillers on images, and keeps what is to be shown of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from attribution import Execution, Explainer, MaskedScore, Sampling, refilled
from attribution.engine.precision import PreparedClassifier, prepare
from attribution.estimate import EstimatingExplainer
from attribution.explainer import AttributingExplainer, Attribution, SamplingExplainer
from attribution.holes import Holes
from attribution.methods.repeated import PASSES, Repeated, repeatable
from attribution.optimize.loop import OptimizingExplainer, require_above_chance
from infill import Filler
from infill.network import Precision
from models.classifiers import ImageClassifier
from models.classifiers.metadata import class_names
from studio.drawing.pixels import channels_last
from studio.explain.inputs import InputImage, printable, read_pixels
from studio.explain.panel import Composite
from studio.explain.paper import departures, squash
from studio.explain.quantity import quantity_of
from studio.explain.request import ExplainRequest
from studio.explain.result import Explanation, MethodResult, SearchResult
from studio.explain.trace import Trace
from studio.progress import Progress
from studio.registry.ask import build_asked
from studio.registry.asked import Asked, Scored
from studio.registry.build import build_filler, build_method
from studio.registry.fill_cache import FillCache, opened_cache
from studio.registry.own import NO_OWN, Own
from studio.registry.parse import Selection, check_compared, check_exclusive, check_samples, parse_filler
from studio.registry.pretrained import all_loading_options
from studio.registry.runtime import running
from studio.registry.tables import NO_FILLER, UNTIL, Preset, SettingTexts
from studio.registry.target import parse_target

SHOWN = 4
"""How many composites of each run are kept to be shown."""
GROWTH = (2, 4, 8, 12, 16, 24)
"""By so many pixels a hole is widened, in turn, for which the final filler brings the class back."""


def opened(
    request: ExplainRequest,
    selection: Selection,
    preset: Preset,
    fillers: Mapping[str, Sequence[str]] | None,
    progress: Progress,
    own: Own = NO_OWN,
) -> Session:
    """Load everything; what can be wrong with settings and files is found here, before any work is done.

    Args:
        request: What is asked for.
        selection: Its methods and fillers.
        preset: The settings to start from.
        fillers: By method the names of those that it runs with, if not with all.
        progress: Told how it goes.
        own: What the caller brings along.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    settings = selection.settings
    wanted = request.final if request.final != "none" else None
    final = parse_filler(wanted, "--final") if wanted else None
    methods = {name: build_method(name, settings, request.seed, preset, own) for name in selection.methods}
    text = parse_target(request.target, request.against)
    check_compared(selection.methods, text.compared)
    asked = build_asked(text, request, read_pixels, own.classifier)
    check_exclusive(selection.methods, asked.classifier.multi_label)
    if request.paper and asked.of_image is None:
        squash(asked.classifier, selection.methods)
    usual = {
        name: selection.fillers if compares(method) else (NO_FILLER,) for name, method in methods.items()
    }
    fillers = {**usual, **(fillers or {})}
    fixed = asked.of_image is None
    run, runtime = running(asked.classifier, request.runtime, selection.methods, fixed, request.precision)
    cache = opened_cache(request.fill_cache, request.fill_cache_size)
    return Session(request, selection, asked, methods, progress, fillers, run, runtime, own, final, cache)


@dataclass(eq=False)
class Session:
    """Explains one image after another; holds what stays the same from image to image.

    Attributes:
        model: What is asked of which model.
        fillers: By method the names of those that it runs with; `NO_FILLER` alone where none matters.
        running: The classifier as its runtime has it.
        runtime: What that is, in words.
        own: What the caller brought along.
        final: The name and the settings of what fills the holes that were found, if not what filled them
            during the search.
        cache: Fills that other commands have made, and this one.
        prepared: The classifier as it is run, once the first image is known.
        scored: What scores the image that is explained.
    """

    request: ExplainRequest
    selection: Selection
    model: Asked
    methods: Mapping[str, Explainer]
    progress: Progress
    fillers: Mapping[str, Sequence[str]]
    running: ImageClassifier
    runtime: str
    own: Own = NO_OWN
    final: tuple[str, SettingTexts] | None = None
    cache: FillCache | None = None
    prepared: PreparedClassifier | None = None
    scored: Scored | None = None

    @property
    def classifier(self) -> ImageClassifier:
        """What scores the image that is explained."""
        return self.model.classifier if self.scored is None else self.scored.classifier

    def explain(self, image: InputImage, images: int = 1) -> Explanation:
        """Run every method with every filler on one of so many images.

        Raises:
            ValueError: If a method or filler cannot work with this image.
        """
        begun = time.perf_counter()
        score = self.score(image)
        settings, used = self.selection.settings, {name for each in self.fillers.values() for name in each}
        names = [name for name in self.selection.fillers if name in used]
        planned = {name: _composites(name, method, score) for name, method in self.methods.items()}
        self.progress.plan(images * sum(each * len(self.fillers[name]) for name, each in planned.items()))
        precision, view = self.request.precision, score.image[0]
        fillers = {name: self.filler(name, image, view) for name in names}
        final = build_filler(*self.final, view, precision, partial(self._seen, image)) if self.final else None
        drawing = {name for name, filler in fillers.items() if filler.stochastic}
        if self.request.until is not None:
            self._check_draws(drawing)
        else:
            draws = bool(drawing) or (final is not None and final.stochastic)
            numbers = [name for name, method in self.methods.items() if hasattr(method, "samples")]
            check_samples(self.request.samples, draws, self.selection.fillers, numbers)
        results: dict[tuple[str, str], MethodResult] = {}
        score = score.with_sampling(samples=self.request.samples)
        for filler in (*fillers, NO_FILLER):
            filled = self._filled(score, filler, fillers[filler]) if filler in fillers else score
            for method in (each for each in self.methods if filler in self.fillers[each]):
                results[filler, method] = self.run(method, filler, filled, final)
        return Explanation(
            image=image,
            classifier=self.classifier,
            name=self.request.classifier or cast(Path, self.request.weights).stem,
            target=int(cast(Tensor, score.target)),
            link=score.link,
            clean=score.clean.item(),
            probabilities=self.probabilities(score.clean_logits)[0].cpu(),
            asked=self.model,
            scored=cast(Scored, self.scored),
            methods=self.methods,
            fillers=fillers,
            loaded=all_loading_options(fillers, settings, precision),
            results=results,
            final=(self.final[0], final) if self.final and final else None,
            settings=self._settings(score),
            departures=self._departures(score.room),
            seconds=time.perf_counter() - begun,
        )

    def filler(self, name: str, image: InputImage, view: Tensor) -> Filler:
        """Return the filler of this name for an image, of which the classifier has this view.

        Raises:
            ValueError: If it cannot be built for this image.
        """
        settings, precision = self.selection.settings, self.request.precision
        return build_filler(name, settings, view, precision, partial(self._seen, image), self.own)

    def _check_draws(self, drawing: set[str]) -> None:
        """Refuse to sample until maps are reliable where nothing is drawn; some fillers draw.

        Raises:
            ValueError: If no method draws samples, and none has fills that are drawn.
        """
        for name, method in self.methods.items():
            if isinstance(method, EstimatingExplainer) or (
                repeatable(method) and drawing & {*self.fillers[name]}
            ):
                return
        methods, fillers = ", ".join(self.methods), ", ".join(self.selection.fillers)
        raise ValueError(
            f"--until: expected one of {', '.join(UNTIL)} among the methods, or sp with a filler that draws "
            f"(noise), got {methods} with {fillers}"
        )

    def _filled(self, score: MaskedScore, name: str, filler: Filler) -> MaskedScore:
        """Return the score with the filler of this name, or with its fills that are kept."""
        cache = None if name in self.own.fillers else self.cache  # which knows fills by their filler's name
        settings, precision = self.selection.settings, self.request.precision
        kept = cache.keeping(name, settings, precision, filler) if cache else None
        return replace(score, filler=kept or filler)

    def run(self, name: str, filler: str, score: MaskedScore, final: Filler | None = None) -> MethodResult:
        """Run the method of this name on the one image of a score, which has the filler of that name.

        The hole that an optimizing method finds is filled and judged anew by ``final``, if given.

        Raises:
            ValueError: If the method cannot work with this image and filler.
        """
        method, title = self._method(name, score), f"{name} {filler}"
        with _naming(name):
            if isinstance(method, OptimizingExplainer):
                return self._optimize(method, title, score, final)
            if isinstance(method, AttributingExplainer):
                begun = time.perf_counter()
                with self.progress.run(title, "images") as count:
                    attribution = method.attribute(score)
                    count(int(attribution.forwards))
                return self._attributed(attribution, score, time.perf_counter() - begun)
            holes, estimate = cast(SamplingExplainer, method).holes(score), None
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
                heatmap[0].float().cpu(),
                self._some_composites(score, holes),
                composites,
                seconds,
                composites * score.fills_per_hole if known is None else int(known),
                estimate=estimate,
            )

    def _method(self, name: str, score: MaskedScore) -> Explainer:
        """Return the method of this name; where fills alone are drawn, run until its map is reliable."""
        method, until = self.methods[name], self.request.until
        if until is None or not score.filler.stochastic or not repeatable(method):
            return method
        return Repeated(cast(SamplingExplainer, method), most_passes(self.request.samples), until)

    def _optimize(
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
        return MethodResult(outcome.heatmap[0].float().cpu(), [shown], looks, seconds, looks, search)

    def _attributed(self, found: Attribution, score: MaskedScore, seconds: float) -> MethodResult:
        shown = [] if found.baseline is None else self._baselines(score, found.baseline[0, :SHOWN])
        looks = int(found.forwards)
        return MethodResult(found.heatmap[0].float().cpu(), shown, looks, seconds, looks, attribution=found)

    def _baselines(self, score: MaskedScore, images: Tensor) -> list[Composite]:
        """Return what an image was compared with; no hole is drawn, for nothing is left."""
        holes = images.new_zeros(len(images), 1, *images.shape[2:])
        with torch.no_grad():
            logits = cast(PreparedClassifier, self.prepared)(images)
        scores, probabilities = score.evaluator.score(logits), self.classifier.probabilities(logits)
        return self._shown(score, images, holes, probabilities, scores)

    def _departures(self, room: int) -> dict[str, list[str]]:
        """Return by method what departs from its paper; nothing if the papers were not asked for."""
        if not self.request.paper:
            return {}
        settings, mode = self.selection.settings, cast(PreparedClassifier, self.prepared).mode
        return departures(self.request, self.methods, self.fillers, settings, self.classifier, mode, room)

    def score(self, image: InputImage) -> MaskedScore:
        """Score the classifier's view of the image; the classifier is prepared once for all images."""
        self._look(image)
        request = self.request
        pixels = image.pixels.to(self.classifier.mean.device)
        room = self.classifier.room((pixels.shape[1], pixels.shape[2]))
        around, before = self.classifier.view(pixels, room), room // 2
        height, width = (side - room for side in around.shape[1:])
        view = around[:, before : before + height, before : before + width]
        precision: Precision = "float32" if self.runtime == "openvino" else request.precision
        if self.prepared is None or self.prepared.source is not self.running:
            self.prepared = prepare(self.running, precision, view[None])
        score = MaskedScore(
            view,
            target=0,
            classifier=self.prepared,
            around=around,
            link=self.model.link,
            execution=Execution(
                request.batch_size,
                precision,
                self.progress,
                incremental=self.runtime.startswith("incremental"),
            ),
            sampling=Sampling(seed=request.seed),
        )
        labels, classes = self.classifier.labels, score.clean_logits.shape[1]
        self.classifier.labels = class_names(labels, classes, "classifier")
        return self.model.targeted(score)

    def _look(self, image: InputImage) -> None:
        """Find what scores the image, if that is different from image to image."""
        if self.scored is None or self.model.of_image is not None:
            self.scored = self.model.of(image.pixels)
        if self.model.of_image is not None:
            self.running = self.classifier

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return how probable each class is; of what are no classes, the numbers as they are."""
        return self.classifier.probabilities(logits) if self.model.probable else logits.float()

    def _seen(self, image: InputImage, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what the classifier sees of a changed photograph."""
        return self.classifier.view(change(image.pixels.to(self.classifier.mean.device)))

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
                label=self.classifier.labels[int(each.argmax())] if self.model.probable else "",
                quantity=quantity_of(score.link),
            )
            for image, hole, each, one in zip(images, holes, probabilities, scores, strict=True)
        ]

    def _settings(self, score: MaskedScore) -> dict[str, Any]:
        """Return how everything was run, for the report."""
        request = self.request
        return {
            "seed": request.seed,
            "device": str(score.image.device),
            "precision": request.precision,
            "runtime": self.runtime,
            "computed_in": cast(PreparedClassifier, self.prepared).mode,
            "batch_size": request.batch_size,
            "samples": request.samples,
            **({} if request.until is None else {"until": request.until}),
            "room": score.room,
            "paper": request.paper,
            "weights": printable(str(request.weights)) if request.weights else None,
        }


def most_passes(samples: int) -> int:
    """Return how often a method is run at most until its map is reliable, of so many ``--samples``."""
    return samples if samples > 1 else PASSES


def compares(method: Explainer) -> bool:
    """Whether the filler matters to a method."""
    return not isinstance(method, AttributingExplainer) or method.fills


def _composites(name: str, method: Explainer, score: MaskedScore) -> int:
    """Return how many composites of the one image of a score a method looks at, at most.

    Raises:
        ValueError: If the method cannot work with this image and target.
    """
    with _naming(name):
        if isinstance(method, OptimizingExplainer):
            require_above_chance(score)
            return method.composites
        if isinstance(method, AttributingExplainer):
            return 1  # how many images it will look at is known to the library alone
        return len(cast(SamplingExplainer, method).holes(score))


@contextmanager
def _naming(method: str) -> Iterator[None]:
    """Put the method's name in front of whatever is wrong."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{method}: {error}") from error
