"""The other calls beside `infill.explain`: the commands' own jobs."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from command import Run, runner
from torch import Tensor

import infill
from attribution import MP2, SSR, SlidingPatch
from infill import Counterfactual
from models import scenes
from models.preprocessing import Preprocessing

AS_THEY_ARE = Preprocessing(224, 224, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Mirror:
    """A filler of the caller's own."""

    per_hole: ClassVar[bool] = False
    sees_hidden: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False

    def __call__(self, image: Tensor, hole: Tensor, generator: Any = None) -> Tensor:
        return image.flip(-1)


def greenish(images: Tensor) -> Tensor:
    """A classifier of the caller's own."""
    return torch.stack([images[:, 1].mean((1, 2)), 1 - images[:, 1].mean((1, 2))], 1) * 8


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    return runner(capsys)


def test_a_counterfactual_is_the_commands(run: Run) -> None:
    words = ("--scene", 3, "--filler", "gray", "--set", "mp2-descent.cells=4")
    said = run(*words, "--out", "command", command="counterfactual")
    assert said.code == 0, said.err
    found = infill.counterfactual("scene:3", "scenes", filler="gray", settings={"mp2-descent.cells": 4})
    assert isinstance(found, Counterfactual)
    for path in found.save("call"):
        if path.suffix == ".png":
            assert path.read_bytes() == Path("command", path.name).read_bytes()
    told = json.loads(Path("command/counterfactual.json").read_text("utf-8"))
    assert (found.target.label, found.now.label) == (told["target"]["name"], told["after"]["top"][0]["name"])
    assert (found.area, found.gone, found.left) == (told["area"], told["reached"], told["left"])
    np.testing.assert_array_equal(found.after[found.hole == 0], found.before[found.hole == 0])
    assert said.out.startswith(str(found).removeprefix("scene-3: "))
    assert found._repr_html_().count("<img") == 2
    assert found._repr_png_().startswith(b"\x89PNG")
    assert found.figure().axes


def test_several_counterfactuals_are_a_list() -> None:
    images = [np.full((32, 40, 3), value, np.uint8) for value in (200, 220)]
    found = infill.counterfactual(images, greenish, method=MP2(cells=4), filler="gray", labels=["a", "b"])
    assert [each.image for each in found] == ["picture", "picture-2"]
    assert all(each.target.label == "a" and each.before.shape == (32, 40, 3) for each in found)
    for name, given in (("method", ["mp2", "mp"]), ("filler", ["gray"]), ("classifier", ["scenes"])):
        with pytest.raises(ValueError, match=f"{name}: expected one, got list"):
            infill.counterfactual(images[0], **{"classifier": greenish, name: given})
    with pytest.raises(ValueError, match=r"--method: expected one of mp, .*, got sp"):
        infill.counterfactual(images[0], greenish, method="sp")
    with pytest.raises(ValueError, match=r"--method: .*, got SSR, which keeps what is enough"):
        infill.counterfactual(images[0], greenish, method=SSR())


