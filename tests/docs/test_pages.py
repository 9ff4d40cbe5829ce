"""The Python that the documentation shows runs as it stands there, page by page."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import attribution
import infill
from models.scenes import draw

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)
ELSEWHERE = {
    "quantus.md": "tests/test_readme.py",
    "plugins.md": "tests/studio/registry/test_plugins.py",
    "targets.md": "tests/test_targets.py",
}
"""Pages whose blocks another test runs, and looks at what comes of them."""
PAGES = {
    path.relative_to(ROOT / "docs").as_posix(): blocks
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if (blocks := BLOCK.findall(path.read_text("utf-8")))
}


class Prompted:
    """What the page on segmenters loads, without its weights."""

    prompted = True

    def silhouette(self, images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        assert points.shape == (len(images), 1, 2)
        return images.mean(1) > 0.5


def given(page: str) -> dict[str, Any]:
    """The names that a page takes for granted."""
    if page == "classifiers.md":
        return {"image": draw(1).image, "classifier": lambda images: images.flatten(1)[:, :20]}
    return (
        {"images": torch.zeros(2, 3, 8, 8), "points": torch.zeros(2, 1, 2)} if page == "segmenters.md" else {}
    )


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
def test_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("models.segmenters.load_segmenter", lambda _: Prompted())
    names = given(page)
    for block in PAGES[page]:  # a coarser grid saves time
        exec(compile(re.sub(r"(?<!56, )stride=\d+", "stride=112", block), page, "exec"), names)
    if page == "index.md":
        written = sorted(path.name for path in Path("first").iterdir())
        assert written == ["explain.json", "explain.png", "heatmaps.npz"]
        assert names["found"].heatmap.shape == (224, 224)
    if page == "explanation/removal.md":
        inside, heatmap = names["inside"], names["heatmap"]
        assert heatmap[inside].mean() > heatmap[~inside].mean()
        assert 0 < float(names["error"]) < 0.2
    if page == "howto/data.md":
        assert names["example"].boxes is not None


def test_the_other_pages_are_run_where_it_says() -> None:
    for page, place in ELSEWHERE.items():
        assert page in PAGES
        assert page in (ROOT / place).read_text("utf-8")


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), flags=re.MULTILINE))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages | {"reference/commands.md"} == listed


def test_the_reference_has_all_that_is_public() -> None:
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "docs/reference").glob("*.md"))
    named = set(re.findall(r"^::: (\S+)$|members: \[(.*)\]", pages, flags=re.MULTILINE))
    shown = {name.rpartition(".")[2] for whole, members in named for name in (whole, *members.split(", "))}
    missing = {name for package in (infill, attribution) for name in package.__all__} - shown
    assert not missing
