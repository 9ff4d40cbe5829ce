"""Rows of a benchmark are written as they come."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import goals, report
from benchmarks.rows import Rows

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    return Rows("page", "Title", "command", ("what", "figure"), "about", ("torch", "no-such-library"))


def test_no_row_is_lost_where_a_part_fails_or_is_stopped(rows, tmp_path):
    def stopped() -> Iterator[list[object]]:
        yield ["half", 2]
        raise KeyboardInterrupt

    rows.part("whole", lambda: [["first", 1]])
    rows.part("missing", lambda: __import__("no_such_library"))
    with pytest.raises(KeyboardInterrupt):
        rows.part("stopped", stopped)
    text = (tmp_path / "page.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [line.split(" | ")[0].strip("| ") for line in lines] == ["first", "missing", "half", "stopped"]
    assert "not measured: ModuleNotFoundError: No module named 'no_such_library'" in lines[1]
    assert all(" load " in line and " thread" in line for line in lines)
    assert "no-such-library not installed" in text
    assert f"torch {torch.__version__.partition('+')[0]}" in text


def test_memory_is_what_a_job_needed_at_most():
    # In a process of its own: one that has freed much before makes room of it, and does not grow.
    job = "import torch; from benchmarks.rows import peak_of; print(peak_of(lambda: torch.ones(2**24).sum()))"
    said = subprocess.run([sys.executable, "-c", job], capture_output=True, text=True, check=True, cwd=ROOT)
    found = float(said.stdout)
    assert found != found or 50 < found < 120  # 64 MiB; nan where it is not told


def test_a_goal_is_a_floor_or_a_ceiling_and_other_pages_are_read(tmp_path, monkeypatch):
    assert [goals.verdict(2.0, 1.5, side) for side in (1, -1)] == ["reached", "missed"]
    monkeypatch.setattr(goals, "RESULTS", tmp_path)
    (tmp_path / "other.md").write_text("| a | b |\n| --- | --- |\n| x | 1 |\n| x | 2.5 (3) |\n")
    assert goals.read_off("other", "x", 1, 1) == "2.5 (3)"
    with pytest.raises(ValueError, match=r"other\.md has no row y"):
        goals.read_off("other", "y", 0, 1)
    with pytest.raises(ValueError, match=r"benchmarks\.none"):
        goals.read_off("none", "y", 0, 1)


@pytest.mark.parametrize(
    ("independent", "ours", "said"),
    [("more than 600", "more than 600", "undecided"), ("500 (1.00)", "more than 600", "missed"),
     ("more than 600", "200", "undecided"), ("500 (1.00)", "150 (0.30)", "reached")],
)  # fmt: skip
def test_what_neither_side_has_reached_is_no_miss(independent, ours, said, tmp_path, monkeypatch):
    monkeypatch.setattr(goals, "RESULTS", tmp_path)
    lines = [f"| independent | - | {independent} |", f"| paired | - | {ours} |"]
    (tmp_path / "paired.md").write_text("\n".join(lines))
    (place,) = (place for place, (_, page, *_) in enumerate(goals.PAGES) if page == "paired")
    assert goals.other(place)[0][3] == said
