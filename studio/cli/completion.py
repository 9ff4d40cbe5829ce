"""What the shell completes: the names of methods, fillers, classifiers, metrics, presets and weights.

Nothing here is imported before a name is completed, and no torch is, unless a plugin imports it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import click
from click.shell_completion import CompletionItem

Completes: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
"""As ``shell_complete`` of a parameter has it."""

_REGISTERED = re.compile(r"@register_model\(\)\n(?:@.*\n)*def (\w+)\(")
"""How torchvision's sources begin a network; importing them would take seconds."""


def _completes(named: Callable[[], Mapping[str, str]]) -> Completes:
    def complete(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
        return [
            CompletionItem(name, help=summary or None)
            for name, summary in named().items()
            if name.startswith(begun)
        ]

    return complete


def _methods() -> dict[str, str]:
    from studio.registry.tables import METHODS

    return {name: row.summary for name, row in METHODS.items()}


def _removing() -> dict[str, str]:
    from studio.registry.tables import REMOVING

    return {name: row.summary for name, row in REMOVING.items()}


def _fillers() -> dict[str, str]:
    from studio.registry.tables import ALL_FILLERS

    return {name: row.summary for name, row in ALL_FILLERS.items()}


def _metrics() -> dict[str, str]:
    from studio.evaluate.metrics import METRICS

    return {name: row.summary for name, row in METRICS.items()}


def _presets() -> dict[str, str]:
    from studio.evaluate.presets import PRESETS

    return {name: row.summary for name, row in PRESETS.items()}


def _classifiers() -> dict[str, str]:
    from importlib.metadata import entry_points

    ours = {
        "scenes": "names the objects of drawn scenes",
        "timm:": "a network of timm",
        "hf:": "a model of transformers",
        "clip:": "a CLIP model, of what a list names",
        "file:": "a program of torch.export or TorchScript",
        "python:": "what a function returns",
        "places365": "ResNet-50 trained on Places365",
    }
    added = (point.name for point in entry_points(group="infill.classifiers"))
    return {
        **ours,
        **dict.fromkeys(torchvision_networks(), "torchvision"),
        **dict.fromkeys(added, "a plugin"),
    }


def torchvision_networks() -> Iterable[str]:
    """Return torchvision's classification networks, read off its sources; none if there is no torchvision."""
    spec = find_spec("torchvision")
    folders = (spec.submodule_search_locations if spec else None) or ()
    sources = [path.read_text("utf-8") for folder in folders for path in Path(folder, "models").glob("*.py")]
    return sorted(name for source in sources for name in _REGISTERED.findall(source))


def _weights() -> dict[str, str]:
    from models.weights.catalog import CATALOG

    return {name: entry.purpose for name, entry in CATALOG.items()}


METHOD = _completes(_methods)
SEARCHING = _completes(_removing)
FILLER = _completes(_fillers)
METRIC = _completes(_metrics)
PRESET = _completes(_presets)
CLASSIFIER = _completes(_classifiers)
WEIGHTS = _completes(_weights)
