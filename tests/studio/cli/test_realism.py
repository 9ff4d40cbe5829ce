"""``infill realism``: its table and files, going on after a stop, and what it says of bad data."""

import csv
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_classifiers
import tiny_segmenters
import torch
import torchvision
from command import Run, refused, runner
from PIL import Image
from safetensors.torch import load_file, save_file

from infill.realism.artifacts import TRACES
from infill.realism.similarity import backbone_file
from models import scenes
from models.weights import store
from studio.realism import batches, metrics

REMOVAL = {"gray", "inpaint"}
FEW = ("--filler", "gray", "--filler", "inpaint")


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assets: Path
) -> Run:
    """Runs ``infill realism`` in an empty folder, with LPIPS's backbone at hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(assets / "torch_home"))
    return runner(capsys, "realism")


@pytest.fixture
def fast(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same without LPIPS, and without the picture, for tests of everything else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    monkeypatch.setattr("studio.realism.run.draw_strips", lambda *arguments: arguments[-1].touch())
    command = runner(capsys, "realism")
    return lambda *arguments, **more: command(*arguments, "--strips", 1, **more)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither weights at hand nor a network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr("models.weights.download._opener", refuse)


def told(folder: str = "infill-out") -> dict:
    return json.loads(Path(folder, "realism.json").read_text())


def figure(found: dict, metric: str, row: str) -> float:
    return found["metrics"][metric]["figures"][row]["value"]


def photographs(folder: Path, count: int = 3, size: tuple[int, int] = (240, 200)) -> None:
    """Scenes as photographs with silhouettes, in the layout of images and masks."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for index in range(count):
        scene = scenes.draw(index, objects=1)
        pixels = (scene.image.permute(1, 2, 0) * 255).round().byte().numpy()
        Image.fromarray(pixels).resize(size).save(folder / "images" / f"{index}.png")
        drawn = Image.fromarray(scene.silhouettes[0].numpy().astype(np.uint8) * 255)
        drawn.resize(size, Image.Resampling.NEAREST).save(folder / "masks" / f"{index}.png")


def test_scenes_where_everything_is_known(run: Run) -> None:
    said = run("scenes:12", *FEW, "--batch-size", 5)
    assert said.code == 0, said.err
    found = told()
    assert found["rows"] == ["real", "gray", "inpaint", "truth"]
    # What is to be as before is not asked where the object is to go.
    assert set(found["metrics"]) == set(metrics.METRICS) - {"change", "divergence"}
    assert found["missing"] == {}
    for metric, each in found["metrics"].items():
        assert set(each["figures"]) == set(found["rows"])
        assert len(each["differences"]) == 6
        value = f"{each['scale'] * each['figures']['inpaint']['value']:{each['digits']}}"
        line = next(line for line in said.out.splitlines() if line.startswith(each["title"]))
        assert value in line, metric
        assert {"lower": "↓", "higher": "↑", None: " "}[each["better"]] in line
    assert figure(found, "accuracy", "real") > 0.8
    for row in REMOVAL | {"truth"}:
        assert figure(found, "accuracy", row) < 0.4
    # The truth in the hole is better than any filler, on every figure that knows what is real.
    for metric, lower in {"l1": 1, "psnr": -1, "lpips_truth": 1, "frechet": 1}.items():
        values = [lower * figure(found, metric, row) for row in ("truth", "inpaint", "gray", "real")]
        assert values[0] <= min(values[1:]), metric
    assert figure(found, "two_sample", "truth") == pytest.approx(0.5, abs=0.1)
    assert figure(found, "two_sample", "real") > 0.9  # the real images have no objects
    assert figure(found, "l1", "truth") == 0
    assert figure(found, "psnr", "truth") == 100
    assert figure(found, "ms_ssim", "real") == pytest.approx(1, abs=1e-6)
    assert figure(found, "lpips", "real") == pytest.approx(0, abs=1e-6)
    assert figure(found, "l1", "inpaint") < figure(found, "l1", "gray")


