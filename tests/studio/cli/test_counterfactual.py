"""``infill counterfactual``: the smallest removal that takes the class away."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Run, refused, runner, saved_photograph, undrawn
from PIL import Image

import infill
from attribution import MP2
from infill import Gray
from models import scenes

FILES = {"counterfactual.png", "counterfactual-image.png", "counterfactual-hole.png", "counterfactual.json"}
SCENES = ["--classifier", "scenes"]
GRAY = ["--filler", "gray", "--set", "mp2-descent.cells=8"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``infill counterfactual`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    undrawn(monkeypatch)
    return runner(capsys, "counterfactual")


def told() -> dict:
    return json.loads(Path("infill-out/counterfactual.json").read_text("utf-8"))


def pixels(name: str) -> np.ndarray:
    with Image.open(Path("infill-out") / name) as image:
        return np.asarray(image)


def test_a_scene_loses_its_class(run: Run) -> None:
    said = run("--scene", 3, "--set", "mp2-descent.cells=14")
    assert said.code == 0, said.err
    assert {path.name for path in Path("infill-out").iterdir()} == FILES
    found = told()
    assert found["method"]["name"] == "mp2-descent"
    assert {"prune": True, "slope": "logit", "blend": 0.25}.items() <= found["method"].items()
    assert found["filler"]["network"] == "SmallInpainter"
    assert found["reached"] is True
    assert found["left"] <= found["chance"] < found["clean"]
    assert found["target"]["name"] == found["top"][0]["name"] == "heart"
    assert found["after"]["target"]["probability"] == pytest.approx(found["left"], abs=1e-6)
    now = found["after"]["top"][0]
    assert now["name"] != "heart"
    assert set(found["curves"]) == {"removed", "blended"}
    line, files = said.out.splitlines()
    seen = f"{now['name']} {now['probability']:.2f}"
    change = f"heart {found['clean']:.3f} -> {found['left']:.3f} (now: {seen}), "
    share = re.fullmatch(re.escape(change) + r"([\d.]+) % of the image removed", line)
    assert share
    assert float(share[1]) == pytest.approx(100 * found["area"], abs=0.05)
    assert set(files.split()) == {f"infill-out/{name}" for name in FILES}
    assert_the_images_agree(scenes.draw(3).image, found["area"])


def assert_the_images_agree(view: torch.Tensor, area: float) -> None:
    """The hole is black and white, and outside of it nothing has changed."""
    hole, after = pixels("counterfactual-hole.png"), pixels("counterfactual-image.png")
    before = (view.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    assert hole.shape == (224, 224)
    assert set(np.unique(hole)) == {0, 255}
    assert (hole == 255).mean() == pytest.approx(area, abs=1e-6)
    assert after.shape == before.shape
    assert np.array_equal(after[hole == 0], before[hole == 0])
    assert np.abs(after[hole == 255].astype(int) - before[hole == 255]).mean() > 2


def test_another_class_than_the_first_choice(run: Run) -> None:
    said = run("--scene", 3, "--target", "crate", *GRAY)
    assert said.code == 0, said.err
    line = said.out.splitlines()[0]
    assert line.startswith("crate 0.1")
    assert "(now: heart 0." in line
    assert line.endswith("; the classifier's first choice was heart 0.83")


def test_one_class_becomes_another(run: Run) -> None:
    """The smallest removal after which the other is as likely."""
    said = run("--scene", 3, "--against", "crate", *GRAY)
    assert said.code == 0, said.err
    found = told()
    assert (found["target"]["name"], found["against"]["name"]) == ("heart", "crate")
    assert found["score"] == {"kind": "log-odds", "clean": found["clean"]}
    before, after = found["target"]["probability"] / found["against"]["probability"], found["after"]
    assert found["clean"] == pytest.approx(np.log(before), abs=1e-4)
    ratio = after["target"]["probability"] / after["against"]["probability"]
    assert found["left"] == pytest.approx(np.log(ratio), abs=1e-4)
    assert found["reached"] is True
    assert found["left"] <= found["chance"] == 0 < found["clean"]
    assert after["against"]["probability"] > found["against"]["probability"]
    line = said.out.splitlines()[0]
    start = f"heart rather than crate: log-odds {found['clean']:+.2f} -> {found['left']:+.2f} (now"
    assert line.startswith(start)
    assert f"crate {after['against']['probability']:.2f}" in line
    assert run("--scene", 3, "--target", "against:heart,crate", *GRAY).out == said.out


def test_a_class_that_does_not_become_another_is_told(run: Run) -> None:
    small = ["--set", "extremal.steps=2", "--set", "extremal.area=0.001"]
    said = run("--scene", 3, "--against", "crate", "--filler", "noise", "--method", "extremal", *small)
    assert said.code == 0, said.err
    floor = told()["floor"]
    ending = f"; crate is not as likely, still log-odds {floor:+.2f} with everything filled"
    assert floor > 0
    assert said.out.splitlines()[0].endswith("0.1 % of the image removed" + ending)


def test_a_class_that_cannot_be_removed_is_told_plainly(run: Run) -> None:
    said = run("--scene", 6, "--filler", "blur", "--set", "mp2-descent.cells=4")
    assert said.code == 0, said.err
    found = told()
    assert found["reached"] is found["removable"] is False
    ending = f"the class is not gone: chance is 0.083, still p {found['floor']:.3f} with everything filled"
    assert said.out.splitlines()[0].endswith(ending)
    assert {path.name for path in Path("infill-out").iterdir()} == FILES


def test_a_class_that_is_not_removed_though_it_could_be(run: Run) -> None:
    small = ["--set", "extremal.steps=2", "--set", "extremal.area=0.001"]
    said = run("--scene", 4, "--filler", "noise", "--method", "extremal", *small)
    assert said.code == 0, said.err
    found = told()
    assert found["method"]["variant"] == "delete"
    assert (found["reached"], found["removable"]) == (False, True)
    line = said.out.splitlines()[0]
    assert "(still: " in line
    assert line.endswith("0.1 % of the image removed; the class is not gone: chance is 0.083")


def test_a_photograph_is_seen_as_the_classifier_sees_it(run: Run, tmp_path: Path) -> None:
    given = (*SCENES, *GRAY, "--out", "infill-out", "--set", "mp2-descent.prune=no")
    said = run(saved_photograph(tmp_path), *given)
    assert said.code == 0, said.err
    assert pixels("counterfactual-hole.png").shape == (224, 224)
    assert pixels("counterfactual-image.png").shape == (224, 224, 3)
    assert "% of the view removed" in said.out
    assert told()["image"]["width"] == 400
    assert told()["method"]["prune"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--target", "crate", "--against", "heart"],
            "mp2-descent: target must be more likely than the class it is compared with (log-odds above 0), "
            "got -0.7",
        ),
        (["--target", "against:heart,heart"], "--against: 'heart' is what is explained"),
        (["--against", "hart"], "--against: the classifier has no class 'hart'; did you mean 'heart'?"),
        (["--target", "ball"], "mp2-descent: target must be a class above chance (0.0833), got 0.0"),
        (
            ["--method", "sp"],
            "--method: expected one of mp, mp-code, mp2, mp2-descent, fido, ",
        ),
        (
            ["--method", "cem-positive"],
            "--method: expected one that removes (mp, mp-code, mp2, mp2-descent, fido, fido-cells, extremal, "
            "extremal-code, gfi, gfi-code, sdr, dssr, dssr-plus, cem-negative), got cem-positive, which "
            "keeps what is enough for the class",
        ),
        (["--method", "gfi-inversion"], ", got gfi-inversion, which keeps what is enough for the class"),
        (
            ["--method", "fido", "--set", "fido.region=ssr"],
            ", got fido with region=ssr, which keeps what is enough for the class",
        ),
        (["--method", "mp22"], "unknown method 'mp22'; did you mean 'mp2'?"),
        (["--filler", "inpant"], "unknown filler 'inpant'; did you mean 'inpaint'?"),
        (["--set", "mp.steps=3"], "mp.steps=3: mp is not used here; used: mp2-descent, inpaint"),
        (
            ["--set", "mp2-descent.cells=225"],
            "cells must be 1 to 224 in a 224 x 224 image, got 225",
        ),
        (["photo.png", "--scene", "3"], "give images or --scene, not both"),
        (["nothing.png", "--classifier", "scenes"], "image: no such file: nothing.png"),
        (["nothing.png"], "image: no such file: nothing.png"),
        (["scene:3"], "image: no such file: scene:3; a scene is asked for with --scene 3"),
    ],
)
def test_bad_input_ends_in_one_line(arguments: list[str], message: str, run: Run) -> None:
    refused(run(*arguments), message)
    assert list(Path().iterdir()) == []


def test_a_photograph_needs_a_classifier(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = saved_photograph(tmp_path).name
    refused(
        run(name), f"a photograph needs one, as in: infill counterfactual {name} --classifier mobilenet_v2"
    )


def test_interruption_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MP2, "optimize", interrupted)
    said = run("--scene", 3, *GRAY)
    assert said.code == 130
    assert said.err == "infill: stopped; nothing is left half-written\n"
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_a_photograph_is_filled_at_the_end_by_exemplar(run: Run, tmp_path: Path) -> None:
    path = saved_photograph(tmp_path)
    small = ("--out", "infill-out", "--set", "mp2-descent.cells=4")
    assert run(path, *SCENES, *small).code == 0
    ours = told()
    assert run(path, *SCENES, *small, "--filler", "inpaint").code == 0
    assert told()["final"] == ours["final"], "whoever names the filler gets the same"
    assert ours["final"]["name"] == "exemplar"
    assert ours["final"]["class"] == "Exemplar"
    assert run(path, *SCENES, *small, "--final", "none").code == 0
    found = told()
    assert "final" not in found
    assert "as_found" not in found
    assert {key: found[key] for key in ours["as_found"]} == pytest.approx(ours["as_found"])
    assert ours["area"] >= found["area"]
    assert ours["looks"] >= found["looks"] + 3


def test_another_final_filler_judges_what_was_found(run: Run) -> None:
    said = run("--scene", 3, *GRAY, "--final", "inpaint@by=exemplar")
    assert said.code == 0, said.err
    found = told()
    assert found["filler"]["name"] == "gray"
    assert found["final"]["by"] == "exemplar"
    assert found["as_found"]["left"] <= found["chance"]


@pytest.mark.parametrize(
    ("final", "message"),
    [("nothing", "unknown filler 'nothing'"), ("exemplar@patch=4", "patch must be odd")],
)
def test_a_final_filler_that_cannot_be_is_refused(run: Run, final: str, message: str) -> None:
    refused(run("--scene", 3, *GRAY, "--final", final), message)


def test_where_another_class_is_enough_no_other_filler_judges(run: Run, tmp_path: Path) -> None:
    pixels = (scenes.draw(1).image.permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    said = run("photo.png", "--classifier", "scenes", "--method", "cem-negative", "--filler", "gray")
    assert said.code == 0, said.err
    found = told()
    assert "final" not in found
    assert found["changed"] is True
    assert found["reached"] is True
    assert "(now: " in said.out


def test_a_success_is_not_told_as_the_class_that_is_still_there() -> None:
    class Sigmoid(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            bright = images[:, :, 80:140, 80:140].mean((1, 2, 3))
            return torch.stack([4 * bright - 1, bright * 0 - 3, bright * 0 - 3], 1)

    rng = torch.Generator().manual_seed(0)
    image = 0.1 * torch.rand(3, 224, 224, generator=rng)
    image[:, 80:140, 80:140] += 0.8
    found = infill.counterfactual(
        image, Sigmoid(), filler=Gray((0.0, 0.0, 0.0)), multi_label=True, labels=["dog", "cat", "cow"]
    )
    assert found.gone
    assert "still" not in str(found)
    assert "dog" in str(found)
