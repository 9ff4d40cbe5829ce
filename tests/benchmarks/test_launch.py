"""A benchmark knows its commit from the start, and says in a line what cannot be done."""

import subprocess
import sys

import pytest

from benchmarks import localization, optimization, report


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with some code and a page, whose commit nobody has asked for."""
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    (results / "page.md").write_text("before")
    (tmp_path / "code.py").write_text("before")
    who = ["-c", "user.name=some", "-c", "user.email=some@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "All"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(report, "RESULTS", results)
    report.commit.cache_clear()
    yield tmp_path
    report.commit.cache_clear()


def test_a_page_that_was_written_is_no_change_of_the_code(checkout):
    (checkout / "benchmarks" / "results" / "page.md").write_text("after")
    clean = report.commit()
    assert clean
    assert not clean.endswith("+")
    (checkout / "code.py").write_text("after")
    assert report.commit() == clean  # as it was at the start
    report.commit.cache_clear()
    assert report.commit() == f"{clean}+"


def test_what_cannot_be_done_is_one_line(capsys):
    def wrong():
        raise ValueError("--filler: 'gary' is no filler")

    with pytest.raises(SystemExit) as ended:
        report.launch(wrong)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: --filler: 'gary' is no filler\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--methods", "MP / blur"], "needs --only"),
        (["--only", "scenes", "--methods", "MP"], "'MP' is none of"),
    ],
)
def test_a_page_of_searches_is_of_all_rows_that_there_are(words, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks.optimization", *words])
    with pytest.raises(SystemExit) as ended:
        optimization.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_filler_that_is_none_is_noticed_before_photographs_are_read(monkeypatch):
    monkeypatch.setattr(localization, "load_classifier", lambda *_: pytest.fail("read"))
    options = optimization.argparse.Namespace(filler=["gray", "gary"], size=None)
    with pytest.raises(ValueError, match="gary"):
        localization.explain(options, {})
