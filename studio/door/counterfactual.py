"""``infill.counterfactual``: what ``infill counterfactual`` does, in one call."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from studio.door.call import Classifiers, Wanted, called
from studio.door.explanation import Target
from studio.door.folder import folder_of
from studio.door.plain import with_derivatives
from studio.door.show import picture, shrunk
from studio.door.things import NO_THINGS, fillers_of, methods_of, several
from studio.drawing.pixels import channels_last
from studio.drawing.sheet import any_script
from studio.explain.counterfactual import Counterfactual as Change
from studio.explain.counterfactual import files_of, removing
from studio.explain.counterfactual_figure import laid_out
from studio.output import output_folder

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.figure import Figure
    from numpy import ndarray

    from studio.door.call import Target as AnyTarget
    from studio.door.classifiers import AnyClassifier
    from studio.door.explain import AnyFiller, AnyMethod
    from studio.door.images import AnyImage
    from studio.door.things import Several
    from studio.explain.result import Explanation as Result


class Counterfactual:
    """The smallest removal that was found to take a class away, and the image without it.

    A notebook shows it, ``print`` tells it in a line, and its notes. All arrays are in the classifier's view
    of the image.

    Attributes:
        image: What the image is called.
        classifier: What the classifier is called.
        method: The method's name.
        filler: The filler's name.
        before: The image as the classifier saw it, "h w 3" in [0, 1].
        after: The same without the evidence.
        hole: What was removed: 1 there, 0 elsewhere; "h w".
        target: The class that was taken away; what else was asked for has its ``label``.
        now: The classifier's first choice in the image without it; of what is no class, the target itself.
        probability: How probable it finds the target in the untouched image; else its score.
        left: The same in the image without it.
        area: Which share of the view is removed.
        gone: Whether the target is down to chance.
        notes: What must be said of it, as that a module got the pixels as they are.
    """

    def __init__(self, result: Result, notes: Sequence[str] = ()) -> None:
        self._change = change = Change(result)
        shown, search = change.run.samples[0], change.search
        view = result.classifier.view(result.image.pixels.to(result.classifier.mean.device))
        self.image, self.classifier = result.image.folder, result.name
        self.method, self.filler = change.method, change.filler
        # Copies, so that whoever changes them does not change what is saved.
        self.before: Float[ndarray, "h w 3"] = channels_last(view).copy()
        self.after: Float[ndarray, "h w 3"] = shown.image.copy()
        self.hole: Float[ndarray, "h w"] = shown.hole.copy()
        probable = result.asked.probable
        self.target = Target(result.target, result.asked.title or result.label(result.target))
        first = int(search.probabilities.argmax())
        self.now = Target(first, result.label(first)) if probable else self.target
        self.probability = float(result.probabilities[result.target]) if probable else result.clean
        left = search.probabilities[result.target] if probable else search.outcome.left
        self.left = float(left)
        self.area, self.gone = search.area, not search.failure
        self.notes = tuple(notes)

    def figure(self) -> Figure:
        """Return ``counterfactual.png`` as a figure of matplotlib."""
        with any_script():
            return laid_out(self._change.change()).figure

    def save(self, folder: Path | str) -> list[Path]:
        """Write the command's files; return their paths.

        Raises:
            ValueError: If the folder is no path, or they cannot be written.
        """
        explanation = self._change.explanation
        read = {"image": [explanation.image.origin.get("file")]}
        with output_folder(folder_of(folder)) as output:
            return output.publish(files_of(explanation), read=read)

    def __str__(self) -> str:
        return "\n".join([self._line, *self.notes])

    def __repr__(self) -> str:
        return f"<Counterfactual of {self._line}>"

    @property
    def _line(self) -> str:
        return f"{self.image}: {self._change.line()}"

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        with any_script():
            self.figure().savefig(drawn, format="png", dpi=64)
        return shrunk(drawn)

    def _repr_html_(self) -> str:
        pictures = picture(self.before, "before") + picture(self.after, "after")
        style = "display:flex;flex-wrap:wrap;gap:8px;align-items:flex-start"
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f'<div style="{style}">{pictures}<p>{text}</p></div>'


@overload
def counterfactual(
    image: AnyImage, classifier: AnyClassifier | None, *, target: AnyTarget = None,
    method: AnyMethod | None = None, filler: AnyFiller | None = None, **settings: Any,
) -> Counterfactual: ...  # fmt: skip
@overload
def counterfactual(
    image: Several, classifier: AnyClassifier | None, *, target: AnyTarget = None,
    method: AnyMethod | None = None, filler: AnyFiller | None = None, **settings: Any,
) -> list[Counterfactual]: ...  # fmt: skip
@with_derivatives
def counterfactual(
    image: AnyImage | Several,
    classifier: AnyClassifier | None,
    *,
    target: AnyTarget = None,
    method: AnyMethod | None = None,
    filler: AnyFiller | None = None,
    preprocessing: Any = None,
    labels: Sequence[str] | None = (),
    progress: bool = True,
    **settings: Any,
) -> Counterfactual | list[Counterfactual]:
    """Find the smallest removal that takes a class away, as the command ``infill counterfactual`` does.

    Args:
        image: As `infill.explain` takes it; of several there is a list of results.
        classifier: As `infill.explain` takes it, but one.
        target: The class that is to go; ``None``: the classifier's first choice.
        method: An optimizing method; ``None``: the command's, ``mp2-descent``.
        filler: What fills the hole; ``None``: the command's, ``inpaint``.
        preprocessing: How a module wants its images.
        labels: The names of its classes.
        progress: Whether a bar shows how it goes.
        settings: As for `infill.explain`.

    Raises:
        ValueError: If something is unknown, impossible or cannot be read, in the command's words.
    """
    for name, given in (("classifier", classifier), ("method", method), ("filler", filler)):
        if several(given):
            raise ValueError(f"{name}: expected one, got {type(given).__name__}")
    methods = NO_THINGS if method is None else methods_of(method)
    fillers = NO_THINGS if filler is None else fillers_of(filler)
    wanted = Wanted(target, methods, fillers, settings, progress)
    call = called(removing, image, Classifiers(classifier, preprocessing, labels), wanted)
    found = [Counterfactual(result, notes) for result, notes in call.results()]
    return found if several(image) else found[0]
