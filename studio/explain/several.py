"""One image after another: what is done is kept and skipped next time, and one bad file stops nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from studio import version
from studio.explain.inputs import InputImages
from studio.explain.result import Explanation
from studio.explain.session import Session
from studio.output import IncompleteError, OutputFolder
from studio.registry.build import weights_of

Files: TypeAlias = Mapping[str, Callable[[Path], object]]
"""What writes each file of an image; the last one says with which settings."""

_ELSEWHERE = ("images", "out", "again", "strict", "batch_size")
"""What of a request does not change an image's result, or is known of the image itself."""


def explain_each(
    session: Session,
    images: InputImages,
    folder: OutputFolder,
    files: Callable[[Explanation], Files],
    line: Callable[[Explanation], str],
    echo: Callable[[str], object],
) -> None:
    """Explain every image and write its files, each in a folder of its own if there are several.

    Of several images, those that are there already with the same settings are skipped, and one that cannot be
    explained is told at the end.

    Raises:
        ValueError: If the only image cannot be explained, or if none can.
        IncompleteError: If some cannot.
    """
    failures: dict[str, ValueError] = {}
    several = len(images) > 1
    for index, name in enumerate(images.names):
        within = images.folders[index] if several else ""
        identity = _identity(session, images.paths[index]) if images.paths else ""
        if several and not session.request.again and _done(folder.path / within, identity):
            echo(f"{name}: done before with the same settings (--again does it again)")
            continue
        try:
            result = replace(session.explain(images.read(index), len(images)), identity=identity)
        except ValueError as error:
            if not several or session.request.strict:
                raise ValueError(f"{name}: {error}" if several else str(error)) from error
            failures[name] = error
            continue
        paths = folder.publish(files(result), within=within)
        echo(line(result))
        echo("  " + " ".join(str(path) for path in paths))
    for text in session.departures_in_words():
        echo(text)
    _tell(failures, len(images))


def _tell(failures: Mapping[str, ValueError], images: int) -> None:
    if not failures:
        return
    reasons = "; ".join(f"{name}: {error}" for name, error in failures.items())
    if len(failures) == images:
        raise ValueError(reasons)
    raise IncompleteError(f"{len(failures)} of {images} images could not be explained: {reasons}")


def _identity(session: Session, path: Path) -> str:
    """Return a digest of all that the result for a file depends on."""
    request, settings = session.request, session.selection.settings
    asked = {
        field.name: getattr(request, field.name)
        for field in dataclasses.fields(request)
        if field.name not in _ELSEWHERE
    }
    used = [weights_of(name, settings) for name in session.selection.fillers]
    states = [_state(file) for file in (path, request.weights, *used) if file is not None]
    text = json.dumps([version(), type(request).__name__, asked, states], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _state(path: Path) -> list[Any]:
    try:
        status = path.stat()
    except OSError:
        return [str(path.absolute())]
    return [str(path.absolute()), status.st_size, status.st_mtime_ns]


def _done(folder: Path, identity: str) -> bool:
    """Whether an image's files are there, made with the same settings."""
    for path in folder.glob("*.json"):
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and found.get("identity") == identity:
            return True
    return False
