"""``infill.explain``: what ``infill explain`` does, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from infill.validate import require_settings
from studio.door.classifiers import Asked, classifiers_of
from studio.door.explanation import Explanation
from studio.door.explanations import Explanations
from studio.door.images import Given, images_of
from studio.door.settings import sorted_out
from studio.door.things import Things, fillers_of, methods_of, several
from studio.explain.explain import explaining
from studio.explain.request import ExplainRequest
from studio.explain.result import Explanation as Result
from studio.explain.session import Session, opened
from studio.explain.several import identity
from studio.explain.worker import Job
from studio.progress import Progress
from studio.registry.own import Own
from studio.registry.parse import split_fillers

if TYPE_CHECKING:
    from attribution import Explainer
    from infill import Filler
    from studio.door.classifiers import AnyClassifier
    from studio.door.images import AnyImage
    from studio.door.things import Several

    AnyMethod: TypeAlias = "str | Explainer"
    AnyFiller: TypeAlias = "str | Filler"
    Target: TypeAlias = "str | int | None"

FIELDS = (
    "seed", "device", "precision", "runtime", "batch_size", "samples", "until", "weights", "multi_label",
    "against", "paper", "final", "trace", "fill_cache", "fill_cache_size",
)  # fmt: skip
"""What of a request is given by keyword; the rest has parameters, or is the command's alone."""


@overload
def explain(
    image: AnyImage, classifier: AnyClassifier | None, *, target: Target = None, method: AnyMethod = "sp",
    filler: AnyFiller = "inpaint", **settings: Any,
) -> Explanation: ...  # fmt: skip
@overload
def explain(
    image: Several, classifier: AnyClassifier | Several | None, *, target: Target = None,
    method: AnyMethod | Several = "sp", filler: AnyFiller | Several = "inpaint", **settings: Any,
) -> Explanations: ...  # fmt: skip
@overload
def explain(
    image: AnyImage, classifier: Several, *, target: Target = None, method: AnyMethod | Several = "sp",
    filler: AnyFiller | Several = "inpaint", **settings: Any,
) -> Explanations: ...  # fmt: skip
@overload
def explain(
    image: AnyImage, classifier: AnyClassifier | None, *, target: Target = None, method: Several,
    filler: AnyFiller | Several = "inpaint", **settings: Any,
) -> Explanations: ...  # fmt: skip
@overload
def explain(
    image: AnyImage, classifier: AnyClassifier | None, *, target: Target = None, method: AnyMethod = "sp",
    filler: Several, **settings: Any,
) -> Explanations: ...  # fmt: skip
def explain(
    image: AnyImage | Several,
    classifier: AnyClassifier | Several | None,
    *,
    target: Target = None,
    method: AnyMethod | Several = "sp",
    filler: AnyFiller | Several = "inpaint",
    preprocessing: Any = None,
    labels: Sequence[str] = (),
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
        preprocessing: How a module wants its images, see `load_classifier`; ``None``: as they are.
        labels: The names of its classes.
        progress: Whether a bar shows how it goes, on a terminal or in a notebook.
        settings: ``seed``, ``device``, ``precision``, ``runtime``, ``batch_size``, ``samples``, ``until``,
            ``weights``, ``multi_label``, ``against``, ``paper``, ``final``, ``trace``, ``fill_cache`` and
            ``fill_cache_size`` are the command's options, with its defaults. Other keywords are fields of
            the method or the filler (``patch=41``); ``settings={"sp.patch": 41}`` says of which.

    Returns:
        The explanation; or the grid of all of them where an image, classifier, method or filler is a list.

    Raises:
        ValueError: If something is unknown, impossible or cannot be read, in the command's words.
    """
    methods, fillers = methods_of(method), fillers_of(filler)
    named = [each for each in methods.texts if each not in methods.own]
    texts = [each for each in fillers.texts if each not in fillers.own]
    fields, told = sorted_out(settings, FIELDS, [*named, *split_fillers(texts)[0]])
    request = ExplainRequest(
        methods=methods.texts, fillers=fillers.texts, target=_target(target), settings=told, **fields
    )
    require_settings(request)
    _require_unpublished(request, methods)
    pictures = images_of(image)
    asked = classifiers_of(classifier, preprocessing, labels, request.multi_label, request.device)
    call = Call(request, methods, fillers, pictures, progress)
    cells = [cell for each in asked for cell in call.explained(each)]
    grid = any(map(several, (image, classifier, method, filler)))
    return Explanations(cells) if grid else cells[0]


@dataclass(frozen=True)
class Call:
    """What was asked for, but for the classifier."""

    request: ExplainRequest
    methods: Things
    fillers: Things
    images: Sequence[Given]
    progress: bool

    def explained(self, asked: Asked) -> list[Explanation]:
        """Return the explanations of all images by all methods with all fillers, for one classifier.

        Raises:
            ValueError: If something asked for is impossible.
        """
        own = Own(asked.own, self.methods.own, self.fillers.own)
        notes: list[str] = []
        jobs = {given: self._job(given, asked.name, own, notes) for given in self.images}
        first = next(iter(jobs.values()))
        with Progress(quiet=not self.progress, passing=True) as progress:
            session = opened(first.request, first.selection, first.preset, first.fillers, progress, own)
            found = []
            for given, job in jobs.items():
                found.append(replace(self._result(session, given), identity=_identity(job, given)))
        remarks = tuple(dict.fromkeys([*notes, *([first.closing] if first.closing else [])]))
        return [
            Explanation(result, method, filler, remarks)
            for result in found
            for filler, method in result.results
        ]

    def _job(self, given: Given, classifier: str | None, own: Own, notes: list[str]) -> Job:
        """Return the job of the command that is asked for this image."""
        request = replace(self.request, classifier=classifier, **given.asked)
        return explaining(request, notes.append, own)

    def _result(self, session: Session, given: Given) -> Result:
        try:
            return session.explain(given.image, len(self.images))
        except ValueError as error:
            if len(self.images) == 1:
                raise
            raise ValueError(f"{given.image.folder}: {error}") from error


def _identity(job: Job, given: Given) -> str:
    """Return the digest of all that the result depends on; none where nobody can tell."""
    return identity(job, given.path) if given.path and not job.own else ""


def _target(target: Target) -> str:
    if target is None:
        return "top1"
    if isinstance(target, bool) or not isinstance(target, str | int):
        raise ValueError(f"--target: expected an index, a class name or top1, got {target!r}")
    return str(target)


def _require_unpublished(request: ExplainRequest, methods: Things) -> None:
    if request.paper and methods.own:
        raise ValueError(f"--paper: expected names of methods, got the object {next(iter(methods.own))}")
