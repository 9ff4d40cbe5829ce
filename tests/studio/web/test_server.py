"""The server: for this machine alone unless told otherwise, and nothing is left behind."""

import os
import re
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import refused, runner

from studio.web import server
from studio.web.server import StudioRequest, serve, serving

ODD = """
import torch

class Odd(torch.nn.Module):
    def __init__(self, classes, factor):
        super().__init__()
        self.classes, self.factor = classes, factor

    def forward(self, images):
        return self.factor * images.mean((1, 2, 3))[:, None].expand(-1, self.classes)

def one():
    return Odd(1, 1.0)

def nan():
    return Odd(3, float("nan"))
"""
pytest.importorskip("uvicorn", reason="uvicorn is not installed")


@pytest.fixture(autouse=True)
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page itself is looked at in a browser (test_browser.py), in a process of its own."""
    monkeypatch.setattr(server, "application", lambda *_: None)


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    with serving(StudioRequest(browser=False)) as (_, address):
        assert address.startswith("http://127.0.0.1:")
        (folder,) = tmp_path.glob("infill-studio-*")
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
        (folder / "upload.png").write_bytes(b"x")
    assert list(tmp_path.glob("infill-studio-*")) == []
    assert "GRADIO_TEMP_DIR" not in os.environ


def test_who_listens_to_everybody_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda self: None)
    said: list[str] = []
    serve(StudioRequest(host="0.0.0.0", browser=False), said.append)
    assert re.search(r"http://127\.0\.0\.1:(\d+), elsewhere http://(.+):\1 \(", said[0])
    assert "there is no login" in said[1]
    said.clear()
    serve(StudioRequest(host="0.0.0.0", browser=False, password="x"), said.append)
    serve(StudioRequest(browser=False), said.append)
    assert len(said) == 2
    assert "elsewhere" not in said[1]


def test_the_browser_opens_a_page_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda self: None)
    opened: list[str] = []
    monkeypatch.setattr(
        server.threading, "Timer", lambda _, do, args: SimpleNamespace(start=lambda: do(*args))
    )
    monkeypatch.setattr(server.webbrowser, "open", opened.append)
    serve(StudioRequest(host="0.0.0.0"), lambda _: None)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", opened[0])


@pytest.mark.parametrize("host", ["999.1.1.1", "192.0.2.1"])
def test_a_host_that_is_no_address_of_this_machine(host: str) -> None:
    with pytest.raises(ValueError, match=f"--host: {host} is no address"), serving(StudioRequest(host=host)):
        pass


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ValueError, match=f"--port: cannot listen on 127.0.0.1, port {port}"),
            serving(StudioRequest(port=port)),
        ):
            pass
        monkeypatch.setattr(server, "PORT", port)
        with serving(StudioRequest()) as (_, address):
            assert port < int(address.rpartition(":")[2]) < port + server.TRIED


def test_what_the_command_refuses(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = runner(capsys, "studio")
    (tmp_path / "empty").touch()
    refused(run("--password-file", "none"), "--password-file: none cannot be read")
    refused(run("--password-file", "empty"), "--password-file: empty is empty")
    refused(run("--run", "none"), "--run: none is no folder")
    refused(run("--run", "."), "--run: . holds neither run.json")
    refused(run("--classifier", "resnet9000"), "unknown classifier 'resnet9000'")
    (tmp_path / "odd.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    refused(run("--classifier", "python:odd:one"), "got 1 logit: take multi_label=True, or --multi-label")
    refused(run("--classifier", "python:odd:nan"), "got NaN logits")
    refused(run("--share"), "No such option '--share'")
