"""What several processes give is what one gives, for every command that shares its work."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Run, runner, saved_photograph

if find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)

SMALL = ("--classifier", "scenes", "--method", "sp", "--set", "sp.stride=64", "--filler", "gray")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("INFILL_HOME", str(tmp_path / "infill"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as workers have: sums over pixels depend on it in their last digit
    yield runner(capsys)
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, of its sockets and processes
def test_photographs_are_explained_by_several_processes(run: Run, tmp_path: Path) -> None:
    pixels = saved_photograph(tmp_path).read_bytes()
    for name in "abd":
        Path(f"{name}.png").write_bytes(pixels)
    Path("c.png").write_text("no image")
    images = [f"{name}.png" for name in "abcd"]
    alone = run(*images, *SMALL, "--out", "alone")
    shared = run(*images, *SMALL, "--out", "shared", "--workers", 2)
    assert alone.code == shared.code == 1
    assert shared.err.splitlines()[-1] == alone.err.splitlines()[-1]
    assert "c.png: image: c.png is not an image" in shared.err
    assert "3 images" in shared.err or "4 images" in shared.err
    for name in "abd":
        found, wanted = (np.load(f"{out}/{name}/heatmaps.npz") for out in ("shared", "alone"))
        assert found.files == wanted.files
        np.testing.assert_array_equal(found["sp/gray"], wanted["sp/gray"])
        assert {path.name for path in Path("shared", name).iterdir()} == {
            "explain.png", "heatmaps.npz", "explain.json",
        }  # fmt: skip
    assert run(*images, *SMALL, "--out", "shared").out.count("done before") == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_fillers_are_judged_by_several_processes(run: Run) -> None:
    asked = ("scenes:5", "--filler", "gray", "--filler", "noise", "--batch-size", 2, "--strips", 1)
    alone = run(*asked, "--out", "alone", command="realism")
    shared = run(*asked, "--out", "shared", "--workers", 2, command="realism")
    assert (alone.code, shared.code) == (0, 0), shared.err
    for name in ("realism.csv", "realism.json", "realism.png"):
        assert Path("shared", name).read_bytes() == Path("alone", name).read_bytes()
    parts = [
        {str(path.relative_to(out)): path.read_bytes() for path in Path(out, "parts").rglob("*.parquet")}
        for out in ("alone", "shared")
    ]
    assert parts[0] == parts[1]
    assert len(parts[0]) >= 3 * 4
