"""A target's text becomes what is asked of a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from attribution import Against, Value, probability, sigmoid
from attribution.engine.precision import lent
from attribution.targets import LastFeatures, Likeness
from models.weights.environment import expanded
from studio.registry.asked import Asked
from studio.registry.build import build_classifier
from studio.registry.parse import parse_device
from studio.registry.places import box, region
from studio.registry.request import JobRequest
from studio.registry.target import TargetText, check_target, class_index

if TYPE_CHECKING:
    from torch import Tensor

    from models.classifiers import ImageClassifier

Read: TypeAlias = "Callable[[Path], Tensor]"
"""Reads an image file, "3 h w" in [0, 1]."""


def build_asked(
    text: TargetText, request: JobRequest, read: Read, own: ImageClassifier | None = None
) -> Asked:
    """Return what is asked of the model of a request, on its device.

    Args:
        text: The target.
        request: Whose classifier and weights are meant.
        read: For targets that are images.
        own: A classifier that the caller brings along, where it is to run; it is asked instead.

    Raises:
        ValueError: If the model cannot be had, or cannot answer this.
    """
    if text.kind in ("text", "box", "region"):
        if own is not None:
            raise ValueError(f"--target: {text.kind}:{text.place} is asked of models that are named")
        return {"text": _text, "box": box, "region": region}[text.kind](text, request)
    classifier = own or _clip_or_classifier(text, request).to(parse_device(request.device))
    if text.kind == "like":
        return _like(text, classifier, read)
    if text.kind == "output":
        return _output(text, classifier)
    if classifier.labels:  # else they are numbered, once their number is known
        check_target(text, classifier.labels)
    return Asked(text, classifier, sigmoid if classifier.multi_label else probability)


def _clip_or_classifier(text: TargetText, request: JobRequest) -> ImageClassifier:
    """Return the classifier of a request; of CLIP, without labels, what embeds images."""
    kind, _, place = (request.classifier or "").partition(":")
    if text.kind == "like" and kind == "clip" and "@" not in place:
        from models.classifiers.clip import load_texts

        return load_texts(place, [""], request.weights)
    return build_classifier(request.classifier, request.weights, request.multi_label)


def _output(text: TargetText, classifier: ImageClassifier) -> Asked:
    labels = classifier.labels
    index = class_index("--target", text.place, labels or [str(i) for i in range(10**4)])
    return Asked(text, classifier, Value(), f"output {labels[index] if labels else index}", index)


def _text(text: TargetText, request: JobRequest) -> Asked:
    from models.classifiers.clip import load_texts

    kind, _, place = (request.classifier or "").partition(":")
    if kind != "clip" or not place:
        got = request.classifier or request.weights
        raise ValueError(f"--target: a text needs a CLIP model, --classifier clip:FOLDER; got {got}")
    texts = [text.place, *([] if text.against is None else [text.against])]
    if len(set(texts)) < len(texts):
        raise ValueError(f"--against: {text.against!r} is what is explained; give another text")
    classifier = load_texts(place.partition("@")[0], texts, request.weights)
    classifier = classifier.to(parse_device(request.device))
    if text.against is not None:
        return Asked(text, classifier, Against(1))
    network: Any = classifier.network
    network.scale.fill_(1)  # the cosine itself
    return Asked(text, classifier, Value(name="cosine"), f"likeness to {text.place!r}")


def _like(text: TargetText, classifier: ImageClassifier, read: Read) -> Asked:
    from models.classifiers.clip import Embedded, ZeroShot

    path = expanded(text.place)
    try:
        pixels = read(path)
    except ValueError as error:
        raise ValueError(f"--target: like: {str(error).removeprefix('image: ')}") from error
    view = classifier.view(pixels.to(classifier.mean.device))[None]
    shown = (view - classifier.mean) / classifier.std
    network: Any = classifier.network
    with torch.no_grad(), lent(network):  # it may be the caller's own
        embed = Embedded(network) if isinstance(network, ZeroShot) else LastFeatures(network, shown)
        scored = classifier.with_network(Likeness(embed, embed(shown)))
    title = f"likeness to {path.name}"
    scored.labels, scored.multi_label = (title,), False
    return Asked(text, scored, Value(name="cosine"), title)
