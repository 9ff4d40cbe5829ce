"""Everything that evaluating needs, made from the request before any work is done, in every process."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution import Explainer
from attribution.engine.precision import PreparedClassifier, prepare
from infill.extras import require_extra
from infill.network import Precision
from models.classifiers.metadata import class_names
from studio.data.classes import unknown
from studio.data.dataset import open_dataset
from studio.data.example import Dataset, Example, first_readable
from studio.data.image import read_picture
from studio.data.selection import Looking, select, unwatched
from studio.evaluate.checks import check_asked, check_comparison, check_fillers, check_largest_box, of_scores
from studio.evaluate.plan import Plan, parse
from studio.evaluate.presets import completed, fitting
from studio.evaluate.request import EvaluateRequest
from studio.evaluate.settings import settings_of
from studio.registry.ask import build_asked
from studio.registry.asked import Asked
from studio.registry.attack import identity, parse_attack
from studio.registry.build import build_classifier, build_method, may_draw, usual_classifier
from studio.registry.fill_cache import FillCache, opened_cache
from studio.registry.identity import filler_identity
from studio.registry.own import NO_OWN, Own
from studio.registry.parse import check_compared, check_exclusive, check_samples, parse_device
from studio.registry.runtime import precision_kept, running
from studio.registry.tables import METHODS
from studio.registry.target import TOP, parse_target

if TYPE_CHECKING:
    from torch import Tensor

    from attribution.integrations.attacks import Attack
    from models.classifiers import ImageClassifier


@dataclass(frozen=True, eq=False)
class Setup:
    """What is measured, on what, and how.

    Attributes:
        request: Completed by its preset.
        name: The classifier's.
        prepared: The classifier as it is run; ``None`` if it depends on the image.
        model: What is asked of the classifier, if it is not the data's classes.
        methods: By name.
        labelled: Whether targets are what the data says; else the classifier's own first choices.
        notes: What the user must know.
        settings: All that the results depend on, in values that JSON has.
        cache: Fills that other commands have made, and this one.
        attack: How images are changed before they are explained.
        own: What the caller brings along; nobody knows whether it is the same next time.
    """

    request: EvaluateRequest
    data: Dataset
    plan: Plan
    classifier: ImageClassifier
    name: str
    prepared: PreparedClassifier | None
    methods: Mapping[str, Explainer]
    labelled: bool
    notes: Sequence[str]
    settings: Mapping[str, Any]
    cache: FillCache | None = None
    model: Asked | None = None
    attack: Attack | None = None
    own: Own = NO_OWN

    @property
    def precision(self) -> Precision:
        """In which precision the classifier is run."""
        return self.request.precision if self.prepared is None else self.prepared.precision


def set_up(
    request: EvaluateRequest,
    own: Own = NO_OWN,
    progress: Looking = unwatched,
) -> Setup:
    """Check the request and load everything.

    Args:
        request: What is asked for.
        own: What the caller brings along.
        progress: Told how the choice of images goes.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read, or a library is missing.
    """
    require_extra("evaluate", "infill evaluate")
    device = parse_device(request.device)
    attack = parse_attack(request.attack)
    if attack and request.against == "next":
        raise ValueError("--against: expected a class with --attack, under which next would be another one")
    data = open_dataset(request.data, split=request.split)
    asked, named = bool(request.metrics), request.fillers
    check_largest_box(request.largest_box, data)
    request = completed(request, data.offers)
    precision = "float32" if request.paper and request.precision == "auto" else request.precision
    metrics = fitting(request.metrics, asked, data.offers)
    metrics = of_scores(metrics, asked, *_scores(request))
    request = replace(request, precision=precision, metrics=metrics)
    plan = parse(request, data.offers, own)
    check_fillers(plan, [name for name in named if name not in own.fillers])
    check_samples(request.samples, any(may_draw(name, own) for name in plan.removing), plan.removing)
    compared = parse_target(request.target or TOP, request.against).compared
    check_compared([method for method, _ in plan.pairs], compared)
    preset = "paper" if request.paper else "quick"
    methods = {
        name: build_method(name, plan.settings, request.seed, preset, own)  # type: ignore[arg-type]
        for name in dict.fromkeys(name for name, _ in plan.pairs)
        if name in METHODS or name in own.methods
    }
    name = request.classifier or ("" if request.weights else usual_classifier(data.kind))
    model = _asked(replace(request, classifier=name or None), own)
    if model is None:
        classifier = build_classifier(name or None, request.weights, request.multi_label, own).to(device)
        check_comparison(request, classifier.labels)
    else:
        classifier = model.classifier
    check_exclusive([method for method, _ in plan.pairs], classifier.multi_label)
    fixed = model is None or model.of_image is None
    every = data
    data = select(data, request.selection(request.seed), classifier.labels, progress)
    if not len(data):
        raise ValueError(f"DATA: {data.title} has no image that is asked for")
    example = first_readable(data)
    run, runtime = running(classifier, request.runtime, methods, fixed, request.precision)
    computed: Precision = "float32" if runtime == "openvino" else request.precision
    view = classifier.view(example.image.to(device))[None]
    prepared = prepare(run, computed, view) if fixed else None
    if prepared is not None:  # without names they are numbered
        classifier.labels = class_names(classifier.labels, prepared(view).shape[1], "classifier")
    labelled, notes = (False, ()) if model else _labelled(request, data, example, classifier)
    if asked:
        check_asked(plan, every, data, labelled, classifier.labels)
    return Setup(
        request=request,
        data=data,
        plan=plan,
        classifier=classifier,
        name=name or Path(str(request.weights)).stem,
        prepared=prepared,
        methods=methods,
        labelled=labelled,
        notes=[*data.notes, *notes, *([] if request.runtime == "eager" else [f"run by {runtime}"])],
        settings={
            **settings_of(request, data, plan, classifier, name, methods, labelled),
            "precision": precision_kept(request.precision, device, prepared),
            "fillers": {each: filler_identity(each, plan.settings, own) for each in plan.fillers},
            "runtime": runtime.partition(" ")[0],
            **({"attack": identity(attack)} if attack else {}),
            **({"own": uuid.uuid4().hex} if own else {}),
        },
        cache=opened_cache(request.fill_cache, request.fill_cache_size),
        model=model,
        attack=attack,
        own=own,
    )


def _scores(request: EvaluateRequest) -> tuple[bool, bool]:
    """Whether scores are of classes, and whether they are probabilities."""
    asked = parse_target(request.target or TOP, request.against)
    return asked.of_classes, asked.of_classes and not asked.compared


def _asked(request: EvaluateRequest, own: Own) -> Asked | None:
    """Return what is asked of every image, if it is not the data's classes.

    Raises:
        ValueError: If that cannot be, or needs the data's classes.
    """
    if request.target is None:
        return None
    if request.correct_only or request.targets == "every":
        raise ValueError("--target: expected none with --correct-only or --targets, which ask the data")
    if request.attack:
        raise ValueError("--target: expected none with --attack, which is against the data's class")
    return build_asked(parse_target(request.target, request.against), request, _pixels, own.classifier)


def _pixels(path: Path) -> Tensor:
    return read_picture(path).image


def _labelled(
    request: EvaluateRequest, data: Dataset, example: Example, classifier: ImageClassifier
) -> tuple[bool, Sequence[str]]:
    """Return whether the classifier knows the data's classes, and what to say if it does not."""
    error = unknown(data, example, classifier.labels)
    if error is None:
        return True, ()
    if request.correct_only or request.classes or request.targets == "every":
        raise ValueError(
            f"--correct-only, --classes and --targets need the data's classes: {error}"
        ) from error
    return False, [f"the targets are the classifier's own first choices ({error})"]
