"""What can be explained beside classes: boxes, regions, texts, likeness, outputs."""

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from command import Run, refused, runner, saved_photograph, undrawn
from PIL import Image
from tiny_classifiers import save_clip
from tiny_detectors import saved_detector
from torch import Tensor, nn

from models.detectors.torchvision import TorchvisionDetector
from models.scenes.draw import CLASSES
from studio.registry import places

FEW = ("--method", "sp", "--filler", "gray", "--set", "sp.stride=8", "--set", "sp.patch=16")
OWN = ("--classifier", "python:own_detector:make@side=64")


class Reddest:
    """Finds a ball around the reddest place of an image, as surely as it is red; nothing where nothing is."""

    labels = CLASSES

    def __call__(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        red = (images[:, 0] - images[:, 1:].amax(1)).clamp_min(0)
        classes = torch.nn.functional.one_hot(torch.tensor([CLASSES.index("ball")]), len(CLASSES)).float()
        found = []
        for one in red:
            row, column = divmod(int(one.argmax()), one.shape[1])
            sure = 2 * one.max()
            box = torch.tensor([[column - 6.0, row - 6.0, column + 6.0, row + 6.0]]).to(one)
            nothing = box[:0], classes[:0], box[:0, 0]
            found.append((box, classes, sure.clamp(max=1)[None]) if sure > 0.1 else nothing)
        return found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``infill explain`` in an empty folder, where a detector can be imported."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("own_detector")
    module.make, module.__spec__ = Reddest, ModuleSpec("own_detector", None)
    monkeypatch.setitem(sys.modules, "own_detector", module)
    undrawn(monkeypatch)
    return runner(capsys)


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """A wide gray photograph with a red square in it, right of the middle."""
    pixels = np.full((48, 96, 3), 120, np.uint8)
    pixels[20:28, 60:68] = (220, 30, 30)
    path = tmp_path / "red.png"
    Image.fromarray(pixels).save(path)
    return path


def told(file: str = "explain.json") -> dict:
    return json.loads(Path("infill-out", file).read_text("utf-8"))


def heatmap(name: str = "sp/gray") -> np.ndarray:
    with np.load("infill-out/heatmaps.npz") as maps:
        return maps[name]


def test_a_detectors_own_box_is_explained(run: Run, red: Path) -> None:
    said = run(red, *OWN, "--target", "box:ball", *FEW)
    assert said.code == 0, said.err
    found = told()
    assert found["target"]["kind"] == "box"
    assert found["score"]["kind"] == "value"
    assert found["found"][0]["name"] == "ball"
    left, top, right, bottom = found["target"]["box"]
    assert (right - left) * (bottom - top) == pytest.approx((12 * 96 / 64) ** 2, rel=1e-3)
    assert left < 64 < right
    assert top < 24 < bottom
    assert found["score"]["clean"] == pytest.approx(found["found"][0]["value"], abs=1e-4)
    assert "box of ball, similarity = " in said.out
    evidence = heatmap()
    assert evidence.shape == (48, 96)
    row, column = np.unravel_index(evidence.argmax(), evidence.shape)
    assert abs(row - 24) < 14
    assert abs(column - 64) < 14


def test_a_box_that_somebody_drew_is_compared_with_what_is_found(run: Run, red: Path) -> None:
    """A box of the photograph's pixels; half of the detection is worth half of its similarity."""
    assert run(red, *OWN, "--target", "box:ball", *FEW).code == 0
    whole = told()
    left, top, right, bottom = whole["target"]["box"]
    half = ",".join(map(str, (left, top, (left + right) / 2, bottom)))
    assert run(red, *OWN, "--target", f"box:ball@{half}", *FEW).code == 0
    assert told()["score"]["clean"] == pytest.approx(whole["score"]["clean"] / 2, rel=1e-3)


def test_a_counterfactual_has_no_box(run: Run, red: Path) -> None:
    given = ("--filler", "gray", "--set", "mp2-descent.cells=8", "--out", "infill-out")
    said = run(red, *OWN, "--target", "box:ball", *given, command="counterfactual")
    assert said.code == 0, said.err
    found = told("counterfactual.json")
    assert found["chance"] == pytest.approx(found["clean"] / 2)
    assert found["reached"] is True
    assert "after" not in found
    assert said.out.splitlines()[0].startswith(f"box of ball: similarity {found['clean']:.3f} -> ")


def test_transformers_detectors_and_optimizing_methods(run: Run, red: Path, tmp_path: Path) -> None:
    folder = saved_detector("detr", tmp_path / "detr")
    given = ("--classifier", f"hf:{folder}@side=64", "--target", "box:cat@10,10,80,40")
    quick = ("--method", "extremal", "--filler", "gray", "--set", "extremal.steps=2")
    said = run(red, *given, *FEW[:2], *quick, *FEW[4:])
    assert said.code == 0, said.err
    found = told()
    assert 0 < found["score"]["clean"] <= 1
    (search,) = (each for each in found["runs"] if each["method"] == "extremal")
    assert search["chance"] == pytest.approx(search["clean"] / 2)


def test_a_region_of_a_segmenter(run: Run, red: Path, tmp_path: Path) -> None:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    config = transformers.SegformerConfig(
        hidden_sizes=(8, 16, 24, 32), depths=(1, 1, 1, 1), num_attention_heads=(1, 2, 3, 4),
        decoder_hidden_size=16, initializer_range=0.3, id2label={0: "nothing", 1: "cat", 2: "dog"},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.SegformerForSemanticSegmentation(config).save_pretrained(tmp_path / "seg")
    processor = transformers.SegformerImageProcessor(size={"height": 32, "width": 64})
    processor.save_pretrained(tmp_path / "seg")
    transformers.utils.logging.enable_progress_bar()
    model = ("--classifier", f"hf:{tmp_path / 'seg'}@side=64")
    said = run(red, *model, "--target", "region:cat@40,10,90,40", *FEW)
    assert said.code == 0, said.err
    found = told()
    assert found["score"]["kind"] == "log-odds"
    assert found["target"]["box"] == [40, 10, 90, 40]
    shares = {each["name"]: each["value"] for each in found["found"]}
    assert sum(shares.values()) == pytest.approx(1)
    for label in {"nothing", "cat", "dog"} - set(shares):
        said = run(red, *model, "--target", f"region:{label}", "--out", "x", *FEW)
        assert f"the segmenter sees no '{label}'; give a place" in said.err


def test_texts_of_clip(run: Run, red: Path, tmp_path: Path) -> None:
    given = ("--classifier", f"clip:{save_clip(tmp_path / 'clip')}", "--target", 'text:"a red dog"')
    few = (*FEW[:4], "--set", "sp.stride=4", "--set", "sp.patch=4")
    said = run(red, *given, *few)
    assert said.code == 0, said.err
    found = told()
    assert -1 <= found["score"]["clean"] <= 1
    assert found["target"]["name"] == "likeness to 'a red dog'"
    assert run(red, *given, "--against", "a cat", *few).code == 0
    compared = told()
    assert (compared["target"]["name"], compared["against"]["name"]) == ("a red dog", "a cat")
    assert compared["score"]["kind"] == "log-odds"


def test_likeness_and_outputs_of_any_classifier(run: Run, red: Path, tmp_path: Path) -> None:
    other, scenes = saved_photograph(tmp_path), ("--classifier", "scenes")
    few = (*FEW[:4], "--set", "sp.stride=64", "--set", "sp.patch=64")
    assert run(other, *scenes, "--target", f"like:{other}", *few).code == 0
    assert told()["score"]["clean"] == pytest.approx(1, abs=1e-2)
    said = run(other, *scenes, "--target", "output:3", *few)
    assert said.code == 0, said.err
    assert f"output {CLASSES[3]}, value = " in said.out


def test_boxes_are_judged_on_a_folder(run: Run, red: Path, tmp_path: Path) -> None:
    """Where nothing is found, the image is told; the maximum is where the box is annotated."""
    images = tmp_path / "data" / "images"
    images.mkdir(parents=True)
    red.rename(images / "red.png")
    Image.fromarray(np.full((48, 96, 3), 120, np.uint8)).save(images / "empty.png")
    rows = ["file,label,xmin,ymin,xmax,ymax", "empty.png,0,0,0,9,9", "red.png,0,52,12,76,36"]
    (tmp_path / "data" / "boxes.csv").write_text("\n".join(rows) + "\n")
    metrics = ("--metric", "pointing", "--metric", "deletion", "--no-baselines", "--strips", 0)
    said = run("data", *OWN, "--target", "box:ball", *FEW, *metrics, command="evaluate")
    assert said.code == 0, said.err
    found = told("report.json")["runs"][0]
    assert [each["image"] for each in found["skipped"]] == ["empty.png"]
    assert "finds no 'ball'" in found["skipped"][0]["reason"]
    figures = {each["title"]: each["rows"] for each in found["tables"][0]["figures"]}
    pointing = [rows["sp / gray"]["value"] for title, rows in figures.items() if "pointing" in title]
    assert pointing
    assert set(pointing) == {1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*OWN, "--target", "box:ball@1,1,200,40"), "a box inside the image of 96 x 48 pixels, got 1,1,"),
        ((*OWN, "--target", "box:ball@10,10,5,40"), "expected LABEL@x0,y0,x1,y1 with 0 <= x0 < x1"),
        ((*OWN, "--target", "box:ball@a,b"), "expected LABEL@x0,y0,x1,y1"),
        ((*OWN, "--target", "box:heart"), "finds no 'heart' (the surest is 0.00); give a place: box:heart"),
        ((*OWN, "--target", "box:heart@10,10,50,40"), "the detector finds nothing like a 'heart'"),
        ((*OWN, "--target", "box:bal"), "has no class 'bal'; did you mean 'ball'?"),
        ((*OWN, "--target", "box:"), "--target: expected box:LABEL or box:LABEL@x0,y0,x1,y1, got 'box:'"),
        ((*OWN, "--target", "box:ball", "--against", "heart"), "--against: compares classes or texts, and"),
        ((*OWN[:1], OWN[1].replace("64", "6"), "--target", "box:ball"), "expected a side from 32 to 4096"),
        (("--classifier", "scenes", "--target", "box:ball"), "a box needs a detector: hf:FOLDER"),
        (("--classifier", "scenes", "--target", "region:ball"), "segmenter: expected hf:FOLDER"),
        (("--classifier", "scenes", "--target", "text:a ball"), "a text needs a CLIP model"),
        (("--classifier", "scenes", "--target", "like:none.png"), "--target: like: no such file: none.png"),
        (("--classifier", "scenes", "--target", "output:99"), "--target: expected 0 to 11, got 99"),
        (("--classifier", "scenes", "--target", "output:3", "--method", "pda"), "pda: link must be prob"),
        ((*OWN, "--target", "box:ball", "--runtime", "openvino"), "a box or a region is asked of another"),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_line(words: tuple[str, ...], message: str, run: Run, red: Path) -> None:
    method = () if "pda" in words else ("--method", "sp")
    refused(run(red, *words, *method, "--filler", "gray"), message)


def test_a_detector_is_as_sure_as_its_own_score_says() -> None:
    """Torchvision's says its score twice; what a function says of a class and of a thing is multiplied."""
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [4.0, 4.0, 12.0, 12.0]])
    found = {"boxes": boxes, "labels": torch.tensor([2, 1]), "scores": torch.tensor([0.65, 0.45])}
    detector = TorchvisionDetector(nn.Identity(), ("__background__", "cat", "dog"))
    answer = detector._shared(found)
    sure = places._sure(detector, answer)
    assert places._surest(answer, sure[:, 2], "dog")[0].tolist() == boxes[0].tolist()
    with pytest.raises(ValueError, match=r"finds no 'cat' \(the surest is 0\.45\)"):
        places._surest(answer, sure[:, 1], "cat")
    expected = [("dog", pytest.approx(0.65)), ("cat", pytest.approx(0.45))]
    assert places._best(detector, answer) == expected
    apart = SimpleNamespace(joint=False, labels=detector.labels)
    assert places._sure(apart, answer)[0, 2] == pytest.approx(0.65**2)  # type: ignore[arg-type]


def test_what_is_asked_is_where_the_network_is() -> None:
    network = nn.Linear(1, 1, device="meta")  # stands for a GPU
    asked = places._squashing(network, 64, "it")
    assert {each.device.type for each in (*asked.parameters(), *asked.buffers())} == {"meta"}
    assert places._squashing(nn.Identity(), 64, "it").mean.device.type == "cpu"


def test_a_detector_that_finds_nothing(run: Run, tmp_path: Path) -> None:
    Image.fromarray(np.full((48, 96, 3), 120, np.uint8)).save(tmp_path / "gray.png")
    refused(run("gray.png", *OWN, "--target", "box:ball", *FEW), "the detector finds no 'ball'")
    refused(run("gray.png", *OWN, "--target", "box:ball@1,1,9,9", *FEW), "finds nothing like a 'ball'")
