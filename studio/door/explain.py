"""``infill.explain``: what ``infill explain`` does, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from studio.door.call import Classifiers, Wanted, called
from studio.door.explanation import Explanation
from studio.door.explanations import Explanations
from studio.door.plain import with_derivatives
from studio.door.things import NO_THINGS, fillers_of, methods_of, several
from studio.explain.explain import explaining
from studio.explain.request import FILLER

if TYPE_CHECKING:
    from attribution import Explainer
    from infill import Filler
    from studio.door.call import Target
    from studio.door.classifiers import AnyClassifier
    from studio.door.images import AnyImage
    from studio.door.things import Several

    AnyMethod: TypeAlias = str | Explainer
    AnyFiller: TypeAlias = str | Filler


@overload
def explain(
    image: AnyImage, classifier: AnyClassifier | None, *, target: Target = None, method: AnyMethod = "sp",
    filler: AnyFiller | None = None, **settings: Any,
) -> Explanation: ...  # fmt: skip
@overload
def explain(
    image: Several, classifier: AnyClassifier | Several | None, *, target: Target = None,
    method: AnyMethod | Several = "sp", filler: AnyFiller | Several | None = None, **settings: Any,
) -> Explanations: ...  # fmt: skip
@overload
def explain(
    image: AnyImage, classifier: Several, *, target: Target = None, method: AnyMethod | Several = "sp",
    filler: AnyFiller | Several | None = None, **settings: Any,
) -> Explanations: ...  # fmt: skip
@overload
def explain(
    image: AnyImage, classifier: AnyClassifier | None, *, target: Target = None, method: Several,
    filler: AnyFiller | Several | None = None, **settings: Any,
) -> Explanations: ...  # fmt: skip
@overload
def explain(
    image: AnyImage, classifier: AnyClassifier | None, *, target: Target = None, method: AnyMethod = "sp",
    filler: Several, **settings: Any,
) -> Explanations: ...  # fmt: skip
@with_derivatives
def explain(
    image: AnyImage | Several,
    classifier: AnyClassifier | Several | None,
    *,
    target: Target = None,
    method: AnyMethod | Several = "sp",
    filler: AnyFiller | Several | None = None,
    preprocessing: Any = None,
    labels: Sequence[str] | None = (),
    progress: bool = True,
    **settings: Any,
) -> Explanation | Explanations:
    """Explain what a classifier sees in an image, by removing parts of it.

    It does what the command ``infill explain`` does; `Explanation.save` writes the same files, byte for byte
    but for the time it took.

    Args:
        image: A file; ``"scene:N"``, a drawn scene; a PIL image; an array "h w 3" of bytes, or of numbers in
            [0, 1]; or a tensor "3 h w". Of several, in a list or by name in a mapping, all are explained.
        classifier: A name, as ``--classifier`` takes it; a module, with its ``preprocessing``; or any
            function from images "n 3 h w" in [0, 1] to logits "n k". ``None`` takes the one that the command
            takes, or that ``weights`` say.
        target: The class to explain: its index or name; ``None``: the classifier's first choice.
        method: A name (`infill list`), or an object such as ``SlidingPatch(patch=41)``.
        filler: What is put into the holes: a name, perhaps with settings (``"blur@sigma=5"``), or an object.
            ``None``: ``inpaint``; with ``paper=True`` those of the method's paper.
        preprocessing: How a module wants its images, see `load_classifier`; ``None``: as they are.
        labels: The names of its classes.
        progress: Whether a bar shows how it goes, on a terminal or in a notebook.
        settings: ``seed``, ``device``, ``precision``, ``runtime``, ``batch_size``, ``samples``, ``until``,
            ``weights``, ``multi_label``, ``against``, ``paper``, ``final``, ``trace``, ``fill_cache`` and
            ``fill_cache_size`` are the command's options, with its defaults; a ``seed`` or ``until`` that is
            given goes before those of methods that are objects. Other keywords are fields of
            the method or the filler (``patch=41``); ``settings={"sp.patch": 41}`` says of which.

    Returns:
        The explanation; or the grid of all of them where an image, classifier, method or filler is a list, or
        the paper has several fillers.

    Raises:
        ValueError: If something is unknown, impossible or cannot be read, in the command's words.
    """
    usual = NO_THINGS if settings.get("paper") else fillers_of(FILLER)
    fillers = usual if filler is None else fillers_of(filler)
    wanted = Wanted(target, methods_of(method), fillers, settings, progress)
    call = called(explaining, image, Classifiers(classifier, preprocessing, labels), wanted)
    cells = [
        Explanation(result, method, filler, notes)
        for result, notes in call.results()
        for filler, method in result.results
    ]
    grid = any(map(several, (image, classifier, method, filler))) or len(cells) > 1
    return Explanations(cells) if grid else cells[0]
