"""What CONTRIBUTING shows runs as it stands there, added by the files that it names and no others."""

import ast
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from command import Run, runner

from attribution import MaskedScore
from models.classifiers import load, load_classifier
from models.scenes import draw
from studio.registry import tables
from studio.registry.entry import Entry

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
SOURCES = dict(zip(("mirror", "quadrants", "toy"), BLOCKS, strict=True))


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example as a module of its own."""
    made = ModuleType(f"example_{name}")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    exec(SOURCES[name], made.__dict__)
    return made


def row(name: str) -> Entry:
    """The row of the table, as the text has it."""
    (line,) = re.findall(rf'    "{name}": (Entry\(.*\)),\n', TEXT)
    call = ast.parse(line, mode="eval").body
    assert isinstance(call, ast.Call)
    target, summary, source = (ast.literal_eval(argument) for argument in call.args)
    more = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    file, attribute = target.split(":")
    assert f"`{file.replace('.', '/')}.py`" in TEXT
    return Entry(f"example_{name}:{attribute}", summary, source, **more)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``infill explain`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


def test_a_filler_and_a_method_are_a_file_and_a_row_each(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mirror", "quadrants"):
        module(name, monkeypatch)
    for table in (tables.FILLERS, tables.ALL_FILLERS):
        monkeypatch.setitem(table, "mirror", row("mirror"))
    for table in (tables.SAMPLING, tables.METHODS):
        monkeypatch.setitem(table, "quadrants", row("quadrants"))
    result = run("--scene", 1, "--method", "quadrants", "--filler", "mirror", "--precision", "float32")
    assert result.code == 0, result.err
    with np.load("infill-out/heatmaps.npz") as heatmaps:
        heatmap = heatmaps["quadrants/mirror"]
    scene = draw(1)
    score = MaskedScore(scene.image, scene.labels[0], load_classifier("scenes"))
    corner = torch.zeros(1, 1, *score.size)
    corner[..., : score.size[0] // 2, : score.size[1] // 2] = 1
    mirrored = torch.where(corner > 0, scene.image.flip(-1), scene.image)
    fall = score.clean - MaskedScore(mirrored, score.target, score.classifier).clean
    np.testing.assert_allclose(heatmap[0, 0], fall.item(), atol=1e-4)
    assert len(np.unique(heatmap)) == 4
    assert "quadrants" in run(command="list").out


def test_the_method_of_the_guide_takes_several_images(monkeypatch: pytest.MonkeyPatch) -> None:
    quadrants, mirror = module("quadrants", monkeypatch), module("mirror", monkeypatch)
    images = torch.stack([draw(index).image for index in (1, 2)])
    score = MaskedScore(images, [0, 1], load_classifier("scenes"), mirror.Mirror())
    both = quadrants.Quadrants()(score)
    assert both.shape == (2, 224, 224)
    torch.testing.assert_close(both[1:], quadrants.Quadrants()(score[1]), rtol=0, atol=1e-5)


def test_a_source_of_classifiers_is_a_file_and_a_row(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert '"toy:SIDE": toy.load,' in TEXT
    monkeypatch.setitem(load.FORMS, "toy:SIDE", module("toy", monkeypatch).load)
    options = ["--method", "sp", "--set", "sp.stride=32", "--filler", "gray", "--target", "bright"]
    result = run("--scene", 1, "--classifier", "toy:96", *options)
    assert result.code == 0, result.err
    assert "bright, p = " in result.out
