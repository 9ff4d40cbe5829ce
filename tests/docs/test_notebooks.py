"""The notebooks run from start to end, and show what they show."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
LARGEST = 300_000
"""Bytes that a notebook may have."""
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


def kinds(cell: Any) -> set[str]:
    """What a cell has put out: streams, and kinds of content; of bars and second pictures nothing is kept."""
    found = {output.get("name", output["output_type"]) for output in cell["outputs"]} - {"stderr"}
    content = {kind for output in cell["outputs"] for kind in output.get("data", ())}
    return found | (content - {"image/png"} if "text/html" in content else content)


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_a_notebook_is_small_and_has_its_outputs(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    cells = [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert "error" not in set().union(*map(kinds, cells))
    assert any("text/html" in kinds(cell) for cell in cells)
    text = path.read_text("utf-8")
    assert not [place for place in ("/tmp/", "/home/", "/root/", "/work/", "Traceback") if place in text]


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
@pytest.mark.filterwarnings("ignore")  # of the kernel's own libraries
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbclient
    import nbformat

    monkeypatch.setenv("INFILL_OFFLINE", "1")
    shown = nbformat.read(path, as_version=4)
    run = nbformat.read(path, as_version=4)
    begun = time.monotonic()
    nbclient.NotebookClient(run, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    print(f"{path.stem}: {time.monotonic() - begun:.1f} s")
    for ours, now in zip(shown.cells, run.cells, strict=True):
        if ours.cell_type == "code":
            assert kinds(ours) == kinds(now), ours.source


def test_the_notebooks_are_found() -> None:
    assert len(PATHS) == 4
