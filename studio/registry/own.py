"""What callers bring along: classifiers, methods and fillers that are objects, where others are names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attribution import Explainer
    from infill import Filler
    from models.classifiers import ImageClassifier


@dataclass(frozen=True, eq=False)
class Own:
    """Objects in place of names; requests call them by the names that they have here.

    Attributes:
        classifier: What is explained, on the device that the request names; it is never changed.
        methods: By name.
        fillers: By name.
    """

    classifier: ImageClassifier | None = None
    methods: Mapping[str, Explainer] = field(default_factory=dict)
    fillers: Mapping[str, Filler] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.classifier is not None or self.methods or self.fillers)


NO_OWN = Own()
