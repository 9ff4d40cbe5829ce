"""Pages say how they were made, and keep what is written by hand."""

import argparse
import shlex
import sys
from pathlib import Path

import pytest

from benchmarks import (
    pretrained,
    report,
)
from benchmarks.report import command


def test_a_table_says_with_which_options_it_was_made():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--filler", action="append", default=[])
    parser.add_argument("--as-it-is", action="store_true")
    for words in ([], ["--count", "3", "--dry", "--filler", "lama", "--filler", "sd:X"]):
        said = command("benchmarks.some", parser, parser.parse_args([*words, "--as-it-is"]), ("as_it_is",))
        assert said == " ".join(["python -m benchmarks.some", *words])


@pytest.mark.parametrize(
    "words",
    [["--batches", "1", "16"], ["--filler", "sd@prompt=an empty street", "--filler", "it's"], ["--dry"],
     ["--batches", "4", "--weights", "a folder/w.pt", "--limit", "0.5"]],
)  # fmt: skip
def test_the_command_that_a_table_says_gives_the_same_options_again(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--filler", action="append", default=[])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--limit", type=float, default=2)
    parser.add_argument("--dry", action="store_true")
    options = parser.parse_args(words)
    said = shlex.split(command("benchmarks.some", parser, options))
    assert said[:3] == ["python", "-m", "benchmarks.some"]
    assert parser.parse_args(said[3:]) == options


def test_notes_outlive_the_next_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    report.write("page", "Title", "command", "first\n\n## Part\n\ntext", ())
    page = tmp_path / "page.md"
    by_hand = "\n## Notes\n\nAt abc1234: *this*.\n\n### More\n\n- that\n"
    page.write_text(page.read_text() + by_hand)
    capsys.readouterr()
    for body in ("second", "third"):
        report.write("page", "Title", "command", body, ())
        assert "The notes of page.md were kept" in capsys.readouterr().out
    text = page.read_text()
    assert "first" not in text
    assert text.endswith(f"third\n{by_hand}")


@pytest.mark.parametrize(("words", "written"), [(["--only", "lama"], False), (["--limit", "8"], True)])
def test_a_part_of_a_table_is_not_written_over_the_whole(words, written, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(pretrained, "write", lambda *given: report.write(*given[:4], packages=()))
    monkeypatch.setattr(pretrained, "measure_apart", lambda *_: pretrained.Measurement(1, 1, 100, 10**6))
    monkeypatch.setattr(sys, "argv", ["benchmarks.pretrained", *words])
    pretrained.main()
    assert "| lama |" in capsys.readouterr().out
    pages = [path.read_text() for path in tmp_path.iterdir()]
    assert [f"`python -m benchmarks.pretrained {' '.join(words)}.0`" in page for page in pages] == (
        [True] if written else []
    )
