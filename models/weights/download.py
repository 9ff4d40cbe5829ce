"""One file from the network, in as many pieces as it takes; what broke off is never taken for the whole."""

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

DownloadProgress: TypeAlias = Callable[[int, int], object]
"""Called with how many bytes are there, and how many there will be."""

_SCHEMES = ("http://", "https://", "file://")
_TIMEOUT = 10.0  # of silence, in seconds
_TRIES = 4
_PAUSE = 1.0  # before the second try, in seconds; doubled before each further one
_BLOCK = 1 << 18
_PASSING = (408, 425, 429)


class _TransferError(Exception):
    """Nothing, or not all, has come; ``again`` says whether another try may mend it."""

    def __init__(self, reason: object, again: bool = False) -> None:
        super().__init__(str(reason))
        self.again = again


def download(
    urls: Sequence[str], part: Path, size: int | None = None, progress: DownloadProgress | None = None
) -> None:
    """Make ``part`` the whole file, going on from what is there of it already.

    Proxies are those of the environment. A server that cannot go on in the middle makes it begin anew.

    Args:
        urls: Where the file is, ``http(s)://`` or ``file://``; the first that sends all of it is taken.
        part: The file to write. What has come stays there if it breaks off.
        size: What the file must measure, in bytes; ``None``: what the server says.
        progress: Is told after each piece.

    Raises:
        ValueError: If no address gives the file; each one's reason is named.
        OSError: If ``part`` cannot be written.
    """
    faults = []
    for url in urls:
        try:
            _persist(url, part, size, progress)
            return
        except _TransferError as error:
            faults.append(f"{url}: {error}")
    raise ValueError("; ".join(faults))


def _persist(url: str, part: Path, size: int | None, progress: DownloadProgress | None) -> None:
    """Try a few times, with growing pauses, as long as another try may help."""
    if not url.startswith(_SCHEMES):
        raise _TransferError(f"expected an address that starts with one of {', '.join(_SCHEMES)}")
    for left in reversed(range(_TRIES)):
        try:
            return _transfer(url, part, size, progress)
        except _TransferError as error:
            if not (error.again and left):
                raise
        time.sleep(_PAUSE * 2 ** (_TRIES - 1 - left))
    return None


def _transfer(url: str, part: Path, size: int | None, progress: DownloadProgress | None) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if size is not None and have == size:
        return
    if size is not None and have > size:
        have = 0
    try:
        response = _opener().open(_request(url, have), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if have and error.code == 416 and _beyond(error, part, have):
                return
            raise _refusal(error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _fault(error) from error
    with response:
        start, total = _promise(response, part, have, size)
        _write(response, part, start, total, progress)


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses; unlike urllib's own it never follows a server to FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
        urllib.request.FileHandler, urllib.request.HTTPRedirectHandler, urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener


def _request(url: str, have: int) -> urllib.request.Request:
    headers = {"User-Agent": "infill", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    return urllib.request.Request(url, headers=headers)


def _beyond(error: urllib.error.HTTPError, part: Path, have: int) -> bool:
    """Return whether the file is whole, as nothing follows it; a longer one is no part of it and goes."""
    total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    if total and int(total[1]) == have:
        return True
    part.unlink()
    raise _TransferError("what was there is no part of the file", again=True)


def _refusal(error: urllib.error.HTTPError) -> _TransferError:
    return _TransferError(
        f"HTTP {error.code} {error.reason}", again=error.code in _PASSING or error.code >= 500
    )


def _fault(error: Exception) -> _TransferError:
    reason = getattr(error, "reason", None) or error
    # An unknown host, one that nothing reaches, or a bad certificate stays as it is; a broken line may not.
    # To wait in vain for a connection is an URLError because of a TimeoutError, for an answer the latter.
    passing = isinstance(error, TimeoutError) or isinstance(
        reason, ConnectionError | http.client.HTTPException
    )
    return _TransferError(str(reason) or type(reason).__name__, again=passing)


def _promise(response: Any, part: Path, have: int, size: int | None) -> tuple[int, int]:
    """Return where the answer starts, and how long the whole file is."""
    if response.headers.get_content_type() == "text/html":
        raise _TransferError("answers with a web page instead of the file")
    length = response.headers.get("Content-Length")
    start = 0
    if response.status == 206:
        begun = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if not begun or int(begun[1]) != have:
            part.unlink(missing_ok=True)
            raise _TransferError("answers with another part of the file than the one asked for", again=True)
        start = have
    total = start + int(length) if length else size
    if total is None:
        raise _TransferError("does not say how long the file is, so that nobody can tell whether it is whole")
    if size is not None and total != size:
        raise _TransferError(f"the file there has {total} bytes instead of {size}")
    return start, total


def _write(response: Any, part: Path, start: int, total: int, progress: DownloadProgress | None) -> None:
    done = start
    with part.open("ab" if start else "wb") as file:
        while done <= total and (block := _read(response)):
            file.write(block)
            done += len(block)
            if progress:
                progress(done, total)
    if done > total:
        part.unlink()
        raise _TransferError(f"sends more than the {total} bytes of the file")
    if done < total:
        raise _TransferError(f"broke off after {done} of {total} bytes", again=True)


def _read(response: Any) -> bytes:
    try:
        return bytes(response.read(_BLOCK))
    except (OSError, http.client.HTTPException) as error:
        raise _fault(error) from error
