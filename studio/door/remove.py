"""``infill.remove``: what ``infill remove`` does, in one call."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infill.validate import require_settings
from studio.door.call import target_text
from studio.door.classifiers import classifiers_of
from studio.door.explanation import Target
from studio.door.folder import folder_of
from studio.door.images import images_of
from studio.door.plain import with_derivatives
from studio.door.settings import sorted_out
from studio.door.show import picture, shrunk
from studio.door.things import NO_THINGS, fillers_of, several
from studio.drawing.pixels import channels_last
from studio.drawing.sheet import any_script
from studio.explain.drawn import Box, drawn
from studio.explain.remove import bars, file_of, files_of, line, removed, removing, sheet, whole
from studio.explain.remove_figure import laid_out
from studio.explain.request import ExplainRequest
from studio.output import output_folder
from studio.progress import Progress
from studio.registry.own import Own
from studio.registry.variants import kinds_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.figure import Figure
    from numpy import ndarray

    from studio.door.call import Target as AnyTarget
    from studio.door.classifiers import AnyClassifier
    from studio.door.explain import AnyFiller
    from studio.door.images import AnyImage
    from studio.door.things import Several
    from studio.explain.completions import Completion
    from studio.explain.remove import Removed

FIELDS = ("seed", "device", "precision", "batch_size", "weights", "multi_label", "against")


@dataclass(frozen=True, eq=False)
class Filled:
    """The hole as one filler completes it.

    Attributes:
        filler: Its name.
        image: What the classifier is shown, "h w 3" in [0, 1]; ``None`` if it cannot fill this hole.
        probability: How probable the classifier then finds the target; else its score; NaN without an image.
        score: The target's score: usually the probability.
        top: What it sees: the most probable classes, best first, and the target.
        seconds: What the fill took.
        error: Why there is no image.
    """

    filler: str
    image: Float[ndarray, "h w 3"] | None
    probability: float
    score: float
    top: Sequence[tuple[str, float]]
    seconds: float
    error: str


class Removal:
    """A hole in an image as several fillers complete it, with what the classifier sees in each.

    A notebook shows it, ``print`` tells it in some lines. All arrays are in the classifier's view.

    Attributes:
        image: What the image is called.
        classifier: What the classifier is called.
        before: The image as the classifier saw it, "h w 3" in [0, 1].
        hole: What was removed: 1 there, 0 elsewhere; "h w".
        area: Which share of the view that is.
        where: Of which image the hole was drawn: ``photograph`` or ``view``.
        target: The class that is asked for; what else was asked for has its ``label``.
        probability: How probable the classifier finds the target in the untouched image; else its score.
        completions: By filler, in order.
        notes: What must be said of it.
    """

    def __init__(self, found: Removed, notes: Sequence[str] = ()) -> None:
        self._found = found
        result = found.explanation
        self.image, self.classifier = result.image.folder, result.name
        # Copies, so that whoever changes them does not change what is saved.
        self.before: Float[ndarray, "h w 3"] = channels_last(found.view).copy()
        self.hole: Float[ndarray, "h w"] = found.hole.numpy().copy()
        self.area, self.where = found.share, found.where
        self.target = Target(result.target, result.asked.title or result.label(result.target))
        probable = result.asked.probable
        self.probability = float(result.probabilities[result.target]) if probable else result.clean
        self.completions = {each.filler: _filled(found, each) for each in found.completions}
        self.notes = [*found.notes, *notes]
        self._more = tuple(notes)

    @property
    def top(self) -> list[tuple[str, float]]:
        """What the classifier sees in the untouched image, best first, and the target."""
        return bars(self._found, self._found.explanation.probabilities)

    def figure(self) -> Figure:
        """Return ``remove.png`` as a figure of matplotlib."""
        with any_script():
            return laid_out(sheet(self._found)).figure

    def save(self, folder: Path | str) -> list[Path]:
        """Write the command's files; return their paths.

        Raises:
            ValueError: If the folder is no path, or they cannot be written.
        """
        image, hole = self._found.explanation.image.origin, self._found.drawn.source
        read = {"hole": [hole.get("file")], "image": [image.get("file")]}
        with output_folder(folder_of(folder)) as output:
            return output.publish(files_of(self._found), former=file_of("*"), read=read)

    def __str__(self) -> str:
        return "\n".join([line(self._found), *self._more])

    def __repr__(self) -> str:
        return f"<Removal from {self.image} by {', '.join(self.completions)}>"

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        with any_script():
            self.figure().savefig(image, format="png", dpi=80)
        return shrunk(image)

    def _repr_html_(self) -> str:
        shown = [("original", self.before, self._found.explanation.clean)]
        for each in self.completions.values():
            shown += [] if each.image is None else [(each.filler, each.image, each.score)]
        quantity = self._found.explanation.quantity
        cells = "".join(
            f'<figure style="margin:0">{picture(image, name)}<figcaption><b>{html.escape(name)}</b> '
            f"{html.escape(quantity.written(score, ' = '))}</figcaption></figure>"
            for name, image, score in shown
        )
        row = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{cells}</div>'
        return f"{row}<pre>{html.escape(str(self))}</pre>"


@with_derivatives
def remove(
    image: AnyImage,
    classifier: AnyClassifier | None,
    *,
    hole: Any = None,
    box: Box | Sequence[Box] = (),
    filler: AnyFiller | Several | None = None,
    target: AnyTarget = None,
    where: str | None = None,
    preprocessing: Any = None,
    labels: Sequence[str] | None = (),
    progress: bool = True,
    **settings: Any,
) -> Removal:
    """Remove a hole that was drawn, and let each filler complete it, as the command ``infill remove`` does.

    `Removal.save` writes the same files, byte for byte but for the time it took.

    Args:
        image: As `infill.explain` takes it, but one.
        classifier: As `infill.explain` takes it, but one.
        hole: The file of a drawing, white where pixels are removed and black elsewhere; or the same as a
            PIL image, or as an array or tensor "h w" of truths, numbers in [0, 1] or bytes: what is at least
            half white is removed (`attribution.MaskedScore` takes soft holes). It has the size of the
            photograph, or of what the classifier sees of it.
        box: In its place, a box (left, top, right, bottom) in pixels, or several.
        filler: Names or objects, one or several; ``None``: the command's.
        target: The class that is looked for; ``None``: the classifier's first choice.
        where: Of which image the hole's pixels are: ``"photograph"`` or ``"view"``; ``None``: boxes of the
            photograph, and a drawing of what it has the size of.
        preprocessing: How a module wants its images.
        labels: The names of its classes.
        progress: Whether a bar shows how it goes.
        settings: ``seed``, ``device``, ``precision``, ``batch_size``, ``weights``, ``multi_label`` and
            ``against`` are the command's options; other keywords are fields of the fillers.

    Raises:
        ValueError: If something is unknown, impossible or cannot be read, in the command's words; or if no
            filler can fill the hole.
    """
    for name, one in (("image", image), ("classifier", classifier)):
        if several(one):
            raise ValueError(f"{name}: expected one, got {type(one).__name__}")
    fillers = NO_THINGS if filler is None else fillers_of(filler)
    fields, texts = sorted_out(settings, FIELDS, kinds_of(fillers.named))
    if isinstance(hole, tuple | list) and len(hole) == 4 and all(isinstance(side, Integral) for side in hole):
        raise ValueError(f"hole: expected a drawing, got four numbers; a box is box={tuple(hole)}")
    given = drawn(hole, _boxes(box), where)
    request = ExplainRequest(
        methods=(), fillers=fillers.texts, target=target_text(target), settings=texts, **fields
    )
    require_settings(request)
    (asked,) = classifiers_of(classifier, preprocessing, labels, request)
    (read,) = images_of(image)
    request = replace(request, classifier=asked.name, **read.asked)
    if asked.own is not None:
        request = replace(request, device=str(asked.own.mean.device))
    job = removing(request, given, lambda _: None, Own(asked.own, {}, fillers.own))
    with Progress(quiet=not progress, passing=True) as bar:
        return Removal(whole(removed(job, job.opened(bar), read.image)), asked.notes)


def _boxes(given: Any) -> list[Box]:
    """Return boxes as they are asked for: one, or several; arrays and tensors, too."""
    found = given.tolist() if hasattr(given, "tolist") else given
    found = list(found) if isinstance(found, Iterable) and not isinstance(found, str) else [found]
    if found and not isinstance(found[0], list | tuple):
        found = [found]
    for box in found:
        four = isinstance(box, list | tuple) and len(box) == 4
        if not four or not all(isinstance(side, Integral) for side in box):
            raise ValueError(f"box: expected left, top, right, bottom in whole pixels, got {given!r:.80}")
    return [(int(left), int(top), int(right), int(bottom)) for left, top, right, bottom in found]


def _filled(found: Removed, each: Completion) -> Filled:
    if each.image is None or each.probabilities is None:
        return Filled(each.filler, None, each.score, each.score, (), each.seconds, each.error)
    result = found.explanation
    probability = float(each.probabilities[result.target]) if result.asked.probable else each.score
    image = channels_last(each.image).copy()
    top = bars(found, each.probabilities)
    return Filled(each.filler, image, probability, each.score, top, each.seconds, "")
