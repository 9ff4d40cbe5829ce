"""What the parts of the page do, without a server: whatever goes wrong is told, and changes nothing."""

import asyncio
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from studio.web.desk import Desk, Studio

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]  # importing gradio takes long, and warns
ME: Any = SimpleNamespace(session_hash="me")


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the event loops that gradio leaves open."""
    policy, made = asyncio.get_event_loop_policy(), list[asyncio.AbstractEventLoop]()
    new = policy.new_event_loop
    monkeypatch.setattr(policy, "new_event_loop", lambda: made.append(new()) or made[-1])
    yield
    for loop in made:
        loop.close()


@pytest.fixture
def events(studio: Studio, loops: None) -> Any:
    gr = pytest.importorskip("gradio", reason="gradio is not installed")
    from studio.web.events import STORED, Events
    from studio.web.page import laid_out

    with gr.Blocks() as page:
        stored = [gr.Textbox(visible=False) for _ in STORED]
        return Events(studio, laid_out(studio, ""), stored, page)


def picked(key: str) -> Any:
    return SimpleNamespace(key=key)


@pytest.mark.parametrize("error", [ValueError("no look at it"), RuntimeError("a defect")])
def test_a_picture_that_cannot_be_looked_at_is_not_taken(
    error: Exception, events: Any, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    events.begin("", "", "", "", ME)
    desk = studio.desk("me")
    desk.results["key"] = ("", None, "")  # type: ignore[assignment]  # what was found before
    before = desk.chosen

    def fails(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Desk, "look", fails)
        said, *rest = events.pick(picked("scene:9"), ME)
    assert str(error) in said
    assert all(each.get("__type__") == "update" and len(each) == 1 for each in rest), "all else is as it was"
    assert desk.chosen is before
    assert list(desk.results) == ["key"]
    said, _, piece, *_ = events.pick(picked("scene:9"), ME)
    assert said == ""
    assert "scene 9" in piece


def test_a_page_on_which_nothing_can_be_seen_says_why(events: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise ValueError("classifier has 5 classes, but names 2")

    monkeypatch.setattr(Desk, "look", fails)
    told = events.begin("", "", "", "", ME)
    assert "classifier has 5 classes, but names 2" in told[0]
    assert len(told) == 1 + len(events._told) + len(events.parts.kept)


def test_what_is_recalled_and_cannot_be_seen_is_left_out(
    events: Any, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Desk.look

    def fails(desk: Desk, *target: str) -> Any:
        if desk.chosen.key == "scene:9":
            raise ValueError("not this one")
        return looks(desk, *target)

    monkeypatch.setattr(Desk, "look", fails)
    said, _, piece, *_ = events.begin("", "", "scene:9", "", ME)
    assert "not this one" in said
    assert "scene 4" in piece
    assert studio.desk("me").chosen.key == "scene:4"


def test_after_a_reload_the_card_marks_the_class_that_the_panel_marks(events: Any) -> None:
    told = events.begin("", "", "", json.dumps(["crate", "gear"]), ME)
    for piece in (told[2], told[6]):
        assert '<li class="target"><span class="name" title="crate">' in piece
        assert '<li class="against"><span class="name" title="gear">' in piece


def test_whatever_goes_wrong_with_a_drawing_is_told(
    events: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("a defect")

    events.begin("", "", "", "", ME)
    monkeypatch.setattr(Desk, "draw", fails)
    (said,) = events.again(["gray"], "top1", "", ME)
    assert "RuntimeError: a defect" in said
    assert "Traceback" in capsys.readouterr().err
