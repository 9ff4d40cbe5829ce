"""Who looks at the images: the explained classifier, and the one that is asked about the composites."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from attribution.engine.precision import PreparedClassifier, prepare
from infill.realism.features import Judge, judge
from models.classifiers import ImageClassifier
from studio.data.dataset import Dataset, Example
from studio.registry.build import build_classifier

if TYPE_CHECKING:
    from studio.realism.run import Request

_PHOTOGRAPHS = "mobilenet_v2"
"""The classifier of photographs, if none is asked for: small, and known to everybody."""


@dataclass(frozen=True, eq=False)
class Judging:
    """Those who look.

    Attributes:
        view: Whose view of the images it is; ImageNet's usual one without a classifier.
        name: The classifier's; ``None`` if the weights say it, or there is no classifier.
        classifier: Says what is in the untouched images.
        judge: Says what is in the composites, and its features of them.
        judge_eye: The judge's own view.
        missing: Why there is no classifier.
        featureless: Why the judge tells no features, if it does not.
    """

    view: ImageClassifier
    name: str | None = None
    classifier: PreparedClassifier | None = None
    judge: Judge | None = None
    judge_eye: ImageClassifier | None = None
    missing: str = ""
    featureless: str = ""

    @property
    def labels(self) -> Sequence[str]:
        """The names of the classes."""
        return self.view.labels

    @property
    def several(self) -> bool:
        """Whether an image may be of several of the judge's classes."""
        return self.judge_eye is not None and self.judge_eye.multi_label


def fingerprint(classifier: ImageClassifier) -> str:
    """Return a digest of what a classifier sees, knows and calls its classes."""
    eye = (classifier.labels, classifier.crop, classifier.resize, classifier.interpolation)
    digest = hashlib.sha256(repr((*eye, classifier.multi_label)).encode())
    tensors = {"mean": classifier.mean, "std": classifier.std, **classifier.network.state_dict()}
    for name, tensor in tensors.items():
        digest.update(name.encode())
        if isinstance(tensor, Tensor):
            raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(memoryview(raw.numpy()))  # type: ignore[arg-type]
    return digest.hexdigest()


def judging(request: Request, data: Dataset, example: Example, device: torch.device) -> Judging:
    """Load the classifier and the judge.

    If neither is named, it is the usual one for the data; if its weights cannot be had, nobody judges.

    Raises:
        ValueError: If one that was asked for is unknown, cannot be had, or the two know different classes.
    """
    name = request.classifier
    asked = any((name, request.weights, request.judge, request.judge_weights))
    if not name and not request.weights:
        name = "scenes" if data.kind == "scenes" else _PHOTOGRAPHS
    try:
        view = build_classifier(name, request.weights, request.multi_label).to(device)
    except ValueError as error:
        if asked:
            raise
        unjudged = ImageClassifier(nn.Identity()).to(device)
        return Judging(unjudged, missing=f"needs a classifier of photographs: {error}")
    image = view.view(example.image.to(device))[None]
    classifier = prepare(view, request.precision, image)
    judge_eye, asked_about = _judge(request, view, classifier, image)
    network = asked_about.network
    assert isinstance(network, nn.Module)
    featureless = ""
    try:
        judged = judge(asked_about, network, judge_eye.view(image[0])[None])
    except ValueError as error:  # programs and plain functions need not have layers
        judged, featureless = Judge(asked_about, None), f"the judge tells no features: {error}"
    return Judging(
        view=view,
        name=name,
        classifier=classifier,
        judge=judged,
        judge_eye=judge_eye,
        featureless=featureless,
    )


def _judge(
    request: Request, view: ImageClassifier, classifier: PreparedClassifier, image: Tensor
) -> tuple[ImageClassifier, PreparedClassifier]:
    if request.judge is None and request.judge_weights is None:
        return view, classifier
    found = build_classifier(request.judge, request.judge_weights, request.multi_label)
    judge_eye = found.to(image.device)
    if len(judge_eye.labels) != len(view.labels):
        raise ValueError(
            f"--judge: expected the classifier's {len(view.labels)} classes, got {len(judge_eye.labels)}"
        )
    return judge_eye, prepare(judge_eye, request.precision, judge_eye.view(image[0])[None])
