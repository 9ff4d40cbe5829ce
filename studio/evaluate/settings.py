"""All that results depend on: a run goes on with the same alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution import Explainer
from attribution.explainer import AttributingExplainer
from studio.data.example import Dataset
from studio.evaluate.metrics import METRICS
from studio.evaluate.plan import Plan
from studio.evaluate.request import EvaluateRequest
from studio.libraries import versions
from studio.registry.build import is_signed
from studio.registry.identity import added_by, classifier_identity
from studio.runs.folder import REVISION

if TYPE_CHECKING:
    from models.classifiers import ImageClassifier


def settings_of(
    request: EvaluateRequest,
    data: Dataset,
    plan: Plan,
    classifier: ImageClassifier,
    name: str,
    methods: Mapping[str, Explainer],
    labelled: bool,
) -> dict[str, Any]:
    """Return what the request, the data and the classifier have a part in, in values that JSON has.

    Args:
        request: Completed by its preset.
        data: The examples that are chosen.
        plan: Which methods run with which fillers, and what is measured.
        classifier: That is explained.
        name: The classifier's; empty if its weights say it.
        methods: By name.
        labelled: Whether targets are what the data says.
    """
    simple = (
        "paper", "baselines", "samples", "split", "targets", "sample", "limit", "correct_only", "largest_box",
        "seed", "target", "against",
    )  # fmt: skip
    return {
        "revision": REVISION,
        "data": data.title,
        "images": len(data),
        "fingerprint": data.fingerprint(),
        "pairs": [list(pair) for pair in plan.pairs if plan.metrics_of(pair)],
        "metrics": [f"{metric}:{filler}" if filler else metric for metric, filler in plan.metrics],
        "methods": {each: repr(method) for each, method in methods.items()},
        "signed": {each: is_signed(each, method) for each, method in methods.items()},
        "classes": list(request.classes),
        **{each: getattr(request, each) for each in simple},
        "labelled": labelled,
        "classifier": {
            "name": name or Path(str(request.weights)).stem,
            "weights": None if request.weights is None else request.weights.name,
            **classifier_identity(classifier, request.classifier),
            "multi_label": classifier.multi_label,
            "labels": list(classifier.labels),
        },
        "device": classifier.mean.device.type,
        "batch_size": request.batch_size,
        "versions": _versions(request, plan, name, methods),
    }


def _versions(
    request: EvaluateRequest, plan: Plan, name: str, methods: Mapping[str, Explainer]
) -> dict[str, str]:
    """Return the versions of all code that has a part in the results."""
    looking = any(isinstance(each, AttributingExplainer) for each in methods.values())
    return {
        **versions(looking or request.attack is not None),
        **added_by([*methods, *plan.fillers], name, [METRICS[each].origin for each, _ in plan.metrics]),
    }
