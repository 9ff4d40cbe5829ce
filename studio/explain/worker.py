"""One unit of work: an image, and all files that are written about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from studio.explain.inputs import InputImages
from studio.explain.request import ExplainRequest
from studio.explain.result import Explanation
from studio.explain.session import Session, opened
from studio.progress import Progress
from studio.registry.own import NO_OWN, Own
from studio.registry.parse import Selection
from studio.registry.tables import Preset

Files: TypeAlias = Mapping[str, Callable[[Path], object]]
"""What writes each file of an image; the last one says with which settings."""


@dataclass(frozen=True)
class Job:
    """What is done with each image.

    Attributes:
        request: What is asked for.
        selection: Its methods and fillers.
        preset: The settings to start from.
        files: What is written of a result.
        line: A result in a line.
        fillers: By method the names of those that it runs with, if not with all.
        closing: What is to be said at the end.
        own: What the caller brings along.
        report: The file that says with which settings.
    """

    request: ExplainRequest
    selection: Selection
    preset: Preset
    files: Callable[[Explanation], Files]
    line: Callable[[Explanation], str]
    fillers: Mapping[str, Sequence[str]] | None = None
    closing: str = ""
    own: Own = NO_OWN
    report: str = "explain.json"


@dataclass(frozen=True)
class Answer:
    """What came of an image.

    Attributes:
        line: The result in a line.
        files: The content of its files.
        departures: By method what departs from its paper, if papers were asked for.
        error: Why there is none.
    """

    line: str = ""
    files: Mapping[str, bytes] | None = None
    departures: Mapping[str, Sequence[str]] | None = None
    error: str = ""


class Worker:
    """Explains one image after another; holds the networks.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """

    def __init__(self, job: Job, progress: Progress | None = None) -> None:
        self.job = job
        self.images = InputImages(job.request.images, job.request.scene)
        self.session: Session = opened(
            job.request, job.selection, job.preset, job.fillers, progress or Progress(quiet=True), job.own
        )

    def __call__(self, item: tuple[int, str]) -> Answer:
        """Explain the image of this number, whose result has this identity."""
        index, identity = item
        try:
            image = self.images.read(index)
            result = replace(self.session.explain(image, len(self.images)), identity=identity)
            with TemporaryDirectory() as scratch:
                files = {}
                for name, write in self.job.files(result).items():
                    write(Path(scratch) / name)
                    files[name] = (Path(scratch) / name).read_bytes()
        except ValueError as error:
            return Answer(error=str(error))
        return Answer(self.job.line(result), files, result.departures)
