"""The command line with optimizing methods: what it adds to the files, and the animations."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Run, runner, saved_photograph, undrawn
from PIL import Image
from tiny_classifiers import small

from attribution import MaskedScore, MeaningfulPerturbation
from models import scenes
from models.classifiers import load_classifier

TINY = {
    "mp": ("steps=2", "cells=4"),
    "mp2": ("cells=4",),
    "fido": ("steps=2", "samples=2", "cells=4"),
    "extremal": ("steps=2", "step=56", "sigma=56"),
    "extremal-code": ("steps=2", "step=56", "sigma=56"),
    "gfi": ("steps=2", "inversion_steps=2"),
    "gfi-inversion": ("inversion_steps=2",),
    "gfi-code": ("steps=2", "inversion_steps=2"),
    "ssr": ("steps=2",),
    "sdr": ("steps=2",),
    "dssr": ("steps=2",),
    "dssr-plus": ("steps=2",),
    "cem-positive": ("steps=2", "searches=1", "cells=4"),
    "cem-negative": ("steps=2", "searches=1", "cells=4"),
    "pda": ("patch=112", "stride=112", "samples=2"),
}
CURVES = {
    "mp": {"removed"},
    "mp2": {"removed"},
    "fido": {"kept"},
    "extremal": {"kept"},
    "extremal-code": {"kept"},
    "gfi": {"kept", "removed"},
    "gfi-inversion": {"kept"},
    "gfi-code": {"kept", "removed"},
    "ssr": {"kept"},
    "sdr": {"removed"},
    "dssr": {"removed", "kept"},
    "dssr-plus": {"removed", "kept"},
    "cem-positive": {"kept"},
    "cem-negative": {"removed"},
}

STAGED = {"gfi", "gfi-code"}
"""Of two stages."""


def tiny(*names: str) -> list[str]:
    """The options for these methods with settings that take no time."""
    return [
        option
        for name in names
        for option in (
            "--method",
            name,
            *(part for pair in TINY[name] for part in ("--set", f"{name}.{pair}")),
        )
    ]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``infill explain`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    undrawn(monkeypatch)
    return runner(capsys)


def test_mp_moves_its_view_over_the_photograph(run: Run, tmp_path: Path) -> None:
    """The classifier crops 32 of 40 pixels: around its view there is more of the photograph."""
    photograph = saved_photograph(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(small(), torch.zeros(1, 3, 32, 32)), "net.pt")
    Path("net.json").write_text(json.dumps({"crop": 32, "resize": 40, "labels": list("abcde")}))
    said = run(
        photograph, "--classifier", "file:net.pt", "--method", "mp", "--filler", "gray",
        "--set", "mp.steps=5", "--set", "mp.cells=8", "--precision", "float32",
    )  # fmt: skip
    assert said.code == 0, said.err
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    assert told["settings"]["room"] == 8
    classifier = load_classifier("file:net.pt")
    pixels = torch.from_numpy(np.array(Image.open(photograph))).permute(2, 0, 1) / 255
    view, around = classifier.view(pixels), classifier.view(pixels, 8)
    heatmaps = [
        MeaningfulPerturbation(8, steps=5)(
            MaskedScore(view, told["target"]["index"], classifier, around=some)
        )
        for some in (around, None)
    ]
    cut, resized = (classifier.to_input(heatmap[0], pixels.shape[1:]) for heatmap in heatmaps)
    with np.load("infill-out/heatmaps.npz") as maps:
        got = torch.from_numpy(maps["mp/gray"])
    torch.testing.assert_close(got, cut, rtol=0, atol=1e-4)
    assert not torch.allclose(got, resized, rtol=0, atol=1e-2)


def test_every_method_on_a_scene(run: Run) -> None:
    said = run("--scene", 1, "--filler", "gray", "--trace", *tiny(*TINY))
    assert said.code == 0, said.err
    folder = Path("infill-out")
    told = json.loads((folder / "explain.json").read_text("utf-8"))
    assert list(told["methods"]) == list(TINY)
    with np.load(folder / "heatmaps.npz") as maps:
        assert sorted(maps) == sorted(
            [f"{name}/gray" for name in TINY]
            + [f"{name}/gray/hole" for name in CURVES]
            + [f"{name}/gray/stage1" for name in STAGED]
            + ["pda/gray/error"]
        )
        holes = {name: maps[f"{name}/gray/hole"] for name in CURVES}
        assert all(np.isfinite(maps[name]).all() for name in maps)
    for run_of in told["runs"]:
        if run_of["method"] == "pda":
            assert "reached" not in run_of
            continue
        name = run_of["method"]
        hole = holes[name]
        assert hole.dtype == np.uint8
        assert set(np.unique(hole)) <= {0, 1}
        assert run_of["area"] == pytest.approx(hole.mean(), abs=1e-6)
        assert set(run_of["curves"]) == CURVES[name]
        assert all(len(curve) == run_of["steps"] for curve in run_of["curves"].values())
        gaps = {what for what, curve in run_of["curves"].items() if None in curve}
        assert gaps == ({"removed"} if name in STAGED else set()), "not scored in the first stage"
        assert run_of["reached"] == (run_of["left"] <= run_of["chance"])
        assert run_of["removable"] == (run_of["floor"] <= run_of["chance"])
        assert run_of["clean"] == pytest.approx(told["target"]["probability"], abs=1e-6)
        assert run_of["composites"] == run_of["looks"] > run_of["steps"]
        assert run_of["fills"] == run_of["outlooks"] == run_of["left_error"] == 0
        assert 0 <= run_of["kept"] <= 1
    assert {path.name for path in folder.glob("*.gif")} == {f"trace-{name}-gray.gif" for name in CURVES}
    with Image.open(folder / "trace-mp2-gray.gif") as gif:
        steps = next(each["steps"] for each in told["runs"] if each["method"] == "mp2")
        assert gif.n_frames == steps + 1
        assert gif.size == (2 * 224 + 24, 224 + 38)
    assert "trace-mp2-gray.gif" in said.out
    assert "mp2.graded True (paper: False)" in said.out
    assert "100 %  pda gray: 4 composites in" in said.err


def test_holes_are_in_the_photographs_own_pixels(run: Run, tmp_path: Path) -> None:
    small = ("--classifier", "scenes", "--filler", "gray", *tiny("mp2"))
    said = run(saved_photograph(tmp_path), *small, "--precision", "float32")
    assert said.code == 0, said.err
    assert not list(Path("infill-out").glob("*.gif"))
    with np.load("infill-out/heatmaps.npz") as maps:
        heatmap, hole = maps["mp2/gray"], maps["mp2/gray/hole"]
    assert hole.shape == heatmap.shape == (280, 400)
    left, _, right, _ = load_classifier().view_box((280, 400))
    assert not hole[:, : int(left)].any()
    assert not hole[:, int(right) + 1 :].any()
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    (only,) = told["runs"]
    assert hole.sum() / ((right - left) * 280) == pytest.approx(only["area"], abs=0.01)


def test_several_fills_a_hole_where_fills_are_drawn(run: Run) -> None:
    quick = ["--method", "sp", "--set", "sp.patch=112", "--set", "sp.stride=112", *tiny("mp2")]
    said = run("--scene", 3, "--samples", 2, "--filler", "marginal", "--filler", "blur", *quick)
    assert said.code == 0, said.err
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    assert told["settings"]["samples"] == 2
    assert told["fillers"]["marginal"] == {"class": "Marginal", "context": 8}
    errors = {each["filler"]: each["left_error"] for each in told["runs"] if each["method"] == "mp2"}
    assert errors["marginal"] > 0
    assert errors["blur"] == 0


def test_it_is_said_which_of_several_images_has_no_such_class(run: Run, tmp_path: Path) -> None:
    photograph = saved_photograph(tmp_path)
    other = Path("other.png")
    pixels = (scenes.draw(3).image.permute(1, 2, 0) * 255).byte().numpy()
    Image.fromarray(pixels).save(other)
    small = ("--classifier", "scenes", "--filler", "gray", *tiny("mp2"))
    said = run(other, photograph, *small, "--target", "heart")
    assert said.code == 1
    assert said.err.splitlines()[-1].startswith(
        "infill: 1 of 2 images could not be explained: photo.png: mp2: target must be a class above"
    )
    assert [path.name for path in Path("infill-out").iterdir()] == ["other"]


def test_it_is_told_whether_what_was_looked_for_was_found(run: Run) -> None:
    """A scene's class cannot be kept by more than all of it, and a negative need not come to chance."""
    words = ("--scene", 3, "--filler", "gray", *tiny("cem-positive", "cem-negative"))
    hard = ("--set", "cem-positive.confidence=1000", "--set", "cem-negative.weight=1e6")
    said = run(*words, *hard, "--set", "cem-negative.steps=12")
    assert said.code == 0, said.err
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    positive, negative = told["runs"]
    assert positive["enough"] is False
    assert "changed" not in positive
    assert negative["changed"] is negative["reached"] is True
    assert negative["left"] < 0.5
