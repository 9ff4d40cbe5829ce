"""The table of systems: every method has a row, and every file that it names is there."""

import re
from pathlib import Path

from studio.registry.tables import METHODS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "methods.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| system")]


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
