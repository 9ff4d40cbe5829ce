"""A folder of weight files: where they are, how they get there, and whether they are whole.

Nothing is ever unpickled here, and nothing here needs torch.
"""

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from models.weights.catalog import CatalogEntry
from models.weights.download import DownloadProgress, download

_UNKNOWN = "not verified: no published hash"


@dataclass(frozen=True)
class FileStorage:
    """A folder of weight files.

    A file comes in as ``FILE.part`` and is renamed once its size and hash are right; where no hash is
    published, the hash of what came is kept in ``FILE.sha256``. A broken fetch goes on where it was, and of
    several at once only one fetches.

    Attributes:
        folder: Returns the folder, which environment variables may move.
        about: Whose it is, and what moves it, in words.
        keeper: Who looks after it beside infill, in words that follow others; empty if nobody.
        given_as: What the user gives in place of weights that are kept here.
    """

    folder: Callable[[], Path]
    about: str
    keeper: str = ""
    given_as: str = "FILE"

    def location(self, entry: CatalogEntry) -> Path:
        """Return where the file is, or belongs."""
        return self.folder() / entry.file

    def here(self, entry: CatalogEntry) -> bool:
        """Return whether there is such a file."""
        return self.location(entry).is_file()

    def fetch(self, entry: CatalogEntry, progress: DownloadProgress | None) -> Path:
        """Fetch the file.

        Raises:
            ValueError: If it cannot be fetched or written, or what came is not what was published.
        """
        target = self.location(entry)
        made = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _alone(target):
                if not target.is_file():  # else another one has fetched it meanwhile
                    _bring(entry, target, progress)
        except OSError as error:
            reason = f"{error.strerror or error} ({error.filename or target.parent})"
            raise ValueError(f"weights: cannot write {target}: {reason}{_kept(entry, target)}") from error
        finally:
            for folder in made:
                with suppress(OSError):  # what came is in it: it stays
                    folder.rmdir()
        return target

    def verify(self, entry: CatalogEntry) -> str:
        """Return whether the file's size and hash are the published ones, or else those of the fetched file.

        Raises:
            ValueError: If the file is damaged or cannot be read.
        """
        path = self.location(entry)
        try:
            return _verdict(entry, path, _recorded(path) if entry.sha256 is None else entry.sha256)
        except OSError as error:
            raise ValueError(f"weights: cannot read {path}: {error.strerror or error}") from error

    def by_hand(self, entry: CatalogEntry) -> str:
        """Return where the file belongs, in words that follow others."""
        return f", or by hand to {self.location(entry)}"

    def elsewhere(self, entry: CatalogEntry) -> str:
        """Return where to put a file from elsewhere."""
        return f"and put it to {self.location(entry)}"


def _bring(entry: CatalogEntry, target: Path, progress: DownloadProgress | None) -> None:
    part = _beside(target, ".part")
    if entry.sha256 is None:  # pieces of two days could be of two files, and nobody would see it
        part.unlink(missing_ok=True)
    try:
        download(entry.urls, part, entry.size, progress)
    except ValueError as error:
        raise ValueError(f"weights: cannot fetch {entry.file} ({error}){_kept(entry, target)}") from error
    digest = sha256_of(part)
    if entry.sha256 is not None and not digest.startswith(entry.sha256):
        part.unlink()
        fault = f"its SHA-256 is {digest} instead of {entry.sha256}"
        raise ValueError(f"weights: what came as {entry.file} is not what was published: {fault}; deleted it")
    if entry.sha256 is None:
        _beside(target, ".sha256").write_text(f"{digest}  {target.name}\n")
    os.replace(part, target)


def _verdict(entry: CatalogEntry, path: Path, expected: str | None) -> str:
    if entry.size is not None and path.stat().st_size != entry.size:
        fault = f"it has {path.stat().st_size} bytes instead of {entry.size}"
    elif expected is None:
        return f"{_UNKNOWN}, and none from when it was fetched"
    elif (digest := sha256_of(path)).startswith(expected):
        short = f" (its first {len(expected)} digits)" if len(expected) < 64 else ""
        return (
            f"{_UNKNOWN}; unchanged since it was fetched" if entry.sha256 is None else f"ok: SHA-256{short}"
        )
    else:
        fault = f"its SHA-256 is {digest} instead of {expected}"
    raise ValueError(f"weights: {path} is damaged, or another file: {fault}; delete it and fetch it again")


def _recorded(path: Path) -> str | None:
    record = _beside(path, ".sha256")
    if not record.is_file():
        return None
    digest = re.match(r"[0-9a-f]{64}\b", record.read_text(errors="replace"))
    if not digest:
        raise ValueError(f"weights: {record} holds no SHA-256; delete it")
    return digest[0]


def _kept(entry: CatalogEntry, target: Path) -> str:
    part = _beside(target, ".part")
    with suppress(OSError):
        if entry.sha256 is not None and part.stat().st_size:
            return f"; what has come is kept in {part}, and fetching goes on from there"
    return ""


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Wait until no other process or thread is fetching this file, and keep them waiting."""
    lock = _beside(target, ".lock")
    while True:
        with lock.open("ab") as file:
            _wait(file.fileno())
            if not _same(lock, file.fileno()):
                continue  # who had it before has removed it, and somebody else may have made another
            try:
                yield
            finally:
                with suppress(OSError):
                    lock.unlink()
            return


def _same(path: Path, descriptor: int) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _wait(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        while True:
            with suppress(OSError):  # it gives up after ten seconds
                return msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX)
