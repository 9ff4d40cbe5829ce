"""Where one person works: pieces of the page are the commands' own; what goes wrong leaves all as it was."""

import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from command import runner
from PIL import Image

from studio.explain.remove import EVERYTHING
from studio.web import result_views
from studio.web.bits import packed
from studio.web.choice import aimed, choice
from studio.web.desk import EMPTY, FILLING, NO_FILLER, Desk, Studio
from studio.web.turns import Work

QUICK = "sp.stride=64 sp.patch=41"


@pytest.fixture
def desk(studio: Studio) -> Desk:
    return studio.enter("someone")


def done(work: Work) -> Any:
    assert work.ended.wait(60)
    assert work.error is None
    return work.result


def until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")


def text(piece: str) -> str:
    """What can be read in a piece of the page."""
    return unescape(re.sub("<[^>]+>", "", piece))


def content(desk: Desk, key: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(desk.studio.archive(key)[1])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_map_is_the_command_s_byte_for_byte(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    desk.pick("example:rocket")
    result = done(desk.explain(choice("scenes", "sp", "gray", settings=QUICK)))
    piece, rest = desk.shown(result)
    (key,) = desk.results
    ours = content(desk, key)
    with zipfile.ZipFile(io.BytesIO(desk.studio.archive(key)[1])) as archive:
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_DEFLATED}
    assert set(ours) == {"explain.png", "heatmaps.npz", "explain.json", "rocket.jpg", "command.txt"}
    (tmp_path / "rocket.jpg").write_bytes(ours["rocket.jpg"])
    line = ours["command.txt"].decode().split()
    assert line[:3] == ["infill", "explain", "rocket.jpg"]
    assert " ".join(line) in text(rest)
    said = runner(capsys)(*line[2:])
    assert said.code == 0, said.err
    assert (tmp_path / "infill-out" / "heatmaps.npz").read_bytes() == ours["heatmaps.npz"]
    assert f"download/{key}" in rest
    assert 'data-box="0.16' in piece  # the classifier sees the square in the middle


def test_the_smallest_removal_is_the_command_s(desk: Desk) -> None:
    result = done(desk.explain(choice("scenes", "mp2-descent", "inpaint"), "counterfactual"))
    piece, rest = desk.shown(result, "counterfactual")
    # the third digits are the processor's: bfloat16 where it is fast, float32 elsewhere
    verdict = re.search(r"gear (0\.\d{3}) -&gt; (0\.\d{3}) \(now: crate (0\.\d{2})\)", piece)
    assert verdict
    explanation, after = result.explanation, result.run.search.probabilities
    seen = explanation.clean, after[explanation.target], after.max()
    assert verdict.groups() == tuple(f"{p:.{digits}f}" for p, digits in zip(seen, (3, 3, 2), strict=True))
    assert [float(p) for p in verdict.groups()] == pytest.approx([0.69, 0.044, 0.92], abs=0.02)
    ((_, _, line),) = desk.results.values()
    assert line == "infill counterfactual --scene 4"
    assert (
        "counterfactual.png, counterfactual-image.png, counterfactual-hole.png, counterfactual.json" in rest
    )
    assert "crate comes first" in rest


def test_a_hole_is_completed_filler_by_filler(desk: Desk) -> None:
    hole = torch.zeros(224, 224)
    hole[40:90, 120:190] = 1
    pieces = list(desk.draw(packed(hole), ["inpaint", "gray"]))
    assert ["Download as zip" in piece for piece in pieces] == [False, False, True]
    assert [piece.count("<figure") for piece in pieces] == [3, 3, 3]  # those that are waited for have a place
    assert [piece.count("waiting") for piece in pieces] == [2, 1, 0]
    assert pieces[-1].index("<b>gray</b>") < pieces[-1].index("<b>inpaint</b>")
    assert len(list(desk.draw(None, ["telea"]))) == 2  # the same hole by another filler
    older = desk.draw(packed(hole), ["gray", "telea"])
    next(older)
    later = list(desk.draw(packed(hole.T), ["gray"]))
    assert list(older) == []  # another hole is filled by now
    assert len(later) == 2
    assert desk.hole is not None
    assert torch.equal(desk.hole.view(224, 224), hole.T)
    (none,) = desk.draw(None, [])
    assert NO_FILLER in unescape(none)
    assert none.count("<figure") == 1
    desk.pick("scene:1")
    assert EMPTY in unescape(next(desk.draw(None, ["telea"])))  # another picture, no hole


def test_of_many_strokes_only_the_last_is_filled_and_none_for_who_has_left(
    studio: Studio, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[int] = []
    going, go = threading.Event(), threading.Event()

    def slow(picture: Any, hole: Any, *_: Any) -> Iterator[Any]:
        filled.append(int(hole.sum()))
        going.set()
        assert go.wait(60)
        yield SimpleNamespace(removed=SimpleNamespace(completions=[1], notes=[]), cards=[])

    monkeypatch.setattr("studio.web.desk.drawings", slow)
    monkeypatch.setattr("studio.web.desk.views.completed", lambda *_: "piece")
    monkeypatch.setattr(Desk, "_copies_of_hole", lambda *_: None)

    def draw(pixels: int) -> None:
        hole = torch.zeros(224 * 224)
        hole[:pixels] = 1
        list(desk.draw(packed(hole.view(224, 224)), ["gray"]))

    strokes = [threading.Thread(target=draw, args=(pixels,)) for pixels in (1, 2, 3)]
    strokes[0].start()
    assert going.wait(60)
    for before, stroke in enumerate(strokes[1:], start=desk.asked):
        stroke.start()
        until(lambda asked=before: desk.asked > asked)
    go.set()
    for stroke in strokes:
        stroke.join(60)
    assert filled == [1, 3], "the one in between was never begun"
    going.clear()
    go.clear()
    last = threading.Thread(target=draw, args=(4,))
    last.start()
    assert going.wait(60)
    begun = desk.asked
    studio.leave("someone")
    assert desk.asked > begun, "what goes on ends with this fill"
    go.set()
    last.join(60)


def test_the_holes_of_a_few_people_are_filled_at_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, go, most = [], threading.Event(), []

    def slow(*_: Any) -> Iterator[Any]:
        going.append(1)
        most.append(len(going))
        assert go.wait(60)
        going.pop()
        return
        yield

    monkeypatch.setattr("studio.web.desk.drawings", slow)
    hole = packed(torch.ones(224, 224))
    desks = [studio.enter(str(number)) for number in range(4)]
    drawn = [threading.Thread(target=lambda each=each: list(each.draw(hole, ["gray"]))) for each in desks]
    for each in drawn:
        each.start()
    until(lambda: all(desk.asked for desk in desks) and len(going) == FILLING)
    go.set()
    for each in drawn:
        each.join(60)
    assert (len(most), max(most)) == (4, FILLING)


def test_a_drawing_is_the_command_s_and_python_s_byte_for_byte(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    desk.pick("example:rocket")
    hole = torch.zeros(224, 224)
    hole[40:90, 120:190] = 1
    for drawn in (hole.T, hole):
        *_, piece = desk.draw(packed(drawn), ["gray", "noise"])
    (key,) = desk.results  # the last stroke's alone
    ours = content(desk, key)
    for name in ("rocket.jpg", "hole.png"):
        (tmp_path / name).write_bytes(ours[name])
    line = ours["command.txt"].decode().split()
    assert " ".join(line) in text(piece)
    said = runner(capsys)(*line[2:], command=line[1])
    assert said.code == 0, said.err
    lines = {}
    call = unescape(piece).split('<code class="python">')[1].split("</code>")[0]
    exec(call.replace("infill-out", "python"), lines)
    names = {"remove.png", "original.png", "hole.png", "completion-gray.png", "completion-noise.png"}
    assert names < set(ours)
    for name in sorted(names):
        assert Path("infill-out", name).read_bytes() == ours[name], name
        assert Path("python", name).read_bytes() == ours[name], name
    told = [json.loads(text) for text in (ours["remove.json"], *(
        Path(folder, "remove.json").read_bytes() for folder in ("infill-out", "python")))]  # fmt: skip
    for each in told:
        assert [one.pop("seconds") >= 0 for one in each["completions"]] == [True, True]
    assert told[0] == told[1] == told[2]
    assert told[0]["hole"]["file"] == "hole.png"


def test_an_empty_hole_and_one_over_everything_are_told(desk: Desk) -> None:
    (empty,) = desk.draw(packed(torch.zeros(224, 224)), ["gray"])
    assert EMPTY in unescape(empty)
    *_, last = desk.draw(packed(torch.ones(224, 224)), ["gray", "telea"])
    assert EVERYTHING in unescape(last)
    assert "<b>gray</b>" in last


def test_what_is_wrong_leaves_everything_as_it_was(desk: Desk, tmp_path: Path) -> None:
    desk.pick("scene:3")
    before = desk.chosen
    (tmp_path / "a.jpg").write_text("no picture")
    wrong: list[tuple[Any, str]] = [
        (lambda: desk.upload(tmp_path / "a.jpg", "a.jpg"), "a.jpg is not an image"),
        (lambda: desk.pick("scene:x"), "scene: expected"),
        (lambda: desk.choose("file:/etc/passwd"), "classifier: expected one of"),
        (lambda: desk.look("cat"), "no class 'cat'"),
        (lambda: next(desk.draw("AAAA", [])), "hole: expected 224 x 224"),
        (lambda: next(desk.draw(None, ["lama:x"])), "filler: expected one of"),
        (lambda: desk.spot(0.5, 0.5), "press Explain first"),
    ]
    for do, message in wrong:
        with pytest.raises(ValueError, match=message):
            do()
    assert desk.chosen is before
    assert desk.classifier == "scenes"


def test_an_upload_is_escaped_wherever_it_is_named(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "0.png"
    Image.fromarray(np.full((60, 90, 3), 120, np.uint8)).save(path)
    desk.upload(path, "<img src=x onerror=alert(1)>.png")
    piece, canvas, classes = desk.look()
    assert "<img src=x" not in piece
    assert "&lt;img src=x" in piece
    assert canvas["side"] == 224
    assert {name for name, _ in classes} == set(desk.network().labels)
    assert all(name == value for name, value in classes)
    assert "the square in the middle" in piece


def test_a_run_is_shown_while_it_goes_on_and_its_spot_afterwards(desk: Desk) -> None:
    work = desk.explain(choice("scenes", "sp", "gray", settings="sp.stride=24"))
    shown = [result_views.live(each) if each.begun else result_views.waiting(0) for each in work.watch(0.0)]
    assert all('role="progressbar"' in each for each in shown[:-1])
    with pytest.raises(ValueError, match="no map yet"):
        desk.spot(0.7, 0.4)
    desk.shown(done(work))
    assert "samples this spot is removed" in desk.spot(0.7, 0.4)
    with pytest.raises(ValueError, match="spot: expected a pixel inside"):
        desk.spot(1.5, 0.4)


def test_samples_of_a_map_that_is_gone_by_then_are_not_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun_again() -> None:
        done(desk.explain(asked))

    asked = choice("scenes", "sp", "gray", settings=QUICK)
    for meanwhile in (lambda: desk.pick("scene:9"), begun_again):
        desk.shown(done(desk.explain(asked)))
        with monkeypatch.context() as patched:
            patched.setattr("studio.web.desk.spot", lambda *_, do=meanwhile: do())
            patched.setattr("studio.web.desk.result_views.spot", lambda *_: "samples")
            assert desk.spot(0.5, 0.5) == ""
        with pytest.raises(ValueError, match="no map yet"):
            desk.spot(0.5, 0.5)


def test_two_ways_side_by_side(desk: Desk) -> None:
    ways = [choice("scenes", "sp", filler, settings=QUICK) for filler in ("gray", "blur")]
    piece, rest = desk.compared(*done(desk.compare(*ways)))
    assert piece.count('class="map') >= 3
    assert "Rank correlation" in piece
    assert rest.count("Download as zip") == 2
    assert {line for _, _, line in desk.results.values()} == {
        f"infill explain --scene 4 --method sp --filler {filler} --set sp.stride=64 --set sp.patch=41"
        for filler in ("gray", "blur")
    }


def test_what_the_page_shows_can_be_had_however_much_is_found_meanwhile(desk: Desk) -> None:
    ways = [choice("scenes", "sp", filler, settings=QUICK) for filler in ("gray", "blur")]
    desk.compared(*done(desk.compare(*ways)))
    compared = set(desk.results)
    for _ in range(7):
        desk.shown(done(desk.explain(ways[0])))
    assert compared < set(desk.results)
    assert len(desk.results) == 3  # of the seven, the last one alone is shown
    for key in desk.results:
        assert "explain.json" in " ".join(content(desk, key))


def test_who_leaves_is_forgotten_and_others_are_not(studio: Studio) -> None:
    one, other = studio.enter("one"), studio.enter("other")
    one.pick("scene:9")
    assert other.chosen.key == "scene:4"  # two tabs do not know of each other
    one.shown(done(one.explain(choice("scenes", "sp", "gray", settings=QUICK))))
    (key,) = one.results
    studio.leave("one")
    with pytest.raises(KeyError):
        studio.archive(key)
    with pytest.raises(ValueError, match="The server no longer knows this page"):
        studio.desk("one")
    assert list(studio.desks) == ["other"]
    assert studio.desk("other") is studio.enter("other") is other
    assert studio.enter("one").chosen.key == "scene:4"


def test_one_class_rather_than_another(desk: Desk) -> None:
    asked = choice("scenes", "sp", "gray", aimed("gear", "crate"), settings=QUICK)
    result = done(desk.explain(asked))
    piece, rest = desk.shown(result)
    log_odds = re.search(r"gear rather than crate, log-odds (\+\d\.\d{2})", unescape(piece))
    assert log_odds
    assert log_odds[1] == f"{result.explanation.clean:+.2f}"
    assert float(log_odds[1]) == pytest.approx(0.82, abs=0.1)  # in bfloat16 .07 more than in float32
    assert "--target against:gear,crate" in text(rest)
    assert "log-odds" not in desk.spot(0.2, 0.2)
    assert "gear rather than crate" in desk.spot(0.2, 0.2)
    assert '<li class="against"><span class="name" title="crate">' in desk.spot(0.7, 0.4)
    stages = json.loads(unescape(rest.split('data-stages="')[1].split('"')[0]))
    assert stages[0]["score"] == f"log-odds {log_odds[1]}"
    assert all(["crate", "against"] in [[row[0], row[2]] for row in each["rows"]] for each in stages)
    assert "log-odds of gear rather than crate, from -" in text(rest)
    assert [text(each) for each in re.findall(r'<span style="left.*?</span>', rest)] == [
        "0 %", "3 %", "10 %", "30 %", "100 %",
    ]  # fmt: skip
    assert aimed("top1", "") == aimed("top1", None) == "top1"
    hole = torch.zeros(224, 224)
    hole[40:90, 120:190] = 1
    *_, piece = desk.draw(packed(hole), ["gray"], aimed("gear", "crate"))
    assert re.findall(r"gear rather than crate: log-odds ([+-]\d\.\d{2})", piece)[0] == log_odds[1]
    assert piece.count('<li class="target"><span class="name" title="gear">') == 2
    assert piece.count('<li class="against"><span class="name" title="crate">') == 2
    assert "--hole hole.png --filler gray --target against:gear,crate" in text(piece)
    assert "rather than" not in [*desk.draw(None, ["gray"])][-1]


def test_before_and_after_a_removal_both_classes_are_marked(desk: Desk) -> None:
    asked = choice("scenes", "mp2-descent", "gray", aimed("gear", "crate"))
    piece, rest = desk.shown(done(desk.explain(asked, "counterfactual")), "counterfactual")
    assert piece.count('<li class="against"><span class="name" title="crate">') == 2
    assert "The thin line is 0: even odds." in rest


def test_another_picture_or_classifier_begins_anew_and_the_same_one_changes_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    hole = torch.zeros(224, 224)
    hole[40:90, 120:190] = 1
    list(desk.draw(packed(hole), ["gray"]))
    desk.shown(done(desk.explain(choice("scenes", "sp", "gray", settings=QUICK))))
    assert len(desk.results) == 2
    assert not desk.pick("scene:4")
    assert not desk.pick("scene:004")
    assert not desk.choose("scenes")
    assert (len(desk.results), desk.hole is None) == (2, False)
    older = desk.draw(packed(hole), ["gray", "telea"])
    next(older)
    assert desk.pick("scene:9")
    assert list(older) == []
    assert (desk.results, desk.keys, desk.latest, desk.hole) == ({}, {}, {}, None)
    for name in ("one.png", "two.png"):
        Image.fromarray(np.full((60, 90, 3), 120, np.uint8)).save(tmp_path / name)
    assert desk.upload(tmp_path / "one.png", "mine.png")
    assert not desk.upload(tmp_path / "two.png", "mine.png")
    with pytest.raises(ValueError, match=r"image: mine\.png has not arrived; drop it again"):
        desk.upload(tmp_path / "two.png", "mine.png")


def test_a_hole_of_another_picture_is_not_filled(desk: Desk) -> None:
    hole = torch.zeros(224, 224)
    hole[40:90, 120:190] = 1
    for of in (("scene:3", "scenes"), ("scene:4", "mobilenet_v2")):
        assert list(desk.draw(packed(hole), ["gray"], of=of)) == []
        assert desk.hole is None
    assert len(list(desk.draw(packed(hole), ["gray"], of=("scene:4", "scenes")))) == 2
    assert desk.hole is not None


def test_maps_of_searches_are_not_called_scores(desk: Desk) -> None:
    for method, units in (("sp", "in units of the score"), ("mp2-descent", "in the maps' own units")):
        ways = [
            choice("scenes", method, filler, settings=QUICK * (method == "sp")) for filler in ("gray", "blur")
        ]
        assert units in unescape(desk.compared(*done(desk.compare(*ways)))[0])


def test_samples_that_are_filled_anew_are_said_to_be(desk: Desk) -> None:
    for filler, anew in (("noise", True), ("gray", False)):
        desk.shown(done(desk.explain(choice("scenes", "sp", filler, settings=QUICK))))
        assert ("what is shown is filled anew" in desk.spot(0.7, 0.4)) == anew
