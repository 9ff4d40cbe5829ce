"""What ``--paper`` chooses, and what still departs from the papers when all is said and done."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from models.weights import environment
from studio.explain.request import FILLERS, ExplainRequest
from studio.registry.build import build_method
from studio.registry.papers import INPAINTER, PUBLISHED, STAND_IN, Published
from studio.registry.tables import SettingTexts
from studio.registry.variants import kind_of, names_of, split_fillers

if TYPE_CHECKING:
    from attribution import Explainer
    from models.classifiers import ImageClassifier

_SIMPLE = (bool, int, float, str, tuple, type(None))


def as_published(request: ExplainRequest) -> ExplainRequest:
    """Return the request with all that the papers of its methods fix and the user has not asked for.

    The fillers are those of all of its methods, see `fillers_of`.
    """
    published = [PUBLISHED[name] for name in request.methods if name in PUBLISHED]
    texts = dict.fromkeys(text for each in published for text in _fillers(each))
    unnamed = request.classifier is None and request.weights is None
    classifiers = [name for each in published for name in each.classifiers]
    named = unnamed and request.images and classifiers
    return replace(
        request,
        fillers=request.fillers or tuple(texts) or FILLERS,
        precision="float32" if request.precision == "auto" else request.precision,
        classifier=classifiers[0] if named else request.classifier,
    )


def fillers_of(request: ExplainRequest) -> dict[str, tuple[str, ...]]:
    """Return by method the names of the fillers that its paper has, where the user names none."""
    if not request.paper or request.fillers:
        return {}
    texts = {name: _fillers(PUBLISHED[name]) for name in request.methods if name in PUBLISHED}
    called = names_of([text for its in texts.values() for text in its])
    return {name: tuple(called[text] for text in its) for name, its in texts.items()}


def squash(classifier: ImageClassifier, methods: Sequence[str]) -> None:
    """Let a classifier squash its images instead of resizing their short side, if a method's paper does.

    The other papers do not say what the classifier is shown.
    """
    resize = classifier.preprocessing.resize
    squashed = any(name in PUBLISHED and PUBLISHED[name].squashed for name in methods)
    if squashed and isinstance(resize, int):
        classifier.preprocessing = replace(classifier.preprocessing, resize=(resize, resize))


def departures(
    request: ExplainRequest,
    methods: Mapping[str, Explainer],
    fillers: Mapping[str, Sequence[str]],
    settings: SettingTexts,
    classifier: ImageClassifier,
    mode: str,
    room: int = 0,
) -> dict[str, list[str]]:
    """Return by method what departs from its paper, a line each.

    Args:
        request: As `as_published` leaves it.
        methods: By name.
        fillers: Names by method.
        settings: What was set for them.
        classifier: What is explained.
        mode: In which precision it was computed.
        room: By how many pixels the classifier's views can be enlarged with pixels of the photographs' own.
    """
    return {
        name: [
            *(text for text, when in _known(name).items() if _holds(method, when)),
            *_changed(name, method),
            *_other_fillers(name, fillers[name], settings),
            *_other_classifier(name, request, classifier),
            *_enlarged(method, room),
            *([f"{request.samples} fills a hole (paper: 1)"] if request.samples > 1 else []),
            *([] if mode.startswith("float32") else [f"computed in {mode} (paper: float32)"]),
        ]
        for name, method in methods.items()
    }


def _known(name: str) -> Mapping[str, Mapping[str, Any]]:
    unknown: Mapping[str, Mapping[str, Any]] = {"how its paper runs it is not known here": {}}
    return PUBLISHED[name].departures if name in PUBLISHED else unknown


def _holds(method: Explainer, when: Mapping[str, Any]) -> bool:
    return all(getattr(method, key) == value for key, value in when.items())


def _changed(name: str, method: Explainer) -> list[str]:
    paper = build_method(name, {}, preset="paper")
    fields = [field.name for field in dataclasses.fields(method) if field.name != "seed"]  # type: ignore[arg-type]
    pairs = ((key, getattr(method, key), getattr(paper, key)) for key in fields)
    return [
        f"{key} {value} (paper: {theirs})"
        for key, value, theirs in pairs
        if isinstance(value, _SIMPLE) and value != theirs
    ]


def _enlarged(method: Explainer, room: int) -> list[str]:
    jitter = getattr(method, "jitter", 0)
    without = f"the photograph has no margin of {jitter} pixels for the jitter: its view is enlarged instead"
    return [without] if jitter > room else []


def _fillers(published: Published) -> list[str]:
    """Return a paper's fillers as they can be had here."""
    found = sorted(environment.infill_folder().glob(f"{INPAINTER}*"))
    inpainter = f"{INPAINTER}:{found[0]}" if found else STAND_IN
    return [inpainter if text == INPAINTER else text for text in published.fillers]


def _other_fillers(name: str, fillers: Sequence[str], settings: SettingTexts) -> list[str]:
    if name not in PUBLISHED:
        return []
    names, theirs = split_fillers(PUBLISHED[name].fillers)
    folder, found = environment.infill_folder(), []
    for called in fillers:
        filler, given = kind_of(called), settings.get(called, {})
        if filler == STAND_IN and INPAINTER in names:
            found.append(
                f"{filler} is the network that ships (paper: DeepFill v1, whose weights would be taken from "
                f"{folder / INPAINTER})"
            )
        elif filler not in names:
            found.append(f"filler {filler} (paper: {', '.join(names)})")
        paper = theirs.get(filler, {})
        others = [key for key in given if key != "checkpoint" and given[key] != paper.get(key)]
        found += [f"{filler}.{key}={given[key]} is set" for key in others]
        found += [f"{filler}.{key} is not set (paper: {paper[key]})" for key in paper if key not in given]
    return found


def _other_classifier(name: str, request: ExplainRequest, classifier: ImageClassifier) -> list[str]:
    if name not in PUBLISHED:
        return []
    published, used, texts = PUBLISHED[name], request.classifier or "scenes", []
    theirs = ", ".join(published.classifiers) or "networks of its own"
    if request.weights:
        texts.append(f"classifier with the weights {request.weights} (paper: {theirs})")
    elif used not in published.classifiers:
        texts.append(f"classifier {used} (paper: {theirs})")
    if published.squashed and isinstance(classifier.preprocessing.resize, int | None):
        texts.append("images keep their shape (paper: squashed to a square before the crop)")
    return texts
