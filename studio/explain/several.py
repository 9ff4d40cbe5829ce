"""One image after another: what is done is kept and skipped next time, and one bad file stops nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from studio.explain.explain import TRACES
from studio.explain.inputs import InputImages
from studio.explain.request import ExplainRequest
from studio.explain.worker import Answer, Job, Worker
from studio.files import stamps
from studio.libraries import versions
from studio.output import IncompleteError, OutputFolder, output_folder, require_apart, require_folder
from studio.progress import Progress
from studio.registry.build import weights_of
from studio.registry.identity import added_by, files_named
from studio.registry.papers import PUBLISHED
from studio.registry.parse import parse_filler
from studio.registry.tables import GRADIENT
from studio.runs.workers import doing, require_workers

_BESIDE = {
    "explain.json": ("explain.png", "heatmaps.npz"),
    "counterfactual.json": ("counterfactual.png", "counterfactual-image.png", "counterfactual-hole.png"),
}
"""What is written together."""
_ELSEWHERE = (
    "images",
    "out",
    "again",
    "strict",
    "batch_size",
    "workers",
    "ray",
    "fill_cache",
    "fill_cache_size",
)
"""What of a request does not change an image's result, or is known of the image itself."""


def explain_each(job: Job, echo: Callable[[str], object]) -> None:
    """Explain every image and write its files, each in a folder of its own if there are several.

    Of several images, those that are there already with the same settings are skipped, and one that cannot be
    explained is told at the end.

    Raises:
        ValueError: If the only image cannot be explained, or if none can.
        IncompleteError: If some cannot.
    """
    request = job.request
    require_workers(request)
    with output_folder(request.out) as folder, Progress() as progress:
        images = InputImages(request.images, request.scene, request.strict)
        for name, each in zip(images.paths, images.folders, strict=False):
            place = folder.path / (each if len(images) > 1 else "")
            require_folder(place)
            require_apart(place, (job.report, *_BESIDE[job.report]), {"image": [name]})
        worker = Worker(job, progress)
        pending = list(_pending(job, images, folder, echo))
        answers: dict[int, Answer] = {}
        with (
            doing(request, partial(Worker, job), worker) as do,
            _counting(request, progress, pending) as count,
        ):
            for (index, _), answer in do(pending):
                answers[index] = replace(answer, files=None)
                if answer.error and (request.strict or len(images) == 1):
                    raise ValueError(_named(images, index, answer.error))
                _publish(answer, folder, images.folders[index] if len(images) > 1 else "", echo)
                count()
    for text in departures_in_words([answers[index].departures or {} for index in sorted(answers)]):
        echo(text)
    _tell({index: answers[index].error for index in sorted(answers) if answers[index].error}, images)
    if job.closing:
        echo(job.closing)


def _pending(
    job: Job, images: InputImages, folder: OutputFolder, echo: Callable[[str], object]
) -> Iterator[tuple[int, str]]:
    """Yield the images that are to be explained, each with the identity of its result."""
    for index, name in enumerate(images.names):
        known = identity(job, images.paths[index]) if images.paths else ""
        several = len(images) > 1 and not job.request.again
        if several and _done(job, folder.path / images.folders[index], known):
            echo(f"{name}: done before with the same settings (--again does it again)")
        else:
            yield index, known


@contextmanager
def _counting(
    request: ExplainRequest, progress: Progress, pending: Sequence[object]
) -> Iterator[Callable[[], object]]:
    """Yield what is to be called after each image; this process itself counts composites."""
    if not request.shared:
        yield lambda: None
        return
    progress.plan(len(pending), "images")
    done = itertools.count(1)
    with progress.run(f"{request.workers or 1} workers"):
        yield lambda: progress(next(done), len(pending))


def _publish(answer: Answer, folder: OutputFolder, within: str, echo: Callable[[str], object]) -> None:
    """Write the files of an answer, if it has any, and tell it."""
    if answer.error or answer.files is None:
        return
    files = {name: partial(_save, content) for name, content in answer.files.items()}
    paths = folder.publish(files, within, former=TRACES)
    echo(answer.line)
    echo("  " + " ".join(str(path) for path in paths))


def _save(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def departures_in_words(results: Iterable[Mapping[str, Sequence[str]]]) -> Iterator[str]:
    """Yield what departs from the papers: for each method a line, and a line for each departure."""
    found: dict[str, dict[str, None]] = {}
    for departures in results:
        for name, texts in departures.items():
            found.setdefault(name, {}).update(dict.fromkeys(texts))
    for name, each in found.items():
        paper = f" ({PUBLISHED[name].paper})" if name in PUBLISHED else ""
        yield f"{name}{paper}: " + ("departs from the paper:" if each else "as published")
        yield from (f"  - {text}" for text in each)


def _named(images: InputImages, index: int, error: str) -> str:
    return f"{images.names[index]}: {error}" if len(images) > 1 else error


def _tell(failures: Mapping[int, str], images: InputImages) -> None:
    if not failures:
        return
    reasons = "; ".join(_named(images, index, error) for index, error in failures.items())
    if len(failures) == len(images):
        raise ValueError(reasons)
    raise IncompleteError(f"{len(failures)} of {len(images)} images could not be explained: {reasons}")


def identity(job: Job, path: Path) -> str:
    """Return a digest of all that the result for a file depends on."""
    request, settings = job.request, job.selection.settings
    asked = {
        field.name: getattr(request, field.name)
        for field in dataclasses.fields(request)
        if field.name not in _ELSEWHERE
    }
    used = [weights_of(name, settings) for name in job.selection.fillers]
    final = [] if request.final in (None, "none") else [parse_filler(request.final, "--final")]
    used += [weights_of(*each) for each in final]
    named = [*files_named(request.classifier), *files_named(request.target)]
    states = [stamps(file) for file in (path, request.weights, *used, *named) if file is not None]
    names = [*job.selection.methods, *job.selection.fillers, *(name for name, _ in final)]
    added = added_by(names, request.classifier)
    looking = any(name in GRADIENT for name in job.selection.methods)
    depends = [{**versions(looking), **added}, type(request).__name__, asked, states]
    text = json.dumps(depends, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _done(job: Job, folder: Path, identity: str) -> bool:
    """Whether an image's files are there, made with the same settings."""
    try:
        found = json.loads((folder / job.report).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    whole = all((folder / each).is_file() for each in _BESIDE[job.report])
    return whole and isinstance(found, dict) and found.get("identity") == identity
