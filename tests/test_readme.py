"""What README and CONTRIBUTING show runs as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from models.scenes import draw

ROOT = Path(__file__).resolve().parents[1]


def blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL)


CALL, GRID, PARTS, OPTIMIZING, JUDGING, CAPTUM = range(6)
"""The README's blocks, in their order."""


def test_the_first_screen_shows_the_one_call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (ROOT / "README.md").read_text().index("infill.explain(") < 2000
    names = {}
    exec(blocks("README.md")[CALL].replace('"scenes")', '"scenes", stride=56)'), names)
    assert capsys.readouterr().out.startswith("heart 0.8")
    written = {path.name for path in Path("infill-out").iterdir()}
    assert written == {"explain.png", "heatmaps.npz", "explain.json"}
    inside = draw(3).silhouettes[0].numpy()
    assert names["found"].heatmap[inside].mean() > names["found"].heatmap[~inside].mean()


def test_the_call_of_the_python_section_gives_tables_and_a_grid(capsys):
    source = blocks("README.md")[GRID]
    assert len([line for line in source.splitlines() if line]) <= 5
    names = {}
    quick = source.replace("stride=16", "stride=56")
    exec(quick.replace("stride=32", 'stride=56, settings={"lime.samples": 20}'), names)
    said = capsys.readouterr().out
    assert said.startswith("image       scene 3: heart and crate\n")
    assert len(names["grid"]) == 4


@pytest.fixture(scope="module")
def shown():
    """The names that README's first example leaves behind; a coarser grid saves time."""
    names = {}
    exec(blocks("README.md")[PARTS].replace("stride=8", "stride=32"), names)
    return names


def test_first_example_points_at_the_object(shown):
    heatmap = shown["heatmap"]
    assert heatmap.shape == (224, 224)
    assert heatmap.isfinite().all()
    inside = shown["scene"].silhouettes[0]
    assert heatmap[inside].mean() > heatmap[~inside].mean()


def test_the_counterfactual_of_the_example_is_another_image(shown):
    exec(blocks("README.md")[OPTIMIZING], shown)
    outcome, image = shown["outcome"], shown["scene"].image
    assert bool(outcome.reached[0])
    assert float(outcome.left[0]) <= 1 / 12 < float(outcome.clean[0])
    hole = shown["hole"][0] > 0
    assert torch.equal(shown["counterfactual"][:, ~hole], image[:, ~hole])
    assert float((shown["counterfactual"] - image)[:, hole].abs().mean()) > 0.02
    assert float(shown["curve"][0]) == pytest.approx(float(outcome.clean[0]), abs=0.01)


def test_the_areas_of_the_example_are_told(shown, capsys):
    source = blocks("README.md")[JUDGING]
    assert "heatmap[None])" in source
    exec(source.replace("heatmap[None])", "heatmap[None], pixels=6272)"), shown)  # fewer points of each curve
    said = dict(line.split(" tensor") for line in capsys.readouterr().out.splitlines())
    areas = {name: float(text.strip("([])")) for name, text in said.items()}
    assert 0 < areas["deletion"] < areas["insertion"] < 1
    assert areas["relevance_gain"] > 0


def test_captum_and_quantus_example(shown):
    names = {"classifier": shown["classifier"], "inputs": shown["scene"].image[None]}
    source = blocks("README.md")[CAPTUM].replace("SlidingPatch()", "SlidingPatch(patch=56, stride=56)")
    exec(source, names)
    assert names["attributions"].shape == (1, 1, 224, 224)
    assert callable(names["explain_func"])


def test_quantus_judges_our_heatmaps_by_five_metrics(capsys):
    pytest.importorskip("quantus")
    names = {}
    exec(blocks("docs/quantus.md")[0].replace("stride=16", "stride=32"), names)
    table = names["table"]
    assert len(table) == len(capsys.readouterr().out.splitlines()) == 2 * 5
    for filler in ("Gray", "Blur"):
        found = {name: value for (whose, name), value in table.items() if whose == filler}
        assert len(found) == 5
        assert 0 < found["sparseness"] < 1
        assert 0 < found["complexity"] < np.log(224 * 224)
        assert found["pointing"] == 1.0
        assert 0 < found["pixel flipping"] < 1
    # Of heatmaps without their sign; the last heatmaps are those of blur.
    heat, inside = names["heatmaps"], names["objects"]
    shares = np.abs(heat * inside).sum((1, 2, 3)) / np.abs(heat).sum((1, 2, 3))
    assert table["Blur", "mass in the object"] == pytest.approx(shares.mean(), abs=0.02)


def test_the_two_commands_are_what_ci_runs():
    text, script = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    for command in ("uv run infill explain", "uv run pytest"):
        assert f"\n{command}\n" in text or f"&& {command}\n" in text
        assert command in script


def test_every_file_that_the_readme_names_is_there():
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\]\(([\w/.]+)\)", text)) | set(
        re.findall(r"`((?:infill|attribution)/\w+\.py)`", text)
    )
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).exists()] == []
