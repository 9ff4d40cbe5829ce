"""``infill fill-blanks``: its table and figures, going on after a stop, and what it refuses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Run, refused, runner
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score

from models.classifiers import load_classifier
from studio.blanks import classifier, unit
from studio.blanks.data import opened

FEW = ("--limit", 2, "--set", "blanks.correct=4", "--set", "blanks.steps=1", "--ablations", 1)
FIGURES = (
    "prototypes", "progressive", "orders", "ablation-ratio", "ablation-patch", "ablation-binarization",
)  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of digits that has learned for a moment."""
    folder = tmp_path_factory.mktemp("network")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 40)
        patch.setattr(classifier, "NOISE", 0.1)
        classifier.trained(opened("digits", 1, 0), 0, folder, torch.device("cpu"))
    return folder / classifier.FILE


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(capsys, "fill-blanks")


def told(folder: str = "infill-out") -> dict:
    return json.loads(Path(folder, "fill-blanks.json").read_text())


def test_digits_from_the_classifier_to_the_figures(
    run: Run, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "LEVELS", unit.LEVELS[:2])
    monkeypatch.setattr("studio.blanks.results.LEVELS", unit.LEVELS[:2])
    monkeypatch.setattr("studio.blanks.pictures.LEVELS", unit.LEVELS[:2])
    said = run("digits", "--classifier", f"digits:{network}", *FEW)
    assert said.code == 0, said.err
    found = told()
    rows = {row["name"]: row for row in found["consistency"]}
    assert {
        "random",
        "random-everywhere",
        "progressive",
        "progressive-l-bfgs",
        "ratio-0.5",
        "patch-4",
    } <= set(rows)
    assert rows["ratio-0.5"]["images"] + rows["ratio-0.5"]["left_out"] == 1
    with Path("infill-out/fill-blanks.csv").open() as file:
        lines = [
            line for line in csv.DictReader(file) if line["prototypes"] == "random" and not line["error"]
        ]
    truth, answers = ([line[column] for line in lines] for column in ("class", "answer"))
    assert rows["random"]["accuracy"] == accuracy_score(truth, answers)
    assert rows["random"]["macro_f1"] == pytest.approx(f1_score(truth, answers, average="macro"))
    assert rows["random"]["weighted_f1"] == pytest.approx(f1_score(truth, answers, average="weighted"))
    assert all(float(line["correct"]) == 4 <= float(line["masks"]) for line in lines)
    for name in FIGURES:
        pixels = np.asarray(Image.open(f"infill-out/{name}.png").convert("RGB"))
        assert pixels.min() < 50, f"{name} shows nothing"
        assert pixels.max() == 255
    assert "random" in said.out
    assert "99 / 99 / 99" in said.out


def test_it_goes_on_where_it_was_whatever_the_batch_size(
    run: Run, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.blanks.run.sheets", lambda *_: {})  # looked at in the test above
    options = (
        "digits",
        "--classifier",
        f"digits:{network}",
        "--limit",
        2,
        "--ablations",
        0,
        "--set",
        "blanks.correct=4",
        "--set",
        "blanks.steps=1",
    )
    assert run(*options, "--out", "whole").code == 0
    done, work = [], unit.Worker.__call__

    def stopping(self: unit.Worker, key: tuple[int, str]):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(key)
        return work(self, key)

    monkeypatch.setattr(unit.Worker, "__call__", stopping)
    assert run(*options, "--out", "halves").code == 130
    assert len(list(Path("halves").rglob("*.parquet"))) == 2
    done.clear()
    monkeypatch.setattr(unit.Worker, "__call__", lambda self, key: (done.append(key), work(self, key))[1])
    said = run(*options, "--out", "halves", "--batch-size", 5)
    assert said.code == 0, said.err
    assert len(done) == 4
    for one, other in zip(told("whole")["consistency"], told("halves")["consistency"], strict=True):
        assert one == other
    done.clear()
    assert run(*options, "--out", "halves").code == 0
    assert done == []
    other = run(*options, "--out", "halves", "--seed", 3)
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "holds a run with other settings" in other.err
    message = "RUN: whole is no run of `infill evaluate`, but another command's"
    refused(run("whole", command="report"), message)


def test_the_classifier_is_trained_once_and_found_again(network: Path) -> None:
    data, device = opened("digits", 60, 0), torch.device("cpu")
    before = network.stat().st_mtime_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 40)
        patch.setattr(classifier, "NOISE", 0.1)
        again = classifier.trained(data, 0, network.parent, device)
        assert network.stat().st_mtime_ns == before
        with pytest.raises(
            ValueError, match=r"another run's classifier; give another folder\. seed 0 there, 1 now"
        ):
            classifier.trained(data, 1, network.parent, device)
    named = load_classifier(f"digits:{network}")
    assert torch.equal(again(data.images), named(data.images))
    assert float((named(data.images).argmax(1) == data.targets).float().mean()) > 0.7
    torch.testing.assert_close(named(data.images.expand(-1, 3, -1, -1)), named(data.images))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("letters",), "DATA: expected one of digits"),
        (("digits", "--filler", "gray", "--filler", "blur"), "--filler: one fills the blanks"),
        (("digits", "--set", "blanks.patch=28"), "blanks"),
        (("digits", "--set", "blanks.ratio=2"), "blanks: ratio must be"),
        (("digits", "--set", "sp.patch=3"), "--set sp.patch=3: sp is not used here"),
        (("digits", "--classifier", "scenes"), "--classifier: it is shown 224 px, but digits has 28 px"),
        (
            ("digits", "--set", "blanks.shown=update"),
            "blanks.shown: fill-blanks keeps the updates themselves",
        ),
        (("digits", "--filler", "inpaint"), "--filler inpaint: its network fills RGB images, got 1 channel"),
        (("digits", "--filler", "gray"), "--filler gray: color must be"),
        (("digits", "--filler", "telea"), "--filler telea: image must be RGB"),
        (("mnist:nowhere",), "DATA: no mnist in nowhere/MNIST/raw"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, options: tuple[str, ...], message: str) -> None:
    refused(run(*options), message)


def test_another_network_than_that_of_digits_is_told(run: Run, tmp_path: Path) -> None:
    refused(run("digits", "--classifier", f"digits:{tmp_path / 'no'}"), "weights: no such file")


def test_nothing_is_trained_or_left_in_another_runs_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "STEPS", 0)
    assert run("scenes:1", "--method", "sp", "--metric", "own", "--set", "sp.stride=112",
               "--out", "other", command="evaluate").code == 0  # fmt: skip
    before = sorted(Path("other").rglob("*"))
    message = "--out: other/run.json is another run's; give another folder"
    refused(run("digits", "--limit", 1, "--out", "other"), message)
    assert sorted(Path("other").rglob("*")) == before


def test_an_ablation_that_is_the_main_variant_is_drawn_from_that(run: Run, network: Path) -> None:
    said = run("digits", "--classifier", f"digits:{network}", "--limit", 1, "--ablations", 1,
               "--set", "blanks.correct=2", "--set", "blanks.steps=1", "--set", "blanks.update=l-bfgs",
               "--set", "blanks.masks=4")  # fmt: skip
    assert said.code == 0, said.err
    assert Path("infill-out/orders.png").stat().st_size > 0
    assert "order-l-bfgs" in [row["name"] for row in told()["consistency"]]


def test_a_file_of_weights_says_that_it_is_for_digits(network: Path) -> None:
    pixels = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_classifier(None, network)(pixels), load_classifier(f"digits:{network}")(pixels))
