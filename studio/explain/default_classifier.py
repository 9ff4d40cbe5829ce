"""Which classifier is explained, where the user names none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from models.weights import store
from studio.explain.request import ExplainRequest

_PREFERRED = ("resnet50", "resnet50@v1", "mobilenet_v2")
"""Classifiers of photographs that are taken if their weights are here, the best first."""


def with_classifier(
    request: ExplainRequest, echo: Callable[[str], object], command: str = "explain"
) -> ExplainRequest:
    """Return the request with a classifier: the scenes' for a scene, for photographs one that is here.

    Args:
        request: What is asked for.
        echo: Gets what is chosen.
        command: Who asks.

    Raises:
        ValueError: If it names none, and there is none for photographs.
    """
    if request.classifier is not None and not request.classifier.strip():
        raise ValueError(f"--classifier: expected a name, as in `infill list`, got {request.classifier!r}")
    if request.classifier or request.weights:
        return request
    if not request.images:
        return replace(request, classifier="scenes")
    for name in _PREFERRED:
        if store.here(name):
            echo(f"classifier: {name}, whose weights are here (--classifier names another)")
            return replace(request, classifier=name)
    raise ValueError(
        f"--classifier: a photograph needs one, as in: infill {command} {request.images[0].name} "
        "--classifier mobilenet_v2 (fetches 14 MB from torchvision; --weights FILE takes your own)"
    )
