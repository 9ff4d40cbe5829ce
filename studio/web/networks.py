"""The classifiers that the studio offers, each loaded once and shared by all who look at the page."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from models.weights import store
from studio.registry.tables import FILLERS, PRETRAINED

if TYPE_CHECKING:
    from attribution.engine.precision import PreparedClassifier
    from models.classifiers import ImageClassifier

SHIPPED = "scenes"
_KNOWN = (
    "mobilenet_v2", "resnet50", "resnet50@v1", "resnet34@v1", "resnet18", "efficientnet_b0",
    "convnext_tiny", "vit_b_16",
)  # fmt: skip
"""Classifiers of torchvision that are offered where their weights are here."""


@dataclass(eq=False)
class Networks:
    """What can be chosen, and what has been loaded of it.

    A name comes from the browser, so only names of this list are ever loaded: others lead to files and code.

    Attributes:
        given: The classifier that the command line names, if any, and its file of weights.
        weights: That file.
        device: Where they run.
    """

    given: str | None = None
    weights: Path | None = None
    multi_label: bool = False
    device: str = "auto"
    _loaded: dict[str, ImageClassifier] = field(default_factory=dict)
    _prepared: dict[str, PreparedClassifier] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def names(self) -> list[str]:
        """Return the classifiers that can be chosen; the first is the one to begin with."""
        own = [self.own] if self.own else []
        here = [name for name in _KNOWN if store.here(name)]
        return list(dict.fromkeys([*own, SHIPPED, *here]))

    @property
    def own(self) -> str | None:
        """Return what the classifier of the command line is called."""
        return self.given or (self.weights.stem if self.weights else None)

    def weights_of(self, name: str) -> Path | None:
        """Return the file of weights that the command line gave for the classifier of this name."""
        return self.weights if name == self.own else None

    def classifier(self, name: str) -> ImageClassifier:
        """Return the classifier of this name, loading it if need be.

        Raises:
            ValueError: If it is not offered, or cannot be loaded.
        """
        from studio.registry.build import build_classifier
        from studio.registry.parse import parse_device

        if name not in self.names():
            raise ValueError(f"classifier: expected one of {', '.join(self.names())}, got {name!r}")
        with self._lock:
            if name not in self._loaded:
                given = self.given if name == self.own else name
                multi_label = self.multi_label and name == self.own
                loaded = build_classifier(given, self.weights_of(name), multi_label)
                if not loaded.crop:  # holes are drawn in its view
                    raise ValueError(f"--classifier: expected one that says its crop, got {name}")
                self._loaded[name] = loaded.to(parse_device(self.device))
            return self._loaded[name]

    def prepared(self, name: str) -> PreparedClassifier | None:
        """Return the classifier as it is run, if it has been run before."""
        return self._prepared.get(name)

    def keep(self, name: str, prepared: PreparedClassifier | None) -> None:
        """Keep the classifier as it is run."""
        if prepared is not None:
            self._prepared.setdefault(name, prepared)


def fillers() -> list[str]:
    """Return the fillers that run here: those without weights, and those whose weights are here."""
    fetched: Sequence[str] = [
        name for name, entry in PRETRAINED.items() if entry.weights and store.here(entry.weights)
    ]
    return [*FILLERS, *fetched]
