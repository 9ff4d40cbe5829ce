"""The front door: ``infill.explain`` and its like, whose work is done in ``studio``.

This is the one place where the library imports the rooms above it, and only when somebody comes in: the
command ``infill`` does the same work by the same functions. Half of all machine-learning repositories have a
folder called ``models``; if one of them stands in the way of ours, that is told in a line.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.door.classifiers import load_classifier as load_classifier
    from studio.door.counterfactual import Counterfactual as Counterfactual
    from studio.door.counterfactual import counterfactual as counterfactual
    from studio.door.evaluate import Evaluation as Evaluation
    from studio.door.evaluate import evaluate as evaluate
    from studio.door.explain import explain as explain
    from studio.door.explanation import Explanation as Explanation
    from studio.door.explanations import Explanations as Explanations
    from studio.door.realism import Realism as Realism
    from studio.door.realism import realism as realism
    from studio.door.remove import Removal as Removal
    from studio.door.remove import remove as remove

_ROOMS = ("attribution", "models", "studio")
_HOMES = {
    "Realism": "studio.door.realism",
    "Evaluation": "studio.door.evaluate",
    "Counterfactual": "studio.door.counterfactual",
    "Explanation": "studio.door.explanation",
    "Explanations": "studio.door.explanations",
    "counterfactual": "studio.door.counterfactual",
    "evaluate": "studio.door.evaluate",
    "explain": "studio.door.explain",
    "load_classifier": "studio.door.classifiers",
    "realism": "studio.door.realism",
    "Removal": "studio.door.remove",
    "remove": "studio.door.remove",
}
_HOME = Path(__file__).resolve().parents[1]


if not TYPE_CHECKING:  # for type checkers, there are the names above and no others

    def __getattr__(name: str) -> Any:
        """Return what the door leads to.

        Raises:
            ImportError: If another package of the name of one of infill's stands in the way.
        """
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        for room in _ROOMS:
            _require_ours(name, room)
        return getattr(import_module(_HOMES[name]), name)


def _require_ours(asked: str, room: str) -> None:
    place = _place(room)
    if place is None or place == _HOME / room:
        return
    imported = ", which is imported already" if room in sys.modules else ""
    raise ImportError(
        f"infill.{asked}: Python takes {place}{imported} for {room!r}, a package of infill's own "
        f"(in {_HOME}); start Python in another folder, rename that one, or put {str(_HOME)!r} first in "
        "sys.path before anything is imported",
        name=room,
    )


def _place(room: str) -> Path | None:
    """Return the folder or file that a package's name means; ``None`` where that is unknown."""
    loaded = sys.modules.get(room)
    try:
        spec: ModuleSpec | None = getattr(loaded, "__spec__", None) or find_spec(room)
    except ValueError:  # somebody has put a module there by hand
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin else None
