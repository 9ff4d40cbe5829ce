"""What ``infill remove`` does: a hole that somebody has drawn, as each filler completes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from studio.drawing.captions import percent
from studio.drawing.pixels import channels_last
from studio.explain.completions import Completion, completions
from studio.explain.default_classifier import with_classifier
from studio.explain.drawn import Drawn, Where, seen_of
from studio.explain.inputs import InputImage, InputImages
from studio.explain.page import filler_brief
from studio.explain.remove_figure import Completed, Sheets, draw
from studio.explain.report import compared, named, report
from studio.explain.request import COMPLETING, ExplainRequest
from studio.explain.result import Explanation
from studio.explain.session import Session, opened
from studio.explain.worker import Files
from studio.output import IncompleteError, output_folder, require_apart, save_image, save_json
from studio.progress import Progress
from studio.registry.own import NO_OWN, Own
from studio.registry.parse import Selection, parse_selection
from studio.registry.pretrained import all_loading_options

EVERYTHING = (
    "The hole covers everything, so there are no surroundings to go by: fillers that continue them can only "
    "invent, and what the classifier then sees says nothing of this picture."
)
_FROM_REPORT = ("image", "classifier", "target", "against", "score", "top", "found")


@dataclass(frozen=True, eq=False)
class Removed:
    """A hole in an image, and what the fillers made of it.

    Attributes:
        explanation: What the classifier sees in the untouched image; no method has run.
        drawn: The hole as it was given.
        hole: 1 where pixels are removed, in the classifier's view.
        where: Of which image the hole was drawn.
        view: The untouched view.
        completions: One for each filler, in order.
    """

    explanation: Explanation
    drawn: Drawn
    hole: Float[Tensor, "h w"]
    where: Where
    view: Float[Tensor, "3 h w"]
    completions: Sequence[Completion] = ()

    @property
    def share(self) -> float:
        """Which share of the classifier's view is removed."""
        return float(self.hole.mean())

    @property
    def notes(self) -> list[str]:
        """What must be said of it."""
        return [EVERYTHING] if bool(self.hole.all()) else []

    @property
    def failures(self) -> dict[str, str]:
        """Why fillers could not fill the hole, by their names."""
        return {each.filler: each.error for each in self.completions if each.image is None}


@dataclass(frozen=True)
class Removing:
    """What is to be done: the request has no methods.

    Attributes:
        selection: The fillers.
        own: What the caller brings along.
    """

    request: ExplainRequest
    selection: Selection
    drawn: Drawn
    own: Own = NO_OWN

    def opened(self, progress: Progress) -> Session:
        """Load everything.

        Raises:
            ValueError: If something asked for cannot be had.
        """
        return opened(self.request, self.selection, "quick", None, progress, self.own)


def removing(
    request: ExplainRequest, given: Drawn, echo: Callable[[str], object], own: Own = NO_OWN
) -> Removing:
    """Return what is to be done with a hole; ``echo`` gets what is chosen meanwhile.

    Raises:
        ValueError: If something asked for is unknown or impossible.
    """
    request = with_classifier(
        replace(request, methods=(), fillers=tuple(request.fillers) or COMPLETING), echo, "remove"
    )
    return Removing(request, parse_selection(request.fillers, request.settings, own=own), given, own)


def remove(job: Removing, echo: Callable[[str], object]) -> None:
    """Complete the hole in the one image that is asked for, and write the files.

    Raises:
        ValueError: If something asked for is impossible, or no filler could fill the hole.
        IncompleteError: If some fillers could not.
    """
    request = job.request
    images = InputImages(request.images, request.scene)
    written = {"remove.png", "original.png", "hole.png", *map(file_of, job.selection.fillers)}
    read = {"hole": [job.drawn.source.get("file")], "image": request.images}
    require_apart(request.out, written, read)
    with output_folder(request.out) as folder, Progress(passing=True) as progress:
        found = whole(removed(job, job.opened(progress), images.read(0)))
        folder.publish(files_of(found), former=file_of("*"))
    echo(line(found))
    if found.failures:
        names, count = ", ".join(found.failures), len(found.completions)
        raise IncompleteError(f"{len(found.failures)} of {count} fillers could not fill this hole: {names}")


def removed(job: Removing, session: Session, image: InputImage) -> Iterator[Removed]:
    """Yield the image with its hole, then what is known after each filler.

    Raises:
        ValueError: If the hole does not fit the image, or the target is not there.
    """
    explanation = session.explain(image)
    view = session.score(image).image[0]
    size, seen = image.pixels.shape[1:], view.shape[1:]
    hole, where = seen_of(job.drawn, (size[0], size[1]), session.classifier, (seen[0], seen[1]))
    found = Removed(explanation, job.drawn, hole, where, view.cpu())
    yield found
    settings, precision = job.selection.settings, job.request.precision
    for each in completions(session, image, hole):
        done = (*found.completions, each)
        fillers = {one.filler: one.by for one in done if one.by is not None}
        loaded = all_loading_options(fillers, settings, precision)
        found = replace(
            found, explanation=replace(explanation, fillers=fillers, loaded=loaded), completions=done
        )
        yield found


