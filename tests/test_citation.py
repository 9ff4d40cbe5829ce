"""What CITATION.cff says is so."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_citation_is_of_this_version_and_names_the_papers() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    first = [paper["authors"][0]["family-names"] for paper in citation["references"]]
    assert sorted(first) == ["Abhishek", "Agarwal", "Deelaka", "Du", "Gu"]
    assert all(paper["title"] and paper["year"] > 2000 for paper in citation["references"])
