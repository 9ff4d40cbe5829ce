"""A live bar on a terminal, plain lines elsewhere."""

import sys
import time

import pytest

from studio.progress import Progress


def job() -> None:
    with Progress() as progress:
        progress.plan(30)
        progress.plan(99)  # the first word counts
        for name in ("sp gray", "rise gray"):
            with progress.run(name):
                for done in (5, 10, 15):
                    progress(done, 15)


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_elsewhere_each_run_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    job()
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert first.startswith(" 50 %  sp gray: 15 composites in 0.")
    assert second.startswith("100 %  rise gray: 15 composites in 0.")
    assert out == ""


def test_on_a_terminal_one_bar_has_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    job()
    out, err = capsys.readouterr()
    last = err.split("\r")[-1]
    assert "rise gray: 100%" in last
    assert "30/30" in last
    assert "img/s" in last
    assert "<00:00" in last
    assert "composites in" not in err
    assert out == ""


def test_a_job_that_ends_early_ends_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(Progress, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        job()
    assert capsys.readouterr().err.endswith("\n")


def aside(progress: Progress) -> None:
    with progress.aside("looking", "images") as looked:
        for done in (1, 2):
            looked(done, 2)


def test_what_comes_before_the_job_is_told_if_it_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Progress() as progress:
        aside(progress)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("studio.progress.EVERY", 0.0)
    with Progress() as progress:
        aside(progress)
        assert capsys.readouterr().err.splitlines() == [
            f"{share:>3} %  looking: 00:00 left" for share in (50, 100)
        ]
        progress.plan(3)
        with progress.run("job"):
            progress(3, 3)
    assert "100 %  job: 3 composites" in capsys.readouterr().err
    for silent in (Progress(quiet=True), Progress(passing=True)):
        aside(silent)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_it_has_a_bar_that_goes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress() as progress, progress.aside("looking", "images") as looked:
        looked(1, 3)
        time.sleep(1.1)
        looked(2, 3)
    err = capsys.readouterr().err
    assert "looking:  67%" in err
    assert err.split("\r")[-1].strip() == "", "it goes"


def test_where_nobody_can_be_told_nothing_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    job()
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")
