"""The job behind ``infill explain``: every method with every filler on every image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from attribution import MaskedScore
from attribution.explainer import SamplingExplainer
from attribution.holes import Holes
from infill import Filler
from models.classifiers import ImageClassifier
from studio import registry
from studio.figures import Sample, draw
from studio.output import output_folder
from studio.progress import Progress
from studio.report import Explanation, Run, page, save_heatmaps, save_report
from studio.settings import known
from studio.subjects import Subject, Subjects, target_index

SAMPLES = 4


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        classifier: Its name; ``None`` leaves it to the weights, or is ``scenes`` if there are none.
    """

    images: Sequence[Path] = ()
    scene: int = 1
    classifier: str | None = None
    weights: Path | None = None
    methods: Sequence[str] = ("sp", "lime", "rise")
    fillers: Sequence[str] = ("gray", "blur", "inpaint")
    target: str = "top1"
    out: Path = Path("infill-out")
    seed: int = 0
    device: str = "auto"
    precision: Any = "auto"
    batch_size: int = 64
    settings: Sequence[str] = ()
    paper: bool = False


def explain(request: Request, tell: Callable[[str], object]) -> None:
    """Explain every image and write its files; ``tell`` is told each result in a line.

    What can be wrong with the names, settings, files and the target is found before any work is done.

    Raises:
        ValueError: if something asked for is unknown, impossible or cannot be read.
    """
    for name in request.fillers:
        known(name, registry.FILLERS, "filler")
    settings = registry.parse_settings(request.settings, [*request.methods, *request.fillers])
    methods = {name: _method(request, name, settings) for name in request.methods}
    device = _device(request.device)
    with output_folder(request.out) as folder, Progress() as progress:
        subjects = Subjects(request.images, request.scene)
        asked = request.classifier or (None if request.weights else "scenes")
        classifier = registry.build_classifier(asked, request.weights).to(device)
        target_index(request.target, classifier.labels, top=0)
        job = _Job(request, classifier, methods, settings, progress)
        for subject in subjects:
            found = job.explained(subject, len(subjects))
            files = {
                "explain.png": partial(draw, page(found)),
                "heatmaps.npz": partial(save_heatmaps, found),
                "explain.json": partial(save_report, found),
            }
            written = folder.publish(files, within=subject.folder if len(subjects) > 1 else "")
            label, p = classifier.labels[found.target], float(found.probabilities[found.target])
            tell(f"{subject.title}: {label}, p = {p:.3f} ({found.seconds:.1f} s)")
            tell("  " + " ".join(str(path) for path in written))
    quick = registry.shortcuts(methods, settings)
    if quick and not request.paper:
        tell(f"quick settings: {quick}; --paper for the papers'")


@dataclass(eq=False)
class _Job:
    """What stays the same from image to image."""

    request: Request
    classifier: ImageClassifier
    methods: Mapping[str, SamplingExplainer]
    settings: registry.Settings
    progress: Progress
    prepared: Callable[[Tensor], Tensor] | None = None

    def explained(self, subject: Subject, images: int) -> Explanation:
        begun = time.perf_counter()
        score = self._score(subject)
        self.progress.plan(images * len(set(self.request.fillers)) * self._composites(score))
        fillers = {name: self._filler(name, score) for name in dict.fromkeys(self.request.fillers)}
        runs: dict[tuple[str, str], Run] = {}
        for name, filler in fillers.items():
            filled = replace(score, filler=filler)
            for method in self.methods:
                runs[name, method] = self._run(method, name, filled)
        return Explanation(
            subject=subject,
            classifier=self.classifier,
            name=self.request.classifier or (self.request.weights.stem if self.request.weights else "scenes"),
            target=int(cast(Tensor, score.target)),
            probabilities=score.clean_logits[0].softmax(0).cpu(),
            methods=self.methods,
            fillers=fillers,
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
            batch_size=asked.batch_size,
            precision=asked.precision,
            seed=asked.seed,
            progress=self.progress,
        )
        self.prepared = score.classifier
        top = int(score.clean_logits[0].argmax())
        return replace(score, target=target_index(asked.target, labels, top))

    def _filler(self, name: str, score: MaskedScore) -> Filler:
        return registry.build_filler(name, self.settings, score.image[0], self.request.precision)

    def _composites(self, score: MaskedScore) -> int:
        """Return how many composites all methods need for one filler."""
        total = 0
        for name, method in self.methods.items():
            try:
                total += len(method.holes(score))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return total

    def _run(self, method: str, filler: str, score: MaskedScore) -> Run:
        explainer = self.methods[method]
        holes = explainer.holes(score)
        begun = time.perf_counter()
        with self.progress.run(f"{method} {filler}"):
            heatmap = explainer(score)[0].float().cpu()
        seconds = time.perf_counter() - begun
        return Run(heatmap, self._samples(score, holes), len(holes), seconds)

    def _samples(self, score: MaskedScore, holes: Holes) -> list[Sample]:
        """Return a few composites by chance, the same holes for every filler; none without a hole."""
        chance = torch.Generator().manual_seed(self.request.seed)
        drawn = (holes[i : i + 1] for i in torch.randperm(len(holes), generator=chance).tolist())
        chosen = torch.cat(list(islice((hole for hole in drawn if hole.any()), SAMPLES)))
        images, chances = score.perturbed(chosen), score.logits(chosen).softmax(1)
        target = int(cast(Tensor, score.target))
        return [
            Sample(
                image=image.permute(1, 2, 0).cpu().numpy(),
                hole=hole[0].cpu().numpy(),
                probability=float(chance[target]),
                label=self.classifier.labels[int(chance.argmax())],
            )
            for image, hole, chance in zip(images, chosen, chances, strict=True)
        ]

    def _said(self, score: MaskedScore) -> dict[str, Any]:
        asked = self.request
        return {
            "seed": asked.seed,
            "device": str(score.image.device),
            "precision": asked.precision,
            "computed_in": getattr(score.classifier, "mode", asked.precision),
            "batch_size": asked.batch_size,
            "paper": asked.paper,
            "weights": str(asked.weights) if asked.weights else None,
        }


def _method(request: Request, name: str, settings: registry.Settings) -> SamplingExplainer:
    return registry.build_method(name, settings, request.seed, paper=request.paper)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device: {name!r} cannot be used here; try cpu") from error
    return device
