"""What a call asks for, and the command's job that answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from infill.validate import require_settings
from studio.door.classifiers import Asked, classifiers_of
from studio.door.images import Given, images_of
from studio.door.plain import plain
from studio.door.settings import index_text, sorted_out
from studio.door.things import NO_THINGS, Things
from studio.explain.request import ExplainRequest
from studio.explain.result import Explanation as Result
from studio.explain.session import Session, opened
from studio.explain.several import departures_in_words, identity
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
        said: list[list[str]] = [[] for _ in self.images]
        jobs = [self._job(*each, asked, own) for each in zip(self.images, said, strict=True)]
        sessions: dict[ExplainRequest, Session] = {}
        with Progress(quiet=not self.progress, passing=True) as progress:
            for given, job, notes in zip(self.images, jobs, said, strict=True):
                # Of scenes and photographs together each kind has its own classifier.
                alike = replace(job.request, images=(), scene=0)
                if alike not in sessions:
                    sessions[alike] = opened(
                        job.request, job.selection, job.preset, job.fillers, progress, own
                    )
                known = identity(job, given.path) if given.path and not own else ""
                result = replace(self._explained(sessions[alike], given), identity=known)
                closing = [*departures_in_words([result.departures]), *filter(None, [job.closing])]
                yield result, tuple(dict.fromkeys([*asked.notes, *notes, *closing]))

    def _job(self, given: Given, notes: list[str], asked: Asked, own: Own) -> Job:
        """Return the job of the command that is asked for this image; ``notes`` get what it chooses."""
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
    methods = methods.told(fields)
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
    return index_text(target)
