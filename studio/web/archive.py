"""A result as one file to take along: what the command writes, and how it was made."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from studio.explain.worker import Files
from studio.web.pictures import Chosen

_DAY = (1980, 1, 1, 0, 0, 0)
"""No time of day: the same files make the same archive."""


class Result(Protocol):
    """What can be taken along of a picture."""

    @property
    def chosen(self) -> Chosen:
        """The picture."""

    @property
    def files(self) -> Files:
        """What writes each of the command's files."""


def files(result: Result) -> dict[str, bytes]:
    """Return the files that the command writes of this result, and the picture if that is an example."""
    with TemporaryDirectory(prefix="infill-studio-") as scratch:
        written = {}
        for name, write in result.files.items():
            write(Path(scratch) / name)
            written[name] = (Path(scratch) / name).read_bytes()
    return {**written, **({result.chosen.name: result.chosen.file} if result.chosen.file else {})}


def packed(result: Result, about: str) -> bytes:
    """Return a zip archive of a result; ``about`` is what its ``command.txt`` says."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files(result).items():
            archive.writestr(zipfile.ZipInfo(name, _DAY), content, zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo("command.txt", _DAY), about + "\n", zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
