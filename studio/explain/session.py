"""What the commands that explain have in common: what was asked for, and running methods on images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from attribution import Execution, Explainer, MaskedScore, Sampling, probability, sigmoid
from infill import Filler
from models.classifiers import ImageClassifier
from studio.explain.inputs import Subject, Subjects, target_index
from studio.explain.result import Explanation, Run
from studio.explain.runs import Runner, planned
from studio.output import Folder, output_folder
from studio.progress import Progress
from studio.registry.build import (
    build_classifier,
    build_filler,
    build_method,
)
from studio.registry.fields import known
from studio.registry.parse import parse_device, parse_settings, split_names
from studio.registry.pretrained import how_loaded
from studio.registry.tables import EVERY_FILLER, PRETRAINED, Preset, Settings


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        classifier: Its name; ``None`` leaves it to the weights, or is ``scenes`` if there are none.
        multi_label: Whether its classes do not exclude each other even if it does not say so itself.
        samples: How many fills each hole gets from a filler that draws.
        trace: Whether the steps of optimizing methods are kept.
    """

    images: Sequence[Path] = ()
    scene: int = 1
    classifier: str | None = None
    weights: Path | None = None
    multi_label: bool = False
    methods: Sequence[str] = ("sp", "lime", "rise")
    fillers: Sequence[str] = ("gray", "blur", "inpaint")
    target: str = "top1"
    out: Path = Path("infill-out")
    seed: int = 0
    device: str = "auto"
    precision: Any = "auto"
    batch_size: int = 64
    samples: int = 1
    settings: Sequence[str] = ()
    paper: bool = False
    trace: bool = False


@contextmanager
def at_work(request: Request, preset: Preset) -> Iterator[tuple[Job, Subjects, Folder]]:
    """Make everything ready; what can be wrong with names, settings and files is found here.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    names, said = split_names(request.fillers)
    request = replace(request, fillers=names, settings=(*said, *request.settings))
    for name in request.fillers:
        known(name, EVERY_FILLER, "filler")
    settings = parse_settings(request.settings, [*request.methods, *request.fillers])
    methods = {name: build_method(name, settings, request.seed, preset) for name in request.methods}
    device = parse_device(request.device)
    with output_folder(request.out) as folder, Progress() as progress:
        subjects = Subjects(request.images, request.scene)
        asked = request.classifier or (None if request.weights else "scenes")
        classifier = build_classifier(asked, request.weights, request.multi_label).to(device)
        target_index(request.target, classifier.labels, top=0)
        yield Job(request, classifier, methods, settings, progress), subjects, folder


@dataclass(eq=False)
class Job:
    """What stays the same from image to image."""

    request: Request
    classifier: ImageClassifier
    methods: Mapping[str, Explainer]
    settings: Settings
    progress: Progress
    prepared: Callable[[Tensor], Tensor] | None = None

    def explained(self, subject: Subject, images: int = 1) -> Explanation:
        """Run every method with every filler on one of so many images.

        Raises:
            ValueError: If a method or filler cannot work with this image.
        """
        begun = time.perf_counter()
        score = self._score(subject)
        self.progress.plan(images * len(self.request.fillers) * self._composites(score))
        fillers = {name: self._filler(name, score) for name in self.request.fillers}
        runner = Runner(self.classifier, self.progress, self.request.seed, self.request.trace)
        runs: dict[tuple[str, str], Run] = {}
        for name, filler in fillers.items():
            filled = replace(score, filler=filler).with_sampling(samples=self.request.samples)
            for method, explainer in self.methods.items():
                runs[name, method] = runner.run(method, explainer, name, filled)
        return Explanation(
            subject=subject,
            classifier=self.classifier,
            name=self.request.classifier or (self.request.weights.stem if self.request.weights else "scenes"),
            target=int(cast(Tensor, score.target)),
            probabilities=self.classifier.probabilities(score.clean_logits)[0].cpu(),
            methods=self.methods,
            fillers=fillers,
            loaded={
                name: how_loaded(name, self.settings, self.request.precision)
                for name in fillers
                if name in PRETRAINED
            },
            runs=runs,
            settings=self._said(score),
            seconds=time.perf_counter() - begun,
        )

    def _score(self, subject: Subject) -> MaskedScore:
        """Score the classifier's view of the image; the classifier is prepared once for all images."""
        asked, labels = self.request, self.classifier.labels
        score = MaskedScore(
            self.classifier.view(subject.image.to(self.classifier.mean.device)),
            target=0,
            classifier=self.prepared or self.classifier,
            link=sigmoid if self.classifier.multi_label else probability,
            execution=Execution(
                batch_size=asked.batch_size, precision=asked.precision, progress=self.progress
            ),
            sampling=Sampling(seed=asked.seed),
        )
        self.prepared = score.classifier
        top = int(score.clean_logits[0].argmax())
        return replace(score, target=target_index(asked.target, labels, top))

    def _filler(self, name: str, score: MaskedScore) -> Filler:
        return build_filler(name, self.settings, score.image[0], self.request.precision)

    def _composites(self, score: MaskedScore) -> int:
        """Return how many composites all methods need for one filler."""
        return sum(planned(name, method, score) for name, method in self.methods.items())

    def _said(self, score: MaskedScore) -> dict[str, Any]:
        asked = self.request
        return {
            "seed": asked.seed,
            "device": str(score.image.device),
            "precision": asked.precision,
            "computed_in": getattr(score.classifier, "mode", asked.precision),
            "batch_size": asked.batch_size,
            "samples": asked.samples,
            "paper": asked.paper,
            "weights": str(asked.weights) if asked.weights else None,
        }
