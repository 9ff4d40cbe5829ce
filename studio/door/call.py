"""What a call asks for, and the command's job that answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from infill.validate import require_settings
from studio.door.classifiers import Asked, classifiers_of
from studio.door.images import Given, images_of
from studio.door.plain import plain
from studio.door.settings import sorted_out
from studio.door.things import NO_THINGS, Things
from studio.explain.request import ExplainRequest
from studio.explain.result import Explanation as Result
from studio.explain.session import Session, opened
from studio.explain.several import identity
from studio.explain.worker import Job
from studio.progress import Progress
from studio.registry.own import Own
from studio.registry.variants import kinds_of

if TYPE_CHECKING:
    Target: TypeAlias = str | int | None

Make: TypeAlias = Callable[[ExplainRequest, Callable[[str], object], Own], Job]
"""Makes a job of a request and what the caller brings along, and tells what it chooses."""

FIELDS = (
    "seed", "device", "precision", "runtime", "batch_size", "samples", "until", "weights", "multi_label",
    "against", "paper", "final", "trace", "fill_cache", "fill_cache_size",
)  # fmt: skip
"""What of a request is given by keyword; the rest has parameters, or is the command's alone."""


@dataclass(frozen=True)
class Classifiers:
    """The classifiers of a call, as they were given."""

    given: Any
    preprocessing: Any = None
    labels: Sequence[str] | None = ()


@dataclass(frozen=True)
class Call:
    """All that is asked for.

    Attributes:
        make: Makes the command's job.
        request: What is asked for, but for image and classifier.
        fillers: That are objects, and the others.
    """

    make: Make
    request: ExplainRequest
    methods: Things
    fillers: Things
    images: Sequence[Given]
    classifiers: Sequence[Asked]
    progress: bool

    def results(self) -> Iterator[tuple[Result, tuple[str, ...]]]:
        """Yield the result of each image for each classifier in turn, and what must be said of it.

        Raises:
            ValueError: If something asked for is impossible.
        """
        for asked in self.classifiers:
            yield from self._by(asked)

    def _by(self, asked: Asked) -> Iterator[tuple[Result, tuple[str, ...]]]:
        own = Own(asked.own, self.methods.own, self.fillers.own)
        notes: list[str] = []
        jobs = [self._job(given, asked, own, notes) for given in self.images]
        first = jobs[0]
        with Progress(quiet=not self.progress, passing=True) as progress:
            session = opened(first.request, first.selection, first.preset, first.fillers, progress, own)
            remarks = tuple(
                dict.fromkeys([*asked.notes, *notes, *([first.closing] if first.closing else [])])
            )
            for given, job in zip(self.images, jobs, strict=True):
                known = identity(job, given.path) if given.path and not own else ""
                yield replace(self._explained(session, given), identity=known), remarks

    def _job(self, given: Given, asked: Asked, own: Own, notes: list[str]) -> Job:
        """Return the job of the command that is asked for this image."""
        request = replace(self.request, classifier=asked.name, **given.asked)
        if own.classifier is not None:
            request = replace(request, device=str(own.classifier.mean.device))
        return self.make(request, notes.append, own)

    def _explained(self, session: Session, given: Given) -> Result:
        try:
            return session.explain(given.image, len(self.images))
        except ValueError as error:
            if len(self.images) == 1:
                raise
            raise ValueError(f"{given.image.folder}: {error}") from error


@dataclass(frozen=True)
class Wanted:
    """How an image is to be explained, as it was given."""

    target: Target = None
    methods: Things = NO_THINGS
    fillers: Things = NO_THINGS
    keywords: Mapping[str, Any] | None = None
    progress: bool = True


def called(make: Make, image: Any, classifiers: Classifiers, wanted: Wanted) -> Call:
    """Return the call, with all images read and all names and settings checked.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    methods, fillers = wanted.methods, wanted.fillers
    used = [*methods.named, *kinds_of(fillers.named)]
    fields, settings = sorted_out(wanted.keywords or {}, FIELDS, used)
    target = target_text(wanted.target)
    request = ExplainRequest(
        methods=methods.texts, fillers=fillers.texts, target=target, settings=settings, **fields
    )
    require_settings(request)
    if request.paper and methods.own:
        raise ValueError(f"--paper: expected names of methods, got the object {next(iter(methods.own))}")
    asked = classifiers_of(classifiers.given, classifiers.preprocessing, classifiers.labels, request)
    return Call(make, request, methods, fillers, images_of(image), asked, wanted.progress)


def target_text(target: Target) -> str:
    """Return the target as the command takes it.

    Raises:
        ValueError: If it is neither a name nor an index.
    """
    target = plain(target)
    if target is None:
        return "top1"
    if isinstance(target, bool) or not isinstance(target, str | int):
        raise ValueError(f"--target: expected an index, a class name or top1, got {target!r}")
    return str(target)
