"""A server of one file on this machine, which misbehaves as it is told."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behavior:
    """How the server answers, and what it was asked for.

    Attributes:
        ranges: Whether it can go on in the middle.
        cut: How many bytes each answer sends before it breaks off, in turn; then whole ones.
        stall: How many answers fall silent instead of breaking off.
        status: What it answers with instead of the file, in turn.
        told: Whether it says how long its answer is.
        shift: By how many bytes its parts start too early.
        asked: The range of each request; ``None`` for all of the file.
    """

    content: bytes
    ranges: bool = True
    cut: list[int] = field(default_factory=list)
    stall: int = 0
    status: list[int] = field(default_factory=list)
    kind: str = "application/octet-stream"
    told: bool = True
    shift: int = 0
    asked: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    silence: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(behavior: Behavior) -> Iterator[str]:
    """Serve the file, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, behavior)

        def log_message(self, *_: object) -> None: ...

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{served.server_port}/file.pt"
    finally:
        behavior.silence.set()
        served.shutdown()
        thread.join()
        served.server_close()


def _answer(handler: BaseHTTPRequestHandler, behavior: Behavior) -> None:
    asked = handler.headers.get("Range")
    behavior.asked.append(asked)
    behavior.paths.append(handler.path)
    if behavior.status:
        handler.send_error(behavior.status.pop(0))
        return
    length = len(behavior.content)
    start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and behavior.ranges else 0
    if start >= length:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{length}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    start = max(0, start - behavior.shift) if start else 0
    body = behavior.content[start:]
    handler.send_response(206 if asked and behavior.ranges else 200)
    handler.send_header("Content-Type", behavior.kind)
    if asked and behavior.ranges:
        handler.send_header("Content-Range", f"bytes {start}-{length - 1}/{length}")
    if behavior.told:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if behavior.cut:
        handler.wfile.write(body[: behavior.cut.pop(0)])
        handler.wfile.flush()
        if behavior.stall:
            behavior.stall -= 1
            behavior.silence.wait(30)
        return
    handler.wfile.write(body)
