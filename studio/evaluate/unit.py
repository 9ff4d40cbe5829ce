"""One unit of work: an image, a method, a filler, and all metrics of that heatmap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch

from attribution import Execution, Explainer, MaskedScore, Sampling, probability, sigmoid
from attribution.engine.precision import prepare
from attribution.evaluation.baselines import background_map, center_map, object_map, random_map
from attribution.explainer import checked
from studio.data.classes import class_of, others_of
from studio.data.regions import boxed
from studio.evaluate.explained import Explained, Subject
from studio.evaluate.measures import COMPUTE
from studio.evaluate.request import EvaluateRequest
from studio.evaluate.setup import Setup, set_up
from studio.registry.build import build_filler, serves_all
from studio.registry.tables import BASELINES, NOTHING
from studio.registry.target import compared
from studio.runs.folder import EXAMPLE, Key
from studio.runs.part import Part, Values

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from infill import Filler
    from models.classifiers import ImageClassifier
    from studio.data.example import Example

SHOWN = 144
"""Side in pixels of the view that is kept to be shown."""


@dataclass(eq=False)
class Worker:
    """Does units, one after another; holds the networks, and the image that it was asked about last.

    What a unit gives depends on the request and on the unit alone.
    """

    setup: Setup
    _subject: Subject | None = None
    _fillers: dict[str, Filler] = field(default_factory=dict)

    @classmethod
    def made(cls, request: EvaluateRequest) -> Worker:
        """Return a worker that has loaded everything itself, as in another process."""
        return cls(set_up(request))

    def __call__(self, key: Key) -> tuple[Part, ndarray | None]:
        """Return what a unit finds, and the heatmap, if there is one.

        What is wrong with an image, with a method on it or with a metric, is the part's error.
        """
        number, name = key
        try:
            if name == EXAMPLE:
                return Part(f"{number} {name}", self._about(number)), self._picture(number)
            method, _, filler = name.partition("--")
            explained = self._explained(number, method, filler)
            values, wrong = self._values(explained)
            part = Part(f"{number} {name}", {}, values, "; ".join(wrong))
            return part, None if method == NOTHING else explained.heatmap.float().cpu().numpy()
        except ValueError as error:
            image = self.setup.data.names[number]
            reason = str(error).removeprefix(f"{image}: ")
            return Part(f"{number} {name}", {"name": image} if name == EXAMPLE else {}, {}, reason), None

    def _about(self, number: int) -> dict[str, Any]:
        subject, setup = self._read(number), self.setup
        example, score = subject.example, subject.score
        before = subject.before or score
        target, first = int(cast("Tensor", score.target)), int(before.clean_logits[0].argmax())
        if setup.request.correct_only and target != first:
            raise ValueError(f"--correct-only: the classifier takes it for {setup.classifier.labels[first]}")
        most = setup.request.largest_box
        if most is not None and (share := float(boxed(example).float().mean())) > most:
            raise ValueError(f"--largest-box: the boxes cover {100 * share:.0f} % of the image")
        return {
            "name": example.name,
            "photograph": setup.data.photographs[number],
            "target": target,
            "first": int(score.clean_logits[0].argmax()),
            "clean": round(float(score.clean), 6),
            **({"before": {"first": first, "clean": round(float(before.clean), 6)}} if setup.attack else {}),
            "off_center": _off_center(example),
            "difficult": example.difficult,
        }

    def _picture(self, number: int) -> ndarray:
        """Return what the classifier sees, small and in 8 bits."""
        import torch.nn.functional as F

        view = self._read(number).score.image
        small = F.interpolate(view, size=(SHOWN, SHOWN), mode="bilinear", antialias=True)
        pixels: ndarray = (small[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return pixels

    def _read(self, number: int) -> Subject:
        """Read an image, unless it is the last one."""
        if self._subject is not None and self._subject.number == number:
            return self._subject
        setup = self.setup
        example, before = setup.data.read(number), None
        classifier = setup.classifier if setup.model is None else setup.model.of(example.image).classifier
        score = self._scored(example, classifier)
        if setup.attack is not None:
            before, target = score, cast("Tensor", score.target)
            pixels = example.image[None].to(classifier.mean.device)
            attacked = setup.attack(classifier, pixels, target, classifier.multi_label)
            example = replace(example, image=attacked[0].to(example.image))
            score = self._scored(example, classifier, int(target))
        pixels = example.image.to(classifier.mean.device)
        seen = partial(_seen, classifier, pixels)
        build = partial(self._filler, view=score.image[0], seen=seen)
        others = others_of(example, setup.data.kind, classifier.labels, int(cast("Tensor", score.target)))
        self._subject = Subject(number, example, classifier, score, build, setup.request.seed, before, others)
        return self._subject

    def _scored(
        self, example: Example, classifier: ImageClassifier, target: int | None = None
    ) -> MaskedScore:
        """Return the score of an image; ``None`` is the target that the data says, or the first choice."""
        setup, request = self.setup, self.setup.request
        pixels = example.image.to(classifier.mean.device)
        room = classifier.room((pixels.shape[1], pixels.shape[2]))
        around, before = classifier.view(pixels, room), room // 2
        height, width = (side - room for side in around.shape[1:])
        view = around[:, before : before + height, before : before + width]
        known = class_of(example, setup.data.kind, classifier.labels) if setup.labelled else target
        score = MaskedScore(
            view,
            target=known or 0,
            classifier=setup.prepared or prepare(classifier, setup.precision, view[None]),
            around=around,
            link=sigmoid if classifier.multi_label else probability,
            execution=Execution(
                request.batch_size,
                setup.precision,
                incremental=setup.settings["runtime"] == "incremental",
            ),
            sampling=Sampling(samples=request.samples, seed=request.seed),
        )
        return self._targeted(score, classifier, known)

    def _targeted(self, score: MaskedScore, classifier: ImageClassifier, target: int | None) -> MaskedScore:
        """Return the score of what is explained of the one image of a score."""
        setup = self.setup
        if setup.model is not None:
            return setup.model.targeted(replace(score, link=setup.model.link))
        if target is None:
            score = replace(score, target=int(score.clean_logits[0].argmax()))
        return compared(score, setup.request.against, classifier.labels)

    def _filler(self, name: str, view: Tensor, seen: Callable[..., Tensor]) -> Filler:
        """Build a filler, once for all images unless it needs to know the image."""
        if not serves_all(self._fillers.get(name)):
            settings, precision = self.setup.plan.settings, self.setup.request.precision
            own = self.setup.own
            filler = build_filler(name, settings, view, precision, seen, own)
            cache = None if name in own.fillers else self.setup.cache
            self._fillers[name] = cache.keeping(name, settings, precision, filler) if cache else filler
        return self._fillers[name]

    def _explained(self, number: int, name: str, filler: str) -> Explained:
        subject = self._read(number)
        if name in BASELINES:
            return Explained(subject, subject.score, _baseline(name, subject), name)
        score = subject.scored(filler)
        if name == NOTHING:
            return Explained(subject, score, torch.zeros(score.size), name, None, filler)
        method: Explainer = self.setup.methods[name]
        # No comparison is true of NaN: figures would be had, and mean nothing.
        heatmap = checked(method(score), score)[0]
        return Explained(subject, score, heatmap, name, method, filler)

    def _values(self, explained: Explained) -> tuple[Values, list[str]]:
        """Return what the metrics find, and why some find nothing: others may still do."""
        values: dict[str, Any] = {}
        wrong = []
        for name, filler in self.setup.plan.metrics_of((explained.name, explained.filler)):
            try:
                values.update(COMPUTE[name](explained, filler))
            except ValueError as error:
                wrong.append(f"{name}: {error}")
        return values, wrong


def _baseline(name: str, subject: Subject) -> Tensor:
    size, chance = subject.score.size, subject.chance("baseline")
    if name == "center":
        return center_map(size)
    if name == "random":
        return random_map(size, chance)
    region = subject.region.cpu()
    return object_map(region, chance) if name == "object" else background_map(region, chance)


def _seen(classifier: Any, pixels: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    seen: Tensor = classifier.view(change(pixels))
    return seen


def _off_center(example: Example) -> bool | None:
    """Whether no box holds the image's center; ``None`` where boxes are not known."""
    if example.boxes is None or not len(example.boxes):
        return None
    y, x = (side / 2 for side in example.image.shape[1:])
    return not any(
        left <= x < right and top <= y < bottom for left, top, right, bottom in example.boxes.tolist()
    )
