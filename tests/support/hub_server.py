"""A hub of models on this machine, for ``huggingface_hub`` itself to ask."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_api

COMMIT = "0123456789" * 4


@dataclass
class Hub:
    """The hub's models, each a folder, and the files that were fetched from it."""

    models: Mapping[str, Path]
    commit: str = COMMIT
    fetched: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def planted(cache: Path, model: str, folder: Path) -> Path:
    """Put a folder into the hub's cache as its client would, but for links."""
    repository = cache / f"models--{model.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots").mkdir()
    snapshot = repository / "snapshots" / COMMIT
    snapshot.symlink_to(folder)
    return snapshot


def directed(monkeypatch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    """Let the client ask this address, and keep what it gets here."""
    for name in ("HF_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "INFILL_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(hf_api.api, "endpoint", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """Serve the models, and yield the hub's address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, hub)

        def do_HEAD(self) -> None:
            _answer(self, hub)

        def log_message(self, *_: object) -> None: ...

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{served.server_port}"
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


def _answer(handler: BaseHTTPRequestHandler, hub: Hub) -> None:
    path = handler.path.split("?")[0]
    hub.asked.append(path)
    api = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/tree/\w+|/revision/main)?", path)
    file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/\w+/(.+)", path)
    if api and api[1] in hub.models:
        folder = hub.models[api[1]]
        names = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
        tree = [{"type": "file", "path": name, **_size(folder / name)} for name in names]
        about = {"id": api[1], "sha": hub.commit, "siblings": [{"rfilename": name} for name in names]}
        _send(handler, json.dumps(tree if "/tree/" in path else about).encode(), {})
    elif file and file[1] in hub.models and (hub.models[file[1]] / file[2]).is_file():
        content = (hub.models[file[1]] / file[2]).read_bytes()
        if handler.command == "GET":
            hub.fetched.append(file[2])
        digest = hashlib.sha256(content).hexdigest()
        _send(handler, content, {"X-Repo-Commit": hub.commit, "ETag": f'"{digest}"'})
    else:
        handler.send_response(404)
        handler.send_header("X-Error-Code", "EntryNotFound" if file else "RepoNotFound")
        handler.send_header("Content-Length", "0")
        handler.end_headers()


def _size(file: Path) -> dict[str, object]:
    return {"size": file.stat().st_size, "oid": hashlib.sha1(file.read_bytes()).hexdigest()}


def _send(handler: BaseHTTPRequestHandler, content: bytes, headers: Mapping[str, str]) -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(content)