class Greenish(torch.nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return greenish(images)


def test_it_is_said_that_a_module_got_the_pixels_as_they_are() -> None:
    note = "neither resized nor normalized: no preprocessing was given"
    image = np.full((32, 40, 3), 200, np.uint8)
    common: dict[str, Any] = {"filler": "gray", "method": MP2(cells=4)}
    found = infill.counterfactual(image, Greenish(), **common)
    assert note in found.notes[0]
    assert note in str(found).splitlines()[1]
    assert note in found._repr_html_()
    assert "\n" not in repr(found)
    silent = infill.counterfactual(image, greenish, **common)
    assert (silent.notes, len(str(silent).splitlines())) == ((), 1)
    patches: dict[str, Any] = {"method": SlidingPatch(112, 112), "filler": "gray", "metric": "pointing"}
    said = infill.evaluate("scenes:2", Greenish(), **patches)
    assert note in said.notes[0]
    assert note in str(said).splitlines()[-1]
    assert note in said._repr_html_()


def test_arrays_of_a_result_are_the_callers_to_change(tmp_path: Path) -> None:
    image = np.full((32, 40, 3), 200, np.uint8)
    explained = infill.explain(image, greenish, method=MP2(cells=4), filler="gray")
    changed = infill.counterfactual(image, greenish, method=MP2(cells=4), filler="gray")
    removed = infill.remove(image, greenish, box=(4, 4, 20, 20), filler="gray")

    def saved() -> list[bytes]:
        paths = [path for each in (explained, changed, removed) for path in each.save(tmp_path)]
        return [path.read_bytes() for path in paths if path.suffix != ".json"]

    before = saved()
    composites = [array for each in explained.shown() for array in (each.image, each.hole)]
    arrays = [explained.heatmap, explained.hole, changed.before, changed.after, changed.hole, removed.before]
    for array in [*composites, *arrays, removed.hole, removed.completions["gray"].image]:
        array[:] = 1 - array
    assert saved() == before


def test_realism_is_the_commands_and_takes_fillers_of_ones_own(run: Run) -> None:
    said = run("scenes:2", "--filler", "gray", "--strips", 1, "--out", "command", command="realism")
    assert said.code == 0, said.err
    found = infill.realism("scenes:2", filler=["gray", Mirror()], out="call", strips=1)
    told = json.loads(Path("command/realism.json").read_text("utf-8"))
    assert found.report["metrics"]["l1"]["figures"]["gray"] == told["metrics"]["l1"]["figures"]["gray"]
    assert found.report["rows"] == ["real", "gray", "Mirror", "truth"]
    rows = {(row["filler"], row["metric"]): row["value"] for row in found.rows}
    assert rows["truth", "l1"] == 0 < rows["gray", "l1"] != rows["Mirror", "l1"]
    assert str(found).startswith("scenes:2")
    assert found.folder == Path("call")
    assert [path.name for path in found.save("saved")] == ["realism.csv", "realism.json", "realism.png"]
    assert len(found._repr_png_()) < 300_000
    with pytest.raises(
        ValueError, match=r"labels: expected 'data' or 'top1'.*names of classes go to load_class"
    ):
        infill.realism("scenes:2", "scenes", labels=["gear", "crate"])
    with pytest.raises(ValueError, match="expected one that says its crop"):
        infill.realism("scenes:2", greenish, filler="gray")


def test_an_evaluation_is_the_commands_and_takes_objects(run: Run) -> None:
    words = ("--method", "sp", "--filler", "gray", "--metric", "pointing", "--set", "sp.stride=56")
    said = run("scenes:2", *words, "--out", "run", command="evaluate")
    assert said.code == 0, said.err
    by_name = infill.evaluate(
        "scenes:2", method="sp", filler="gray", metric="pointing", out="run", settings={"sp.stride": 56}
    )
    for line in str(by_name).splitlines()[1:]:
        assert line.rstrip() in said.out
    own = infill.evaluate(
        "scenes:2",
        greenish,
        method={"mine": SlidingPatch(112, 112)},
        filler=[Mirror(), "gray"],
        metric="pointing",
    )
    rows = {(row["method"], row["filler"]) for row in own.rows}
    assert {("mine", "Mirror"), ("mine", "gray"), ("center", "")} <= rows
    assert own._repr_html_().count("<tr>") == 1 + len(own.tables[0].rows)
    Path("report").mkdir()
    Path("report/report.old").touch()
    assert {path.name for path in own.save("report")} == {
        *(f"report.{kind}" for kind in ("html", "md", "tex", "csv", "json")),
        "report-differences.csv",
    }
    assert not own.notes
    assert own.results.settings["classifier"]["labels"] == ["class 0", "class 1"]


def test_names_of_ones_own_are_escaped() -> None:
    mine = {"<b>mine": SlidingPatch(112, 112)}
    found = infill.evaluate("scenes:1", greenish, method=mine, filler="gray", metric="pointing")
    image = np.full((32, 40, 3), 200, np.uint8)
    two = {"<b>mine": SlidingPatch(16, 16), "other": SlidingPatch(16, 8)}
    shown = infill.explain(image, greenish, method=two, filler="gray")
    for html in (found._repr_html_(), shown._repr_html_()):
        assert "<b>mine" not in html
        assert "&lt;b&gt;mine" in html


def test_an_evaluation_takes_derivatives_in_inference_mode() -> None:
    few = {"metric": "pointing", "filler": "gray", "baselines": False, "settings": {"mp.steps": 2}}
    drawn = [scenes.CLASSES[scenes.draw(number, objects=1).labels[0]] for number in range(3)]
    with torch.inference_mode():
        found = infill.evaluate("scenes:3", method="mp", classes=drawn[1:2], **few)
    assert found.tables[0].images == drawn.count(drawn[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: infill.evaluate("scenes:2", method="spp"), "unknown method 'spp'; did you mean 'sp'?"),
        (lambda: infill.evaluate("scenes:2", metric="pontng"), "unknown metric 'pontng'; did you mean"),
        (lambda: infill.evaluate("scenes:2", sampel=3), "unknown setting 'sampel'; did you mean 'sample'?"),
        (lambda: infill.evaluate("scenes:2", method=["mp/blur", SlidingPatch()]), "got both"),
        (lambda: infill.realism("scenes:2", filler="grey"), "unknown filler 'grey'; did you mean 'gray'?"),
        (lambda: infill.realism("nowhere"), "nowhere"),
        (lambda: infill.evaluate("scenes:2", method={"random": SlidingPatch()}), "the name of one of infill"),
        (lambda: infill.evaluate("scenes:2", method={"filler": SlidingPatch()}), "the name of one of infill"),
        (lambda: infill.evaluate("scenes:2", method={"a--b": SlidingPatch()}), "a name without '--'"),
        (lambda: infill.evaluate("scenes:2", correct_only="no"), "correct_only: expected True or False"),
        (lambda: infill.evaluate("scenes:2", baselines="no"), "baselines: expected True or False"),
        (lambda: infill.evaluate("scenes:2", classes="gear"), "classes: expected a list of names or indices"),
        (lambda: infill.evaluate("scenes:2", classes=[1.5]), "classes: expected a list of names or indices"),
        (lambda: infill.evaluate("scenes:2", preset=3), "preset: expected a text, got 3"),
        (lambda: infill.evaluate("scenes:2", sample="2"), "sample must be a whole number, got '2'"),
        (lambda: infill.evaluate("scenes:2", limit=1.5), "limit must be a whole number, got 1.5"),
        (lambda: infill.evaluate("scenes:2", largest_box="0.5"), "largest_box must be a number, got '0.5'"),
        (lambda: infill.realism("scenes:2", grow=2.5), "grow must be a whole number, got 2.5"),
        (lambda: infill.realism("scenes:2", strips="1"), "strips must be a whole number, got '1'"),
        (lambda: infill.realism("scenes:2", batch_size=0), "batch_size must be at least 1, got 0"),
        (lambda: infill.load_classifier("resnet51"), "unknown classifier 'resnet51'; did you mean"),
        (lambda: infill.load_classifier("scenes", labels=["a"]), "expected none, for scenes has its own"),
        (lambda: infill.load_classifier(greenish, "file"), "expected none beside a classifier that is an"),
        (lambda: infill.load_classifier(greenish, labels="ab"), "labels: expected a list of names, got 'ab'"),
        (lambda: infill.load_classifier(greenish, labels={"a", "b"}), "expected a list of names, got {"),
        (lambda: infill.load_classifier(greenish, labels={0: "a"}), "expected a list of names, got {0"),
        (lambda: infill.load_classifier(greenish, labels=map(str, "ab")), "a list of names, got <map"),
        (lambda: infill.load_classifier(greenish, labels=5), "labels: expected a list of names, got 5"),
        (lambda: infill.load_classifier(greenish, labels=[1, 2]), "expected a list of names, got [1, 2]"),
        (lambda: infill.load_classifier("scenes", labels=5), "labels: expected a list of names, got 5"),
        (lambda: infill.remove("scene:0", "scenes", box=(0, 0, 9, 9), labels=5), "labels: expected a list"),
        (lambda: infill.load_classifier(Mirror), "expected an object, got the class Mirror; give Mirror()"),
        (lambda: infill.evaluate("scenes:2", torch.nn.ReLU), "got the class ReLU; give ReLU()"),
        (lambda: infill.evaluate("scenes:2", out=""), "out: expected a path, got ''"),
        (lambda: infill.evaluate("scenes:2", out=3), "out: expected a path, got 3"),
        (lambda: infill.realism("scenes:2", out=""), "out: expected a path, got ''"),
        (lambda: infill.evaluate("scenes:2", seed=True), "seed must be a whole number, got True"),
        (lambda: infill.realism("scenes:2", strips=True), "strips must be a whole number, got True"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    call: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        call()
    assert message in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", [("g", "n"), np.array(["g", "n"]), ["g", "n"], None])
def test_labels_are_a_list_a_tuple_or_an_array(labels: Any) -> None:
    mine = infill.load_classifier(greenish, labels=labels)
    assert mine.labels == (() if labels is None else ("g", "n"))
    assert all(type(label) is str for label in mine.labels)
    named = infill.load_classifier(infill.load_classifier(greenish, labels=["a", "b"]), labels=labels)
    assert named.labels == (mine.labels or ("a", "b"))
    assert infill.load_classifier("scenes", labels=None).labels


def test_a_classifier_brings_its_own_preprocessing() -> None:
    mine = infill.load_classifier(greenish, preprocessing=AS_THEY_ARE, labels=["green", "not"])
    with pytest.raises(ValueError, match="for this classifier brings its own"):
        infill.load_classifier(mine, preprocessing=AS_THEY_ARE)
    renamed = infill.load_classifier(mine, labels=["g", "n"], multi_label=True)
    assert (renamed.labels, renamed.multi_label) == (("g", "n"), True)
    assert (mine.labels, mine.multi_label) == (("green", "not"), False)
    assert renamed.network is mine.network