@pytest.mark.slow
def test_holes_in_the_background_are_the_fillers_own_evidence(fast: Run) -> None:
    asked = ("scenes:6", "--holes", "background", *FEW)
    said = fast(*asked, "--batch-size", 5, "--out", "five")
    assert said.code == 0, said.err
    found = told("five")
    for name in ("change", "divergence"):
        assert found["metrics"][name]["better"] == "lower"
        assert figure(found, name, "real") == pytest.approx(0, abs=1e-6)
        assert figure(found, name, "gray") > figure(found, name, "inpaint") > 0
    assert figure(found, "periodicity", "real") == pytest.approx(1, abs=0.3)
    assert figure(found, "l1", "real") == 0
    assert figure(found, "seam", "gray") > figure(found, "seam", "real")
    assert "change of the probability" in said.out
    assert fast(*asked, "--batch-size", 3, "--out", "three").code == 0
    areas = [Path(folder, "realism.csv").read_text().split() for folder in ("five", "three")]
    holes = [[line.split(",")[:3] for line in each[1:]] for each in areas]
    assert holes[0] == holes[1]
    assert fast("scenes:2", *asked[1:], "--hole-area", 4, "--out", "four").code == 0
    assert told("four")["area"] == pytest.approx(0.04, rel=0.05)
    assert told("four")["settings"]["hole_area"] == 4


@pytest.mark.slow
def test_composites_are_compared_with_other_images(fast: Run, tmp_path: Path) -> None:
    photographs(tmp_path / "data", 12)
    asked = ("data", "--classifier", "scenes", *FEW)
    assert fast(*asked, "--out", "same").code == 0
    said = fast(*asked, "--reference", "scenes:20", "--out", "others")
    assert said.code == 0, said.err
    same, others = told("same"), told("others")
    for name in ("frechet", "kernel"):
        assert (same["metrics"][name]["better"], others["metrics"][name]["better"]) == (None, "lower")
        assert figure(others, name, "gray") != figure(same, name, "gray")
    assert figure(others, "frechet", "real") > 0
    assert others["metrics"]["two_sample"] == same["metrics"]["two_sample"]
    assert "Frechet and kernel distance are those to the 20 images of scenes:20" in said.out
    assert fast(*asked, "--reference", "scenes:20", "--out", "others").code == 0
    assert told("others") == others


