"""The result of explaining an image."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from attribution import Against, Explainer, Outcome
from attribution.engine.link import Link
from attribution.estimate import Estimate
from attribution.explainer import Attribution
from infill import Filler
from models.classifiers import ImageClassifier
from studio.explain.inputs import InputImage
from studio.explain.panel import Composite
from studio.explain.quantity import PROBABILITY, Quantity, quantity_of
from studio.explain.trace import Trace
from studio.registry.asked import Asked, Scored

TOP = 5


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The result of an optimizing method.

    Attributes:
        outcome: The result; its hole is filled by the final filler, if there is one.
        probabilities: What the classifier sees in the counterfactual (the first, if there are several fills).
        found: The result as the search left it.
        trace: Its steps, if they were to be kept.
        quantity: What its scores are.
    """

    outcome: Outcome
    probabilities: Float[Tensor, " k"]
    found: Outcome
    trace: Trace | None = None
    quantity: Quantity = PROBABILITY

    @property
    def area(self) -> float:
        """Which share of the classifier's view is removed."""
        return float(self.outcome.hole.mean())

    @property
    def failure(self) -> str:
        """Why the class is still there; empty if it is not."""
        if self.outcome.reached.item():
            return ""
        if self.outcome.changed is not None:
            return "no other class is more likely"
        if not self.outcome.removable.item():
            return f"still {self.quantity.written(self.outcome.floor.item())} with everything filled"
        return f"not {self.quantity.at_end(self.outcome.chance.item())}"

    @property
    def missed(self) -> str:
        """Why what was looked for was not found; empty if it was."""
        if self.outcome.enough is None:
            return self.failure
        if self.outcome.enough.item():
            return ""
        whole = self.area == 1
        return "nothing less than all of it is enough" if whole else "the class is not seen in that alone"


@dataclass(frozen=True, eq=False)
class MethodResult:
    """One method with one filler; the heatmap is in the classifier's view.

    Attributes:
        samples: Some of the composites that were looked at; of an optimizing method the counterfactual, of
            one that looks into the classifier what it compared the image with.
        forwards: How many images the classifier was shown.
        estimate: The heatmap with its error, of a method that knows it.
        attribution: What a method that looks into the classifier found.
    """

    heatmap: Float[Tensor, "crop crop"]
    samples: Sequence[Composite]
    composites: int
    seconds: float
    forwards: int
    search: SearchResult | None = None
    estimate: Estimate | None = None
    attribution: Attribution | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """The explanation of one image; ``results`` are by (filler, method).

    The filler is `NO_FILLER` for methods to which none matters.

    Attributes:
        target: The class that is explained, or the number of the column.
        asked: What was asked of the model.
        scored: What scored the image.
        link: What the score is of it.
        clean: The score of the untouched image.
        final: Name and filler that filled the holes which were found, if not the one of the search.
        departures: By method what departs from its paper, if papers were asked for.
        identity: A digest of all that the result depends on.
        loaded: For each filler whose network is loaded, its checkpoint and how it was loaded.
    """

    image: InputImage
    classifier: ImageClassifier
    name: str
    target: int
    link: Link
    clean: float
    probabilities: Float[Tensor, " k"]
    asked: Asked
    scored: Scored
    methods: Mapping[str, Explainer]
    fillers: Mapping[str, Filler]
    loaded: Mapping[str, Mapping[str, Any]]
    results: Mapping[tuple[str, str], MethodResult]
    settings: Mapping[str, Any]
    seconds: float
    final: tuple[str, Filler] | None = None
    departures: Mapping[str, Sequence[str]] = field(default_factory=dict)
    identity: str = ""

    @property
    def against(self) -> int | None:
        """The class that the target is compared with, if it is."""
        return self.link.other if isinstance(self.link, Against) else None

    @property
    def about(self) -> str:
        """What is explained, in words."""
        target = self.asked.title or self.label(self.target)
        return target if self.against is None else f"{target} rather than {self.label(self.against)}"

    @property
    def quantity(self) -> Quantity:
        """What the score is."""
        return quantity_of(self.link)

    def label(self, index: int) -> str:
        """Return the name of a class."""
        return self.classifier.labels[index]

    def part(self, runs: Collection[tuple[str, str]]) -> Explanation:
        """Return the explanation by some of its runs, which are (filler, method), in its own order."""
        if set(runs) == self.results.keys():
            return self
        results = {key: run for key, run in self.results.items() if key in runs}
        fillers, methods = {filler for filler, _ in results}, {method for _, method in results}
        return replace(
            self,
            methods={name: each for name, each in self.methods.items() if name in methods},
            fillers={name: each for name, each in self.fillers.items() if name in fillers},
            loaded={name: each for name, each in self.loaded.items() if name in fillers},
            results=results,
            identity="",
        )

    def best(self, probabilities: Float[Tensor, " k"], count: int = TOP) -> list[int]:
        """Return the most probable classes, best first."""
        order: list[int] = probabilities.topk(min(count, len(probabilities))).indices.tolist()
        return order
