"""Explain an image classifier by removing parts of an image: one call, and what can be put in the holes.

Names are imported when they are used first (PEP 562): ``import infill`` itself loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infill.door import Counterfactual as Counterfactual
    from infill.door import Evaluation as Evaluation
    from infill.door import Explanation as Explanation
    from infill.door import Explanations as Explanations
    from infill.door import Realism as Realism
    from infill.door import Removal as Removal
    from infill.door import counterfactual as counterfactual
    from infill.door import evaluate as evaluate
    from infill.door import explain as explain
    from infill.door import load_classifier as load_classifier
    from infill.door import realism as realism
    from infill.door import remove as remove
    from infill.filler import Filler as Filler
    from infill.filler import composite as composite
    from infill.fillers.adaptive import Adaptive as Adaptive
    from infill.fillers.blur import Blur as Blur
    from infill.fillers.classical import Biharmonic as Biharmonic
    from infill.fillers.classical import NavierStokes as NavierStokes
    from infill.fillers.classical import Telea as Telea
    from infill.fillers.exemplar import Exemplar as Exemplar
    from infill.fillers.given import Given as Given
    from infill.fillers.learned import Learned as Learned
    from infill.fillers.marginal import Marginal as Marginal
    from infill.fillers.patchmatch import PatchMatch as PatchMatch
    from infill.fillers.remembered import Remembered as Remembered
    from infill.fillers.static import Gray as Gray
    from infill.fillers.static import Mean as Mean
    from infill.fillers.static import Noise as Noise

__all__ = [
    "Adaptive",
    "Biharmonic",
    "Blur",
    "Counterfactual",
    "Evaluation",
    "Exemplar",
    "Explanation",
    "Explanations",
    "Filler",
    "Given",
    "Gray",
    "Learned",
    "Marginal",
    "Mean",
    "NavierStokes",
    "Noise",
    "PatchMatch",
    "Realism",
    "Remembered",
    "Removal",
    "Telea",
    "composite",
    "counterfactual",
    "evaluate",
    "explain",
    "load_classifier",
    "realism",
    "remove",
]

_HOMES = {
    "Adaptive": "infill.fillers.adaptive",
    "Biharmonic": "infill.fillers.classical",
    "Blur": "infill.fillers.blur",
    "Exemplar": "infill.fillers.exemplar",
    "Counterfactual": "infill.door",
    "Evaluation": "infill.door",
    "Realism": "infill.door",
    "Removal": "infill.door",
    "Explanation": "infill.door",
    "Explanations": "infill.door",
    "Filler": "infill.filler",
    "Given": "infill.fillers.given",
    "Gray": "infill.fillers.static",
    "Learned": "infill.fillers.learned",
    "Marginal": "infill.fillers.marginal",
    "Remembered": "infill.fillers.remembered",
    "Mean": "infill.fillers.static",
    "NavierStokes": "infill.fillers.classical",
    "Noise": "infill.fillers.static",
    "PatchMatch": "infill.fillers.patchmatch",
    "Telea": "infill.fillers.classical",
    "composite": "infill.filler",
    "counterfactual": "infill.door",
    "evaluate": "infill.door",
    "explain": "infill.door",
    "load_classifier": "infill.door",
    "remove": "infill.door",
}
"""In which module each name is."""


if not TYPE_CHECKING:  # for type checkers, there are the names above and no others

    def __getattr__(name: str) -> Any:
        if name == "realism":  # a package that can be called
            return import_module("infill.realism")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value  # asked for once
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
