"""The explained classifier, and the one that judges the composites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from attribution.engine.precision import PreparedClassifier, prepare
from infill.realism.features import Judge, judge
from models.classifiers import ImageClassifier
from models.classifiers.metadata import class_names
from studio.data.example import Dataset, Example
from studio.registry.build import build_classifier, usual_classifier
from studio.registry.own import NO_OWN, Own

if TYPE_CHECKING:
    from studio.realism.request import RealismRequest


@dataclass(frozen=True, eq=False)
class Judges:
    """The classifiers of a job, and how they are run.

    Attributes:
        classifier: The explained one, whose view of the images it is; ImageNet's usual view if there is none.
        name: Its name; ``None`` if the weights say it, or there is no classifier.
        explained: The same, prepared: says what is in the untouched images.
        judge: Says what is in the composites, and its features of them.
        judging_classifier: The judge's classifier, with its own view.
        missing: Why there is no classifier.
        featureless: Why the judge tells no features, if it does not.
    """

    classifier: ImageClassifier
    name: str | None = None
    explained: PreparedClassifier | None = None
    judge: Judge | None = None
    judging_classifier: ImageClassifier | None = None
    missing: str = ""
    featureless: str = ""

    @property
    def labels(self) -> Sequence[str]:
        """The names of the classes."""
        return self.classifier.labels

    @property
    def multi_label(self) -> bool:
        """Whether an image may be of several of the judge's classes."""
        return self.judging_classifier is not None and self.judging_classifier.multi_label


def load_judges(
    request: RealismRequest, data: Dataset, example: Example, device: torch.device, own: Own = NO_OWN
) -> Judges:
    """Load the classifier and the judge.

    If neither is named, it is the usual one for the data; if its weights cannot be had, nobody judges.

    Raises:
        ValueError: If one that was asked for is unknown, cannot be had, or the two know different classes.
    """
    name = request.classifier
    named = any((name, request.weights, request.judge, request.judge_weights))
    if not name and not request.weights:
        name = usual_classifier(data.kind)
    try:
        classifier = build_classifier(name, request.weights, request.multi_label, own).to(device)
    except ValueError as error:
        if named:
            raise
        unjudged = ImageClassifier(nn.Identity()).to(device)
        return Judges(unjudged, missing=f"needs a classifier of photographs: {error}")
    explained, view = _ready(classifier, request, example.image.to(device), "classifier")
    judging_classifier, prepared, shown = classifier, explained, view
    if request.judge is not None or request.judge_weights is not None:
        judging_classifier = _judging(request)
        prepared, shown = _ready(judging_classifier.to(device), request, view[0], "--judge")
        _check_classes(judging_classifier, classifier)
    made, featureless = _judge(prepared, shown)
    return Judges(classifier, name, explained, made, judging_classifier, featureless=featureless)


def _judging(request: RealismRequest) -> ImageClassifier:
    try:
        return build_classifier(request.judge, request.judge_weights, request.multi_label)
    except ValueError as error:  # which of the two classifiers is meant
        raise ValueError(f"--judge: {error}") from error


def _ready(
    classifier: ImageClassifier, request: RealismRequest, image: Tensor, name: str
) -> tuple[PreparedClassifier, Tensor]:
    """Return a classifier as it is run, and its view of an image; its classes are numbered if need be.

    Raises:
        ValueError: If it does not say its crop, or names more or fewer classes than it has; ``name`` is what
            it was given as.
    """
    if not classifier.crop:
        raise ValueError(f"{name}: expected one that says its crop, got one of whole images")
    view = classifier.view(image)[None]
    prepared = prepare(classifier, request.precision, view)
    classifier.labels = class_names(classifier.labels, prepared(view).shape[1], name)
    return prepared, view


def _check_classes(judge_classifier: ImageClassifier, classifier: ImageClassifier) -> None:
    """Check that the judge's classifier knows the explained one's classes, in their order."""
    count, expected = len(judge_classifier.labels), len(classifier.labels)
    if count != expected:
        raise ValueError(f"--judge: expected the classifier's {expected} classes, got {count}")
    ours, theirs = ([name.casefold() for name in each.labels] for each in (classifier, judge_classifier))
    if ours != theirs and sorted(ours) == sorted(theirs):
        first = next(place for place in range(count) if ours[place] != theirs[place])
        one, other = (each.labels[first] for each in (classifier, judge_classifier))
        raise ValueError(f"--judge: expected the classifier's order, class {first} as {one!r}, got {other!r}")


def _judge(prepared: PreparedClassifier, image: Tensor) -> tuple[Judge, str]:
    """Return the judge, and why it tells no features, if it does not."""
    network = prepared.network
    if not isinstance(network, nn.Module):
        return Judge(prepared, None), "the judge tells no features: it is a module that cannot be copied"
    try:
        # Two images: some networks ask their layers about one after the other.
        return judge(prepared, network, image.repeat(2, 1, 1, 1)), ""
    except ValueError as error:  # programs and plain functions need not have layers
        return Judge(prepared, None), f"the judge tells no features: {error}"
