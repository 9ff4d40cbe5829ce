"""Serves the page: on this machine alone unless told otherwise, and nothing on it comes from elsewhere."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.web.desk import Desk, Studio
from studio.web.networks import Networks
from studio.web.pictures import MEGABYTES
from studio.web.runs import RunPage

if TYPE_CHECKING:
    import uvicorn
    from fastapi import Request, Response

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE: Mapping[str, str] = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Who listens there listens to everybody, and is found here, on this machine."""
PORT, TRIED = 7860, 40
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; frame-ancestors 'self'; form-action 'self'; base-uri 'self'"
)
"""Browsers are told to fetch nothing from any other place."""


@dataclass(frozen=True, kw_only=True)
class StudioRequest:
    """What ``infill studio`` is asked for.

    Attributes:
        host: Where it listens.
        port: ``None``: the first that is free, from `PORT` on.
        browser: Whether a browser is opened.
        password: What people must know; any user name will do.
        run: A folder of ``infill evaluate`` or ``infill realism`` to be looked through.
        classifier: One that is offered beside those that are here.
        weights: Its file of weights.
        multi_label: Whether its classes do not exclude each other.
        device: Where networks run.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    browser: bool = True
    password: str | None = None
    run: Path | None = None
    classifier: str | None = None
    weights: Path | None = None
    multi_label: bool = False
    device: str = "auto"


def serve(request: StudioRequest, echo: Callable[[str], object]) -> None:
    """Serve the page until somebody stops it.

    Raises:
        ValueError: If the port is taken, the run cannot be read, or the classifier cannot be loaded or shown.
    """
    with serving(request) as (server, address):
        elsewhere = f", elsewhere {_elsewhere(address)}" if request.host in EVERYWHERE else ""
        echo(f"infill studio: {address}{elsewhere} (Ctrl+C ends it)")
        if request.host not in LOOPBACK and request.password is None:
            echo("infill: whoever reaches this machine can use the page: there is no login (--password-file)")
        if request.browser:
            threading.Timer(1.0, webbrowser.open, (address,)).start()
        server.run()


@contextmanager
def serving(request: StudioRequest) -> Iterator[tuple[uvicorn.Server, str]]:
    """Yield a server that is ready to run, and its address here; remove all temporary files at the end.

    Raises:
        ValueError: As for `serve`.
    """
    import uvicorn

    networks = Networks(request.classifier, request.weights, request.multi_label, request.device)
    studio = Studio(networks)
    Desk("", studio).look()  # a classifier that cannot be shown is told here, not on an empty page
    run = RunPage(request.run) if request.run else None
    with _sockets(request) as listening, _temporary():
        port = int(listening.getsockname()[1])
        app = application(studio, run, request, port)
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2, access_log=False)
        server = uvicorn.Server(config)
        serve_on = server.serve
        server.serve = lambda sockets=None: serve_on([listening])
        try:
            yield server, f"http://{_shown(request.host)}:{port}"
        finally:
            studio.turns.close()


def application(studio: Studio, run: RunPage | None, request: StudioRequest, port: int) -> Any:
    """Return the whole application."""
    import gradio as gr
    from fastapi import FastAPI
    from fastapi.middleware.trustedhost import TrustedHostMiddleware

    from studio.web.events import STORED, Events
    from studio.web.page import TITLE, asset, laid_out, theme

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if request.host in LOOPBACK:  # else another page could reach this one under a name of its own
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK[:2], "[::1]"])

    app.middleware("http")(_guarded)
    app.add_api_route("/download/{key}", partial(_download, studio), include_in_schema=False)
    place = f"run/{secrets.token_urlsafe(16)}" if run else ""  # known to those alone who see the page
    if run is not None:
        app.add_api_route(f"/{place}", partial(_of_run, run), include_in_schema=False)
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        stored = [gr.Textbox(visible=False) for _ in STORED]
        Events(studio, laid_out(studio, place), stored, page)
    page.queue(default_concurrency_limit=8, max_size=64, api_open=False)
    return gr.mount_gradio_app(
        app, page, "/", server_name=request.host, server_port=port, footer_links=[], run_history=False,
        auth=_login(request.password), auth_message="Any name will do; the password is that of this studio.",
        allowed_paths=[], show_error=False, max_file_size=MEGABYTES * 2**20, ssr_mode=False,
        enable_monitoring=False, pwa=False, mcp_server=False, theme=theme(), css=asset("studio.css"),
        js=asset("page.js"),
    )  # fmt: skip


async def _guarded(asked: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Tell the browser to fetch nothing from elsewhere."""
    answer = await go_on(asked)
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def _download(studio: Studio, key: str) -> Response:
    """Return an archive that a page offers; its key cannot be guessed."""
    from fastapi import Response

    try:
        name, content = studio.archive(key)
    except KeyError:
        return Response("this result is no longer kept; run it again", 404)
    head = {"Content-Disposition": f'attachment; filename="{_plain(name)}"'}
    return Response(content, media_type="application/zip", headers=head)


def _of_run(run: RunPage) -> Response:
    """Return the run as it is now."""
    from fastapi import Response

    try:
        return Response(run.page(), media_type="text/html")
    except ValueError as error:
        return Response(str(error), 404)


def _login(password: str | None) -> Callable[[str, str], bool] | None:
    if password is None:
        return None
    return lambda _, given: compare_digest(given.encode(), password.encode())


@contextmanager
def _sockets(request: StudioRequest) -> Iterator[socket.socket]:
    """Yield a socket that listens on the port that is asked for, or on the first that is free."""
    ports = range(PORT, PORT + TRIED) if request.port is None else [request.port]
    family = socket.AF_INET6 if ":" in request.host else socket.AF_INET
    for port in ports:
        listening = socket.socket(family, socket.SOCK_STREAM)
        # On Windows SO_REUSEADDR takes ports away from whoever listens there.
        alone = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listening.setsockopt(socket.SOL_SOCKET, alone, 1)
        try:
            listening.bind((request.host, port))
            listening.listen(128)  # from now on it is taken
        except OSError as error:
            listening.close()
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise ValueError(
                    f"--host: {request.host} is no address of this machine ({error.strerror})"
                ) from error
            reason = error.strerror
            continue
        with listening:
            yield listening
        return
    where = f"{ports[0]}" if len(ports) == 1 else f"{ports[0]} to {ports[-1]}"
    raise ValueError(f"--port: cannot listen on {request.host}, port {where} ({reason}); give another")


@contextmanager
def _temporary() -> Iterator[None]:
    """Give gradio a folder of its own for uploads, tell it to send nothing home, and remove the folder."""
    folder = tempfile.mkdtemp(prefix="infill-studio-")
    told = {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def _shown(host: str) -> str:
    """Return a host as an address has it that this machine itself can open."""
    here = EVERYWHERE.get(host, host)
    return f"[{here}]" if ":" in here else here


def _elsewhere(address: str) -> str:
    """Return the address by this machine's name, which others may know."""
    return f"http://{socket.gethostname()}:{address.rpartition(':')[2]}"


def _plain(name: str) -> str:
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in name
    )
