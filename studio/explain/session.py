"""Loads what a request asks for, and explains images with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from attribution import Execution, Explainer, MaskedScore, Sampling
from attribution.engine.precision import PreparedClassifier, prepare
from attribution.estimate import EstimatingExplainer
from attribution.explainer import AttributingExplainer
from attribution.methods.repeated import repeatable
from infill import Filler
from infill.network import Precision
from models.classifiers import ImageClassifier
from models.classifiers.metadata import class_names
from studio.explain.inputs import InputImage, printable, read_pixels
from studio.explain.paper import departures, squash
from studio.explain.request import ExplainRequest
from studio.explain.result import Explanation, MethodResult
from studio.explain.runner import Runner, naming
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


def _unwatched(score: MaskedScore) -> MaskedScore:
    return score


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
        watching: Gets the score that a method is about to run with, and returns the one that it runs with.
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
    watching: Callable[[MaskedScore], MaskedScore] = _unwatched

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
        runner = self.runner()
        planned = {name: runner.composites(name, score) for name in self.methods}
        self.progress.plan(images * sum(each * len(self.fillers[name]) for name, each in planned.items()))
        fillers, final = self._built(image, score.image[0])
        self._check_drawing(fillers, final)
        results: dict[tuple[str, str], MethodResult] = {}
        score = score.with_sampling(samples=self.request.samples)
        for filler in (*fillers, NO_FILLER):
            filled = self._filled(score, filler, fillers[filler]) if filler in fillers else score
            for method in (each for each in self.methods if filler in self.fillers[each]):
                with naming(method):
                    results[filler, method] = runner.run(method, filler, self.watching(filled), final)()
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
            loaded=all_loading_options(fillers, self.selection.settings, self.request.precision),
            results=results,
            final=(self.final[0], final) if self.final and final else None,
            settings=self._settings(score),
            departures=self._departures(score.room),
            seconds=time.perf_counter() - begun,
        )

    def runner(self) -> Runner:
        """Return what runs the methods on the image that was scored last."""
        labels, probable = self.classifier.labels, self.model.probable
        return Runner(
            self.request,
            self.methods,
            self.progress,
            cast(PreparedClassifier, self.prepared),
            self.probabilities,
            lambda number: labels[number] if probable else "",
        )

    def _built(self, image: InputImage, view: Tensor) -> tuple[dict[str, Filler], Filler | None]:
        """Return the fillers that methods run with, by name, and the final one."""
        used = {name for each in self.fillers.values() for name in each}
        fillers = {name: self.filler(name, image, view) for name in self.selection.fillers if name in used}
        if self.final is None:
            return fillers, None
        return fillers, build_filler(*self.final, view, self.request.precision, partial(self._seen, image))

    def filler(self, name: str, image: InputImage, view: Tensor) -> Filler:
        """Return the filler of this name for an image, of which the classifier has this view.

        Raises:
            ValueError: If it cannot be built for this image.
        """
        settings, precision = self.selection.settings, self.request.precision
        return build_filler(name, settings, view, precision, partial(self._seen, image), self.own)

    def _check_drawing(self, fillers: Mapping[str, Filler], final: Filler | None) -> None:
        """Check that something draws, if fills or samples are to be repeated.

        Raises:
            ValueError: If all fills would be the same, or no method draws samples.
        """
        drawing = {name for name, filler in fillers.items() if filler.stochastic}
        if self.request.until is None:
            draws = bool(drawing) or (final is not None and final.stochastic)
            numbers = [name for name, method in self.methods.items() if hasattr(method, "samples")]
            check_samples(self.request.samples, draws, self.selection.fillers, numbers)
        elif not any(
            isinstance(method, EstimatingExplainer)
            or (repeatable(method) and drawing & {*self.fillers[name]})
            for name, method in self.methods.items()
        ):
            methods, got = ", ".join(self.methods), ", ".join(self.selection.fillers)
            raise ValueError(
                f"--until: expected one of {', '.join(UNTIL)} among the methods, or sp with a filler that "
                f"draws (noise), got {methods} with {got}"
            )

    def _filled(self, score: MaskedScore, name: str, filler: Filler) -> MaskedScore:
        """Return the score with the filler of this name, or with its fills that are kept."""
        cache = None if name in self.own.fillers else self.cache  # which knows fills by their filler's name
        settings, precision = self.selection.settings, self.request.precision
        kept = cache.keeping(name, settings, precision, filler) if cache else None
        return replace(score, filler=kept or filler)

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


def compares(method: Explainer) -> bool:
    """Whether the filler matters to a method."""
    return not isinstance(method, AttributingExplainer) or method.fills
