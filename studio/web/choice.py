"""What the page asks for, checked: what comes from a browser is never a path, and never runs code."""

from __future__ import annotations

import shlex
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

from studio.explain.request import ExplainRequest
from studio.registry.fields import known
from studio.registry.tables import ALL_FILLERS, METHODS
from studio.registry.target import parse_target
from studio.web.networks import Networks, fillers
from studio.web.pictures import Chosen

SKETCH: Mapping[str, Sequence[str]] = {
    "sp": ("sp.stride=16",),
    "lime": ("lime.samples=150",),
    "rise": ("rise.masks=250",),
    "pda": ("pda.stride=28", "pda.samples=2"),
    "mp": ("mp.steps=40",),
    "mp-code": ("mp-code.steps=40",),
    "fido": ("fido.steps=30",),
    "fido-cells": ("fido-cells.steps=30",),
    "extremal": ("extremal.steps=60",),
    "extremal-code": ("extremal-code.steps=60",),
    "ssr": ("ssr.steps=40",),
    "sdr": ("sdr.steps=40",),
    "dssr": ("dssr.steps=40",),
    "dssr-plus": ("dssr-plus.steps=40",),
}
"""Settings for a first look, of methods that take longer with their quick ones."""
_LONGEST = 1000


@dataclass(frozen=True)
class Choice:
    """One way to explain.

    Attributes:
        target: ``top1``, the name of a class or its number.
        settings: Texts like ``sp.patch=41``.
    """

    classifier: str
    method: str
    filler: str
    target: str = "top1"
    settings: tuple[str, ...] = ()
    seed: int = 0


def choice(
    classifier: str, method: str, filler: str, target: str = "top1", sketch: bool = False, settings: str = ""
) -> Choice:
    """Return what was chosen, all of it known.

    Args:
        classifier: One that is offered.
        method: Its name.
        filler: Its name.
        target: ``top1``, the name of a class or its number.
        sketch: Whether a first look is enough; what ``settings`` say comes before.
        settings: Texts like ``sp.patch=41``, with spaces between.

    Raises:
        ValueError: If a name is unknown, or a setting is none or is not for browsers.
    """
    known(method, METHODS, "method")
    known(filler, fillers(), "filler")
    own = _settings(settings)
    named = {text.partition("=")[0] for text in own}
    first = [text for text in SKETCH.get(method, ()) if sketch and text.partition("=")[0] not in named]
    return Choice(classifier, method, filler, target or "top1", (*first, *own))


def aimed(target: str, other: str | None) -> str:
    """Return a target, or what is explained of it rather than of another class."""
    return f"against:{target},{other}" if other else target


def request(chosen: Chosen, choice: Choice, networks: Networks, **more: Any) -> ExplainRequest:
    """Return what the command would be asked for.

    Raises:
        ValueError: If the target is no class: other targets may name files.
    """
    if not parse_target(choice.target).of_classes:
        raise ValueError(f"target: expected a class, got {choice.target!r:.80}")
    source: dict[str, Any] = (
        {"images": (Path(chosen.name),)} if chosen.scene is None else {"scene": chosen.scene}
    )
    return ExplainRequest(
        **source,
        classifier=networks.given if choice.classifier == networks.own else choice.classifier,
        weights=networks.weights_of(choice.classifier),
        multi_label=networks.multi_label and choice.classifier == networks.own,
        device=networks.device,
        target=choice.target,
        settings=choice.settings,
        seed=choice.seed,
        **{"methods": (choice.method,), "fillers": (choice.filler,), **more},
    )


def _settings(text: str) -> tuple[str, ...]:
    if len(text) > _LONGEST:
        raise ValueError(f"settings: expected at most {_LONGEST} letters, got {len(text)}")
    try:
        texts = shlex.split(text.replace(";", " "))
    except ValueError as error:
        raise ValueError(f"settings: {error}, as in 'sp.patch=41 sp.stride=8'") from error
    for each in texts:
        _require_harmless(each)
    return tuple(texts)


def _require_harmless(text: str) -> None:
    """Refuse settings that may be any text: such a text may be the name of a file."""
    name, _, field = text.partition("=")[0].partition(".")
    entries = {**METHODS, **ALL_FILLERS}
    if name not in entries:
        return  # the parser of settings says what is wrong
    kinds = entries[name].fields().get(field, [])
    if any(not _harmless(kind) for kind in kinds):
        raise ValueError(f"settings: {name}.{field} can be set on the command line only")


def _harmless(kind: Any) -> bool:
    simple = kind in (int, float, bool, types.NoneType)
    return simple or get_origin(kind) is Literal or get_origin(kind) is tuple
