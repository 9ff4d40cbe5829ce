"""Methods that look into the classifier, from the command line."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command import Run, refused, runner, saved_photograph, undrawn

from studio.registry.build import build_method

SCENES = ("--classifier", "scenes")
COMPARED = ("integrated", "deeplift")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    undrawn(monkeypatch)
    return runner(capsys)


def test_methods_with_and_without_fillers_explain_a_photograph(run: Run, tmp_path: Path) -> None:
    words = [word for name in ("gradient", "gradcam", *COMPARED) for word in ("--method", name)]
    fillers, quick = ("--filler", "gray", "--filler", "inpaint"), ("--set", "integrated.steps=4")
    said = run(saved_photograph(tmp_path), *SCENES, *words, *fillers, *quick)
    assert said.code == 0, said.err
    with np.load("infill-out/heatmaps.npz") as maps:
        found = {name: maps[name] for name in maps.files}
    compared = {f"{name}/{filler}" for name in COMPARED for filler in ("gray", "inpaint")}
    assert set(found) == compared | {"gradient/none", "gradcam/none"}
    assert all(each.shape == (280, 400) for each in found.values())
    assert all(np.isfinite(each).all() for each in found.values())
    assert all(each.any() for each in found.values())
    assert not np.allclose(found["integrated/gray"], found["integrated/inpaint"])
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    runs = {f"{each['method']}/{each['filler']}": each for each in told["runs"]}
    assert runs["gradient/none"]["forwards"] == 1
    assert runs["integrated/gray"]["forwards"] == 4
    for filler in ("gray", "inpaint"):
        of = runs[f"deeplift/{filler}"]
        assert of["sum"] == pytest.approx(of["change"], rel=1e-3)
    assert set(told["fillers"]) == {"gray", "inpaint"}
    assert "deeplift     gray" in said.out
    assert "adds up to 100.0 % of the change from the baseline" in said.out


def test_fillers_that_matter_to_no_method_are_not_made(run: Run, tmp_path: Path) -> None:
    said = run(
        saved_photograph(tmp_path), *SCENES, "--method", "gradcam", "--set", "gradcam.layer=features.6"
    )
    assert said.code == 0, said.err
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    assert told["fillers"] == {}
    assert [(each["method"], each["filler"]) for each in told["runs"]] == [("gradcam", "none")]
    assert told["methods"]["gradcam"]["layer"] == "features.6"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--set", "gradcam.layer=feature.6"),
            "gradcam: layer must be a layer of the network (nearest: features",
        ),
        (("--set", "gradcam.layers=x"), "unknown field of gradcam 'layers'; did you mean 'layer'?"),
        (("--set", "gradcam.kind=cam"), "unknown field of gradcam 'kind'; known: layer, explained"),
        (("--set", "gradcam.explained=p"), "gradcam.explained: expected 'logit' or 'log-odds' or 'score'"),
        (("--runtime", "openvino"), "--runtime: OpenVINO gives no gradients, which gradcam needs"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(
    run: Run, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    refused(run(saved_photograph(tmp_path), *SCENES, "--method", "gradcam", *words), message)


def test_an_extra_that_is_not_installed_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    command = "pip install 'infill-attribution[baselines]'"
    refused(
        run("--scene", "1", "--method", "gradcam"),
        f"gradcam: ClassActivationMap needs pytorch_grad_cam, which is not installed: {command}",
    )
    assert f"missing: `{command}`" in run(command="list").out
    build_method("gradient", {})  # needs the other one


def test_they_are_judged_as_all_others_are(run: Run) -> None:
    words = (
        "--method",
        "gradcam",
        "--method",
        "integrated/gray,blur",
        "--method",
        "smoothgrad",
        "--strips",
        "0",
    )
    metrics = ("pointing", "sensitivity", "filled", "own")
    said = run(
        "scenes:1", *words, *[word for name in metrics for word in ("--metric", name)],
        "--set", "integrated.steps=3", "--set", "smoothgrad.samples=2",
        "--out", "run", "--strips", 0, command="evaluate",
    )  # fmt: skip
    assert said.code == 0, said.err
    for row in ("gradcam / none", "integrated / gray", "integrated / blur", "smoothgrad / none", "center"):
        assert row in said.out
    assert "gradcam / inpaint" not in said.out
    refused_words = ("scenes:1", "--method", "gradcam/blur", "--metric", "pointing", "--out", "other")
    refused(run(*refused_words, command="evaluate"), "--method gradcam/blur: no filler matters to gradcam")


def test_a_contrast_needs_a_class_to_compare_with(run: Run, tmp_path: Path) -> None:
    words, message = (
        ("--method", "contrastive-gradcam"),
        "--method contrastive-gradcam: needs a class to compare",
    )
    refused(run("--scene", 1, *words), message)
    refused(run("scenes:1", *words, "--metric", "pointing", command="evaluate"), message)
    exclusive = "--method contrastive-gradcam: needs classes that exclude each other"
    multiple = (*words, "--against", "next", "--multi-label")
    refused(run("--scene", 1, *multiple), exclusive)
    refused(run("scenes:1", *multiple, "--metric", "pointing", command="evaluate"), exclusive)
    said = run("--scene", 1, *words, "--method", "gradcam", "--against", "next")
    assert said.code == 0, said.err
    with np.load("infill-out/heatmaps.npz") as maps:
        assert maps["contrastive-gradcam/none"].max() > 0
    options = ("--metric", "pointing", "--strips", 0, "--out", "run")
    said = run("scenes:1", *words, "--against", "next", *options, command="evaluate")
    assert said.code == 0, said.err
    assert "contrastive-gradcam / none" in said.out
