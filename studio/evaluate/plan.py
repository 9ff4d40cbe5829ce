"""The texts of a request become pairs of methods and fillers, and metrics with their fillers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from studio.evaluate.metrics import METRICS, known_by
from studio.evaluate.request import EvaluateRequest
from studio.registry.fields import known
from studio.registry.own import NO_OWN, Own
from studio.registry.parse import parse_selection
from studio.registry.tables import BASELINES, METHODS, NO_FILLER, NOTHING, SAMPLING, SettingTexts
from studio.registry.variants import names_of

_REMOVES_WITH = "gray"
_BETWEEN = re.compile(r",(?!\w+=|[-+.\s\d])")
"""A comma between fillers; one before a number, a space or ``FIELD=`` is within a filler's settings."""
_IN_WORDS = {"region": "boxes or silhouettes", "others": "the boxes of every class of an image"}

Pair: TypeAlias = "tuple[str, str]"
"""A method and a filler; baselines have none, and `NOTHING` stands for no method."""


@dataclass(frozen=True)
class Plan:
    """What is done with every image.

    Attributes:
        pairs: Of methods and fillers, baselines last; `NO_FILLER` where no filler matters to the method.
        metrics: Names, each with the name of the filler that it removes with, or nothing.
        settings: Of methods and fillers, as texts.
        fillers: All that are named.
    """

    pairs: Sequence[Pair]
    metrics: Sequence[tuple[str, str]]
    settings: SettingTexts
    fillers: Sequence[str]

    @property
    def removing(self) -> list[str]:
        """The fillers that remove something: a method or a metric runs with them."""
        used = [*(filler for _, filler in self.pairs), *(filler for _, filler in self.metrics)]
        return [filler for filler in dict.fromkeys(used) if filler not in ("", NO_FILLER)]

    def metrics_of(self, pair: Pair) -> list[tuple[str, str]]:
        """Return the metrics that a pair has."""
        return [each for each in self.metrics if _applies(each[0], pair[0])]


def _applies(metric: str, method: str) -> bool:
    looked_at = METRICS[metric].of
    if method == NOTHING:
        return looked_at == "filler"
    return {
        "heatmap": True,
        "samples": method in SAMPLING,
        "again": method in METHODS and (metric != "sensitivity" or _varies(method)),
        "filler": False,
    }[looked_at]


def _varies(method: str) -> bool:
    """Whether a method has a setting or a seed that `studio.evaluate.again.sensitivity` can change."""
    return bool({"patch", "seed", "cells", "segments"} & METHODS[method].fields().keys())


def parse(request: EvaluateRequest, offers: frozenset[str], own: Own = NO_OWN) -> Plan:
    """Check all names and settings of a request that is completed by its preset.

    Args:
        request: As `studio.evaluate.presets.completed` leaves it.
        offers: What the data knows.
        own: What the caller brings along.

    Raises:
        ValueError: If a name is unknown, a setting does not fit, or the data lacks what a metric needs.
    """
    asked = [_split_method(text) for text in request.methods]
    wanted = [_split_metric(text, offers) for text in request.metrics]
    methods = [name for name, _ in asked]
    for name in methods:
        known(name, [*METHODS, *own.methods], "method")
    doubled = {name for name in methods if methods.count(name) > 1}
    if doubled:
        raise ValueError(
            f"--method: {', '.join(sorted(doubled))} is named twice; give all its fillers at once"
        )
    filled = {name: getattr(own.methods.get(name) or METHODS[name], "fills", True) for name in methods}
    texts = _filler_texts(request, asked, wanted, any(filled[name] and not its for name, its in asked))
    selection, called = parse_selection(texts, request.settings, methods, own=own), names_of(texts)
    pairs = [
        (name, filler)
        for name, given in asked
        for filler in _fillers(name, given, request.fillers, filled[name], called)
    ]
    # Gray is asked for in silence: in the one setting that others give it, or else as it is.
    metrics = [(name, called.get(text, text)) for name, text in wanted]
    plan = Plan(pairs, list(dict.fromkeys(metrics)), selection.settings, selection.fillers)
    beside = _beside(request, plan, offers, called)
    return Plan([*pairs, *beside], plan.metrics, plan.settings, plan.fillers)


def _filler_texts(
    request: EvaluateRequest, asked: Sequence[tuple[str, Sequence[str]]], wanted: Sequence[Pair], usual: bool
) -> list[str]:
    """Return what is asked for of fillers: of the ``usual`` ones nothing where all methods have their own.

    A metric that is given no filler removes with `_REMOVES_WITH`, in the one setting that others give it; as
    it is where they give it none, or several.
    """
    own = [text for _, its in asked for text in its if text != NO_FILLER]
    removing = [(metric, text) for metric, (_, text) in zip(request.metrics, wanted, strict=True) if text]
    named = [text for metric, text in removing if ":" in metric]
    texts = [*(request.fillers if usual or not own else ()), *own, *named]
    silent = len(named) < len(removing) and _REMOVES_WITH not in names_of(texts).values()
    return [*texts, *([_REMOVES_WITH] if silent else [])]


def _beside(
    request: EvaluateRequest, plan: Plan, offers: frozenset[str], called: Mapping[str, str]
) -> list[Pair]:
    """Return what is judged beside the methods: fillers alone, and baselines."""
    found: list[Pair] = []
    if any(METRICS[name].of == "filler" for name, _ in plan.metrics):
        used = dict.fromkeys(filler for _, filler in plan.pairs if filler != NO_FILLER)
        used = used or dict.fromkeys(called[text] for text in request.fillers)
        found += [(NOTHING, filler) for filler in used]
    if request.baselines and any(METRICS[name].of == "heatmap" for name, _ in plan.metrics):
        truth = offers & {"boxes", "silhouettes"}
        found += [(name, "") for name in (BASELINES if truth else BASELINES[:2])]
    return found


def _fillers(
    method: str, own: Sequence[str], usual: Sequence[str], filled: bool, called: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the names of the fillers that a method runs with, if it is ``filled`` at all.

    Raises:
        ValueError: If none matters to it, and it is given some; or the other way around.
    """
    if filled and NO_FILLER in own:
        raise ValueError(f"--method {method}/{','.join(own)}: {method} removes with a filler; name it")
    if filled:
        return tuple(dict.fromkeys(called[text] for text in own or usual))
    if set(own) - {NO_FILLER}:
        raise ValueError(f"--method {method}/{','.join(own)}: no filler matters to {method}")
    return (NO_FILLER,)


def _split_method(text: str) -> tuple[str, tuple[str, ...]]:
    name, slash, fillers = text.partition("/")
    if slash and not fillers:
        raise ValueError(f"--method: expected NAME/FILLER, as in mp/blur, got {text!r}")
    return name, tuple(_BETWEEN.split(fillers)) if slash else ()


def _split_metric(text: str, offers: frozenset[str]) -> tuple[str, str]:
    name, colon, filler = text.partition(":")
    entry = METRICS[known(name, METRICS, "metric")]
    if colon and not (entry.removes and filler):
        raise ValueError(
            f"--metric {text}: {name} removes nothing with a filler of its own"
            if filler
            else f"--metric: expected NAME:FILLER, as in deletion:inpaint, got {text!r}"
        )
    if not known_by(entry.needs, offers):
        needed = _IN_WORDS.get(entry.needs, entry.needs)
        has = ", ".join(sorted(offers)) or "no annotation"
        raise ValueError(f"--metric {name}: needs {needed}, which the data does not say (it has {has})")
    return name, (filler or _REMOVES_WITH) if entry.removes else ""