def whole(steps: Iterator[Removed]) -> Removed:
    """Return what is known at the end.

    Raises:
        ValueError: If no filler could fill the hole.
    """
    *_, found = steps
    if len(found.failures) == len(found.completions):
        raise ValueError("; ".join(f"{name}: {error}" for name, error in found.failures.items()))
    return found


def line(found: Removed) -> str:
    """Return all of it as some lines."""
    explanation = found.explanation
    head = f"{explanation.image.title}: {explanation.about}, {_number(found, explanation.clean)}; "
    lines = [f"{head}{percent(found.share)} of the view removed, as drawn in the {found.where}"]
    wide = max(12, *(len(each.filler) for each in found.completions)) if found.completions else 12
    for each in found.completions:
        text = f"no fill: {each.error}" if each.image is None else _told(found, each)
        lines.append(f"  {each.filler:{wide}} {text}")
    return "\n".join([*lines, *found.notes])


def files_of(found: Removed) -> Files:
    """Return what writes each file."""
    files: dict[str, Callable[[Path], object]] = {
        "remove.png": partial(draw, sheet(found)),
        "original.png": partial(save_image, channels_last(found.view)),
        "hole.png": partial(save_image, found.hole.numpy()),
    }
    for each in found.completions:
        if each.image is not None:
            files[file_of(each.filler)] = partial(save_image, channels_last(each.image))
    return {**files, "remove.json": partial(save_json, report_of(found))}


def file_of(filler: str) -> str:
    """Return the name of the file of a completion."""
    return f"completion-{filler}.png"


def sheet(found: Removed) -> Sheets:
    """Return what ``remove.png`` shows."""
    explanation = found.explanation
    quantity = explanation.quantity
    done = [
        Completed(
            each.filler,
            filler_brief(explanation, each.filler) if each.image is not None else "",
            None if each.image is None else channels_last(each.image),
            "" if quantity.bounded else _number(found, each.score),
            bars(found, each.probabilities),
            each.error,
        )
        for each in found.completions
    ]
    clean = _number(found, explanation.clean)
    return Sheets(
        title=f"{explanation.name} · {explanation.about} · {clean}",
        subtitle=f"{explanation.image.title}; {percent(found.share)} of the view removed, as drawn in the "
        f"{found.where}",
        notes=found.notes,
        view=channels_last(found.view),
        hole=found.hole.numpy(),
        seen=bars(found, explanation.probabilities),
        value="" if quantity.bounded else clean,
        target=explanation.about if explanation.asked.title else explanation.label(explanation.target),
        against="" if explanation.against is None else explanation.label(explanation.against),
        completions=done,
    )


def bars(found: Removed, probabilities: Float[Tensor, " k"] | None) -> list[tuple[str, float]]:
    """Return the most probable classes, and the ones that are explained if they are not among them.

    Of what are no classes there are none.
    """
    explanation = found.explanation
    if probabilities is None or not explanation.asked.probable:
        return []
    best = explanation.best(probabilities)
    asked = [explanation.target, *([] if explanation.against is None else [explanation.against])]
    shown = [*best, *(index for index in asked if index not in best)]
    return [(explanation.label(index), float(probabilities[index])) for index in shown]


def report_of(found: Removed) -> dict[str, Any]:
    """Return what ``remove.json`` says."""
    full = report(found.explanation)
    height, width = found.hole.shape
    return {
        **{key: full[key] for key in _FROM_REPORT if key in full},
        "hole": {
            **found.drawn.source,
            "where": found.where,
            "view": [width, height],
            "pixels": int(found.hole.sum()),
            "area": found.share,
        },
        "completions": [_completion(found, each) for each in found.completions],
        "fillers": full["fillers"],
        "notes": found.notes,
        **{key: full[key] for key in ("settings", "versions")},
    }


def _completion(found: Removed, each: Completion) -> dict[str, Any]:
    if each.image is None or each.probabilities is None:
        return {"filler": each.filler, "error": each.error}
    told: dict[str, Any] = {"filler": each.filler, "file": file_of(each.filler), "score": each.score}
    explanation, seen = found.explanation, each.probabilities
    if explanation.asked.probable:
        told["target"] = named(explanation, explanation.target, seen)
        told.update(compared(explanation, seen))
        told["top"] = [named(explanation, index, seen) for index in explanation.best(seen)]
    return {**told, "seconds": round(each.seconds, 3)}


def _number(found: Removed, value: float) -> str:
    return found.explanation.quantity.written(value, " = ")


def _told(found: Removed, each: Completion) -> str:
    text = _number(found, each.score)
    if each.probabilities is None or not found.explanation.asked.probable:
        return text
    (first, probability), *_ = bars(found, each.probabilities)
    return f"{text}; sees {first} {probability:.3f}"