def test_other_images_are_looked_for_before_anything_is_loaded(
    fast: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.realism.setup.load_judges", lambda *_: pytest.fail("loaded"))
    refused(fast("scenes:2", *FEW, "--reference", "nowhere"), "--reference: no such folder: nowhere")


def test_the_files(run: Run) -> None:
    assert run("scenes:3", *FEW, "--strips", 2, "--holes", "boxes").code == 0
    with open("infill-out/realism.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4
    assert {row["image"] for row in rows} == {"scene-0", "scene-1", "scene-2"}
    label = scenes.CLASSES[scenes.draw(2, objects=1).labels[0]]
    assert {row["target"] for row in rows if row["image"] == "scene-2"} == {label}
    found = told()
    mean = np.mean([float(row["probability"]) for row in rows if row["filler"] == "gray"])
    assert mean == pytest.approx(figure(found, "probability", "gray"), abs=1e-5)
    assert found["settings"]["holes"] == "boxes"
    assert found["settings"]["classifier"] == "scenes"
    assert found["labels"]["real"][f"{scenes.CLASSES.index(label)} {label}"] >= 1
    assert sum(found["labels"]["gray"].values()) == 3
    picture = Image.open("infill-out/realism.png")
    assert np.asarray(picture.convert("RGB")).std() > 10
    assert "needs at least 10 images, got 3" in found["missing"]["two_sample"]
    assert sorted(path.name for path in Path("infill-out").iterdir()) == [
        "parts", "realism.csv", "realism.json", "realism.png",
    ]  # fmt: skip


def test_broken_off_it_goes_on_where_it_was(fast: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ("scenes:3", *FEW, "--batch-size", 1)
    assert fast(*whole, "--out", "whole").code == 0
    read: list[Sequence[int]] = []
    reading = batches.Reader.read

    def stopped(reader: batches.Reader, numbers: Sequence[int]) -> batches.ExampleBatch:
        read.append(list(numbers))
        if len(read) == 2:
            raise KeyboardInterrupt
        return reading(reader, numbers)

    monkeypatch.setattr(batches.Reader, "read", stopped)
    said = fast(*whole, "--out", "halves")
    assert said.code == 130
    assert not Path("halves/realism.json").exists()
    assert fast(*whole, "--out", "halves").code == 0
    assert read == [[0], [1], [1], [2], [0]]  # the last one is for the strip
    assert told("halves") == told("whole")
    assert Path("halves/realism.csv").read_text() == Path("whole/realism.csv").read_text()


@pytest.mark.slow
def test_killed_in_the_middle_of_a_filling_it_goes_on(run: Run, tmp_path: Path) -> None:
    slow = """
import sys, time
from pathlib import Path
from infill import Gray
real, calls = Gray.__call__, []
def fill(self, image, hole, generator=None):
    calls.append(1)
    if len(calls) == 3:
        Path("filling").touch()
        time.sleep(60)
    return real(self, image, hole, generator)
Gray.__call__ = fill
from studio.cli.main import main
main()
"""
    asked = ["scenes:8", "--batch-size", "2", "--filler", "gray", "--filler", "blur"]
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    job = subprocess.Popen([sys.executable, "-c", slow, "realism", *asked], cwd=tmp_path, env=environment)
    try:
        deadline = time.monotonic() + 120
        while not Path("filling").exists():
            assert time.monotonic() < deadline
            assert job.poll() is None
            time.sleep(0.1)
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert not Path("infill-out/realism.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in Path("infill-out/parts").rglob("*.parquet")}
    assert kept, "two batches were done"
    said = run(*asked)
    assert said.code == 0, said.err
    assert all(path.stat().st_mtime_ns == changed for path, changed in kept.items()), (
        "they are not done again"
    )
    assert not list(Path("infill-out").glob(".*")), "nothing unfinished is left"
    assert run(*asked, "--out", "undisturbed").code == 0
    assert Path("infill-out/realism.csv").read_bytes() == Path("undisturbed/realism.csv").read_bytes()


def test_a_damaged_part_is_told_and_done_again(fast: Run) -> None:
    job = ("scenes:2", *FEW, "--batch-size", 1)
    assert "damaged" not in fast(*job).out
    before = told()
    part = sorted(Path("infill-out/parts").glob("gray-*/*.parquet"))[1]
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    said = fast(*job)
    assert said.code == 0, said.err
    assert f"damaged, and done again: {part}" in said.out
    assert told() == before
    assert part.stat().st_size == len(whole)
    assert "damaged" not in fast(*job).out


@pytest.mark.slow
def test_a_filler_more_costs_that_filler_alone(fast: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fast("scenes:4", "--filler", "gray").code == 0
    before = told()
    filled: list[str] = []
    build = metrics.BatchMetrics.__call__

    def counted(self: metrics.BatchMetrics, composites: torch.Tensor) -> dict:
        filled.append("batch")
        return build(self, composites)

    monkeypatch.setattr(metrics.BatchMetrics, "__call__", counted)
    assert fast("scenes:4", "--filler", "gray", "--filler", "blur").code == 0
    assert filled == ["batch"]
    for metric in before["metrics"]:
        if metric != "two_sample":
            assert figure(told(), metric, "gray") == figure(before, metric, "gray")
    assert fast("scenes:4", "--filler", "gray", "--seed", 1, "--holes", "squares").code == 0
    assert len(filled) == 1 + 2  # other holes: everything anew


def test_the_batch_size_and_order_change_nothing(fast: Run) -> None:
    fillers = ("--filler", "noise", "--filler", "mean-segment", "--precision", "float32")
    for size in (1, 3):
        assert (
            fast("scenes:3", *fillers, "--holes", "segments", "--batch-size", size, "--out", size).code == 0
        )
    one, three = told("1"), told("3")
    for metric in set(one["metrics"]):
        for row in one["rows"]:
            assert figure(one, metric, row) == pytest.approx(figure(three, metric, row), rel=1e-3, abs=1e-4)
    assert one["rows"] == ["real", "noise", "mean-segment"]  # the truth is the image itself


def test_photographs_judged_by_another_classifier(run: Run, assets: Path) -> None:
    weights = assets / "classifiers"
    asked = (assets / "ecssd", "--limit", 4, *FEW, "--classifier", "mobilenet_v2", "--weights",
             weights / "mobilenet_v2.safetensors")  # fmt: skip
    assert run(*asked).code == 0
    alone = told()
    assert figure(alone, "accuracy", "real") == 1  # the classes are its own top-1
    assert any("own top-1" in note for note in alone["notes"])
    assert any("still have the object" in note for note in alone["notes"])
    assert alone["metrics"]["frechet"]["better"] is None
    said = run(*asked, "--judge", "squeezenet1_0", "--judge-weights", weights / "squeezenet1_0.safetensors")
    assert said.code == 0, said.err
    judged = told()
    for metric in ("ms_ssim", "lpips"):
        assert figure(judged, metric, "inpaint") == pytest.approx(figure(alone, metric, "inpaint"))
    assert figure(judged, "probability", "real") != figure(alone, "probability", "real")


def test_labels_of_the_data(fast: Run, assets: Path) -> None:
    weights = assets / "classifiers" / "mobilenet_v2.safetensors"
    said = fast(
        assets / "imagenet_val", "--limit", 2, "--filler", "gray", "--weights", weights, "--holes", "squares"
    )
    assert said.code == 0, said.err
    assert told()["settings"]["labels"] == "data"
    # A square is to change nothing, but what it is filled with may speak for the class.
    better = {name: told()["metrics"][name]["better"] for name in ("accuracy", "change", "divergence")}
    assert better == {"accuracy": None, "change": "lower", "divergence": "lower"}


def test_without_any_weights_the_rest_is_measured_and_said(run: Run, offline: None, tmp_path: Path) -> None:
    photographs(tmp_path / "data")
    said = run("data", "--filler", "gray", "--filler", "telea")
    assert said.code == 0, said.err
    found = told()
    assert set(found["metrics"]) == {"ms_ssim", *TRACES}
    assert "squeezenet1_1-b8a52dc0.pth" in found["missing"]["lpips"]
    assert "mobilenet_v2" in found["missing"]["accuracy"]
    assert "LPIPS" in said.out
    assert "left out" in said.out
    refused_said = run("data", "--classifier", "resnet18", "--out", "other")
    assert refused_said.code == 2
    assert "resnet18" in refused_said.err


@pytest.mark.parametrize(
    ("net", "network"), [("squeeze", "squeezenet1_1"), ("alex", "alexnet"), ("vgg", "vgg16")]
)
def test_backbones_of_lpips_are_weights_like_all_others(
    net: Any, network: str, run: Run, offline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    photographs(tmp_path / "data", 2)
    assert run("data", "--filler", "gray", "--lpips", net).code == 0
    reason = told()["missing"]["lpips"]
    assert reason.startswith("LPIPS needs its backbone's weights: ")
    assert reason.endswith(f"run `infill weights fetch {network}` where there is a network")
    assert Path(backbone_file(net)) == store.location(network)


def test_a_view_too_small_for_ms_ssim(fast: Run, tmp_path: Path) -> None:
    photographs(tmp_path / "data", 2)
    with torch.random.fork_rng():
        network = torchvision.models.squeezenet1_1(num_classes=5)
    save_file(
        network.state_dict(),
        tmp_path / "small.safetensors",
        {"arch": "torchvision.squeezenet1_1", "crop": "96"},
    )
    said = fast("data", "--filler", "gray", "--weights", "small.safetensors")
    assert said.code == 0, said.err
    assert "needs sides of 161 px" in told()["missing"]["ms_ssim"]
    assert "needs sides of 161 px" in said.out


def test_a_segmenter_finds_the_object(fast: Run, tmp_path: Path) -> None:
    photographs(tmp_path / "data", 2)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=4
        ).eval()
    with torch.no_grad():  # no class is to win everywhere
        usual = network(scenes.draw(0).image[None])["out"].mean((0, 2, 3))
        network.classifier.high_classifier.bias -= usual
    torch.save(network.state_dict(), tmp_path / "segmenter.pth")
    asked = ("data", "--filler", "gray", "--segmenter", "lraspp_mobilenet_v3_large", "--segmenter-weights",
             "segmenter.pth")  # fmt: skip
    refused_class = fast(*asked, "--segmenter-class", "clas 1", "--out", "none")
    assert refused_class.code == 2
    assert "unknown class of the segmenter 'clas 1'; did you mean 'class 1'" in refused_class.err
    found = {}
    for kind in ("object", "surroundings"):
        said = fast(*asked, "--holes", kind, "--grow", 0, "--out", kind)
        assert said.code == 0, said.err
        found[kind] = told(kind)["area"]
    assert found["object"] + found["surroundings"] == pytest.approx(1, abs=1e-5)


def test_instances_are_the_object(fast: Run, tmp_path: Path) -> None:
    photographs(tmp_path / "data", 2)
    tiny_segmenters.saved("mask2former", tmp_path / "net")
    asked = ("data", "--filler", "gray", "--segmenter", "hf:net")
    refused(
        fast(*asked, "--segmenter-class", "dgo"), "unknown class of the segmenter 'dgo'; did you mean 'dog'"
    )
    refused(fast(*asked, "--segmenter-point", "0.5,0.5"), "--segmenter-point: hf:net takes no point")
    found = {}
    for kind in ("object", "surroundings"):
        said = fast(*asked, "--holes", kind, "--grow", 0, "--segmenter-class", "dog", "--out", kind)
        assert said.code == 0, said.err
        found[kind] = told(kind)
    assert found["object"]["images"] == 2
    assert found["object"]["area"] + found["surroundings"]["area"] == pytest.approx(1, abs=1e-5)
    assert fast(*asked, "--out", "largest").code == 0
    assert told("largest")["area"] != found["object"]["area"]


def test_another_network_in_the_segmenters_folder_starts_anew(fast: Run, tmp_path: Path) -> None:
    photographs(tmp_path / "data", 2)
    tiny_segmenters.saved("mask2former", tmp_path / "net")
    areas = []
    for scale in (1, 1, -3):
        state = load_file("net/model.safetensors")
        save_file(
            {key: scale * value for key, value in state.items()}, "net/model.safetensors", {"format": "pt"}
        )
        assert fast("data", "--filler", "gray", "--segmenter", "hf:net").code == 0
        areas.append(told()["area"])
    assert areas[0] == areas[1] != areas[2]


def test_a_promptable_segmenter_is_shown_a_point(
    fast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(tmp_path / "data", 2)
    tiny_segmenters.saved("sam2", tmp_path / "net")
    asked = ("data", "--filler", "gray", "--segmenter", "hf:net", "--strips", 1)
    refused(fast(*asked, "--segmenter-class", "dog"), "--segmenter-class: hf:net knows no classes")
    for bad in ("0.5", "0.5,1.1", "-0.1,0.5", "a,b", "nan,0.5", "0.1,0.2,0.3", ""):
        message = f"--segmenter-point: expected X,Y with both from 0 to 1, got {bad!r}"
        refused(fast(*asked, "--segmenter-point", bad), message)
    read: list[Sequence[int]] = []
    reading = batches.Reader.read

    def counted(reader: batches.Reader, numbers: Sequence[int]) -> batches.ExampleBatch:
        read.append(list(numbers))
        return reading(reader, numbers)

    monkeypatch.setattr(batches.Reader, "read", counted)
    strip = 1  # is read once more
    for point, reads in (([], 1), (["0.5,0.5"], 0), (["0.2,0.75"], 1), (["0.2,0.75"], 0)):
        read.clear()
        said = fast(*asked, *(["--segmenter-point", *point] if point else []))
        assert said.code == 0, said.err
        assert told()["images"] == 2
        expected = [float(side) for side in point[0].split(",")] if point else [0.5, 0.5]
        assert told()["settings"]["segmenter_point"] == expected
        assert len(read) == reads + strip


@pytest.mark.slow
def test_a_promptable_segmenter_is_shown_the_annotated_boxes(fast: Run, tmp_path: Path) -> None:
    tiny_segmenters.saved("sam", tmp_path / "net")
    asked = ("scenes:3", "--filler", "gray", "--segmenter", "hf:net")
    said = fast(*asked)
    assert said.code == 0, said.err
    assert told()["settings"]["holes"] == "object"
    assert told()["settings"]["segmenter_point"] is None
    assert fast(*asked, "--segmenter-point", "0.1,0.9", "--out", "point").code == 0
    assert told("point")["settings"]["segmenter_point"] == [0.1, 0.9]
    assert told("point")["area"] != told()["area"]


def test_a_segmenter_that_cannot_be_had_says_how(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    said = run("scenes:2", "--segmenter", "hf:facebook/sam-vit-base")
    refused(said, "segmenter: hf:facebook/sam-vit-base is no folder, and cannot be had from the hub")
    assert "'hf download facebook/sam-vit-base --local-dir FOLDER', then use hf:FOLDER" in said.err


def test_bad_files_are_listed_and_passed_over(fast: Run, tmp_path: Path) -> None:
    photographs(tmp_path / "data", 6)
    masks = tmp_path / "data" / "masks"
    Image.new("L", (240, 200), 0).save(masks / "1.png")
    Image.new("L", (240, 200), 255).save(masks / "2.png")
    Image.new("L", (50, 50), 255).save(masks / "3.png")
    (tmp_path / "data" / "images" / "4.png").write_bytes(b"no image")
    said = fast("data", "--filler", "gray")
    assert said.code == 0, said.err
    found = told()
    assert found["images"] == 2
    reasons = {each["image"]: each["reason"] for each in found["skipped"]}
    assert set(reasons) == {"1.png", "2.png", "3.png", "4.png"}
    assert "skipped 4 images" in said.out
    for name, reason in reasons.items():
        assert reason in said.out, name
    for name in ("0.png", "5.png"):
        (tmp_path / "data" / "images" / name).unlink()
    said = fast("data", "--filler", "gray", "--out", "none")
    assert said.code == 2
    assert "none of 4 images can be used" in said.err
    assert said.err.count("\n") == 1


def test_a_random_subset_and_some_classes(fast: Run) -> None:
    said = fast("scenes:40", "--filler", "gray", "--sample", 6, "--seed", 3, "--limit", 2)
    assert said.code == 0, said.err
    names = rows("image", "real")
    assert len(names) == 2
    assert names != [f"scene-{number}" for number in range(2)]
    label = scenes.CLASSES[scenes.draw(1, objects=1).labels[0]]
    said = fast("scenes:5", "--filler", "gray", "--classes", label, "--limit", 2)
    assert said.code == 0, said.err
    assert rows("target", "real") == [label, label]


def rows(column: str, filler: str) -> list[str]:
    with open("infill-out/realism.csv", newline="") as file:
        return [row[column] for row in csv.DictReader(file) if row["filler"] == filler]


def test_only_what_the_classifier_knows(fast: Run, assets: Path) -> None:
    weights = assets / "classifiers" / "mobilenet_v2.safetensors"
    asked = (
        assets / "imagenet_val",
        "--limit",
        12,
        "--filler",
        "gray",
        "--weights",
        weights,
        "--holes",
        "squares",
    )
    assert fast(*asked).code == 0
    right = {
        name for name, hit in zip(rows("image", "real"), rows("accuracy", "real"), strict=True) if hit == "1"
    }
    assert 0 < len(right) < 12
    said = fast(*asked, "--correct-only")
    assert said.code == 0, said.err
    assert set(rows("image", "real")) == right
    assert figure(told(), "accuracy", "real") == 1
    skipped = told()["skipped"]
    assert len(skipped) == 12 - len(right)
    for each in skipped:
        assert each["reason"].startswith("--correct-only: the classifier takes it for ")


def test_one_image_has_no_interval(fast: Run) -> None:
    said = fast("scenes:1", "--filler", "gray")
    assert said.code == 0, said.err
    found = told()
    assert "needs at least 2 images, got 1" in found["missing"]["frechet"]
    assert found["metrics"]["accuracy"]["figures"]["gray"]["low"] is None
    assert found["metrics"]["l1"]["best"] is None


BAD = {
    "nowhere": "DATA: no such folder: nowhere",
    "scenes:0": "scenes:N with N from 1",
    "scenes:2 --filler grey": "did you mean 'gray'",
    "scenes:2 --holes squares --side 224": "--side: expected less than the view's 224",
    "scenes:2 --grow -1": "--grow: expected 0 or more, got -1",
    "scenes:2 --hole-area 5": "--hole-area: only for --holes background",
    "scenes:2 --holes background --hole-area 100": "--hole-area: expected percent between 0 and 100",
    "scenes:1 --holes background": "--holes background: expected 2 or more images in scenes:1, got 1",
    "scenes:2 --limit 0": "--limit: expected 1 or more, got 0",
    "scenes:2 --sample 3": "--sample: expected at most the 2 examples, got 3",
    "scenes:2 --sample 0": "0 is not in the range x>=1",
    "scenes:2 --classes mon": "--classes: scenes:2 has no image of 'mon'",
    "scenes:2 --split test": "--split: only for PASCAL VOC",
    "scenes:2 --labels top1 --correct-only": "--correct-only: the classes are the classifier's own",
    "data --holes squares --targets every": "--targets every: data does not say what its images show",
    "scenes:2 --segmenter-class bird": "--segmenter: expected a name",
    "scenes:2 --segmenter-point 0.5,0.5": "--segmenter: expected a name",
    "scenes:2 --holes squares --segmenter lraspp_mobilenet_v3_large": "--segmenter",
    "scenes:2 --holes circles": "'circles' is not one of",
    "scenes:2 --set gray.colour=1": "color",
    "scenes:2 --device moon": "--device",
    "scenes:2 --holes squares --filler truth": "what is behind the squares of scenes:2 is not known",
    "data --holes boxes": "data has no boxes",
    "scenes:2 --holes boxes --side 20": "--side: only for --holes squares, got --holes boxes",
    "scenes:2 --holes boxes --grow 7": "--grow: only for --holes silhouettes, object, surroundings, back",
    "scenes:2 --filler gray:foo": "gray:foo: gray has no checkpoint; settings are gray@FIELD=VALUE",
    "scenes:2 --judge resnet0": "--judge: unknown classifier 'resnet0'",
    "data --classifier scenes --labels data": "--labels data",
}  # fmt: skip


@pytest.mark.parametrize("asked", BAD)
def test_what_cannot_be_done_is_said_in_a_line(asked: str, run: Run, offline: None, tmp_path: Path) -> None:
    if asked.startswith("data"):
        photographs(tmp_path / "data", 1)
    refused(run(*asked.split()), BAD[asked])
    assert not Path("data/realism.png").exists()


def test_results_do_not_come_among_the_images(fast: Run, tmp_path: Path) -> None:
    asked = ("--classifier", "scenes", "--filler", "gray", "--holes", "squares")
    (tmp_path / "flat").mkdir()
    photographs(tmp_path / "data", 1)
    shutil.rmtree(tmp_path / "data" / "masks")
    for path in (tmp_path / "data" / "images").iterdir():
        shutil.copy(path, tmp_path / "flat")
    for data, out in (("flat", "flat"), ("flat", "./flat"), ("data", "data"), ("data", "data/images")):
        said = fast(data, *asked, "--out", out)
        assert said.code == 2
        assert said.err == f"infill: --out: {Path(out)} has the images themselves; give another folder\n"
    assert not list(tmp_path.rglob("realism.png"))
    assert fast("data", *asked, "--out", "data/run").code == 0


FUNCTION = """
import torch
class Bright:
    crop, resize, mean, std, labels = 176, 176, (0.0,) * 3, (1.0,) * 3, ("dark", "bright")
    def __call__(self, images):
        mean = images.mean((1, 2, 3))
        return torch.stack((-mean, mean), 1) * {scale}
def make():
    return Bright()
"""


def test_a_classifier_without_layers_is_asked_and_its_code_counts(
    fast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    photographs(tmp_path / "data", 2)
    figures = []
    for scale in (1, 1, 9):
        (tmp_path / "brightness.py").write_text(FUNCTION.format(scale=scale))
        sys.modules.pop("brightness", None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()
        said = fast(
            "data", "--filler", "gray", "--holes", "squares", "--classifier", "python:brightness:make"
        )
        assert said.code == 0, said.err
        figures.append(figure(told(), "probability", "real"))
    assert figures[0] == figures[1] != figures[2]
    reason = told()["missing"]["frechet"]
    assert reason.startswith("the judge tells no features: network must call a linear or convolutional layer")
    assert "accuracy" in told()["metrics"]


def test_other_classes_of_the_same_network_are_measured_anew(fast: Run, tmp_path: Path) -> None:
    photographs(tmp_path / "data", 2)
    tiny_classifiers.save_clip(tmp_path / "clip")
    entropies = []
    for words in ("cat\ndog\n", "cat\ndog\ntree\nhouse\n"):
        Path("labels.txt").write_text(words)
        name = "clip:clip@labels=labels.txt"
        assert (
            fast("data", "--filler", "gray", "--holes", "squares", "--side", 5, "--classifier", name).code
            == 0
        )
        entropies.append(figure(told(), "entropy", "real"))
    assert entropies[0] != entropies[1]
