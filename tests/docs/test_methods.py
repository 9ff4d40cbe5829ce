"""The table of systems: every method has a row, and every file that it names is there."""

import re
from itertools import pairwise
from pathlib import Path

from studio.evaluate.metrics import METRICS
from studio.registry.parse import check_compared, parse_selection
from studio.registry.tables import METHODS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "methods.md").read_text("utf-8")
LINES = PAGE.splitlines()
ROWS = [line for line, below in pairwise(LINES) if line.startswith("| ") and not below.startswith("|---")]


def test_every_method_has_a_row() -> None:
    named = {word for row in ROWS for word in re.findall(r"`([a-z0-9-]+)`", row)}
    assert set(METHODS) - named == set()


def test_every_file_is_there() -> None:
    files = {word for row in ROWS for word in re.findall(r"`([a-z_]+/[a-z_/]+(?:\.py)?)`", row)}
    assert len(files) > 10
    assert [file for file in sorted(files) if not (ROOT / file).exists()] == []


def test_every_row_says_whose_it_is() -> None:
    states = ("ours", "by a library", "not offered", "not yet offered")
    assert [row for row in ROWS if not row.rsplit("|", 2)[1].strip().startswith(states)] == []


def test_what_other_libraries_users_are_told_to_run_can_be_run() -> None:
    """Every name and setting of every command is known; that they run is up to the tests of each command."""
    page = (ROOT / "docs" / "libraries.md").read_text("utf-8")
    commands = [text.split() for text in re.findall(r"`infill ((?:explain|evaluate) [^`]+)`", page)]
    assert len(commands) > 10
    for words in commands:
        options = [pair for pair in pairwise(words) if pair[0].startswith("--")]
        said = {name: [value for option, value in options if option == name] for name, _ in options}
        known = {"--scene", "--method", "--filler", "--metric", "--samples", "--against"}
        assert set(said) <= known, words
        assert parse_selection(said.get("--filler", ()), (), said["--method"]).methods
        assert set(said.get("--metric", ())) <= set(METRICS)
        check_compared(said["--method"], "--against" in said)
