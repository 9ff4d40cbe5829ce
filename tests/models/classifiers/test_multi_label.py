"""Classifiers whose classes do not exclude each other: each has a probability of its own, by the sigmoid."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Run, runner, undrawn
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from attribution import MaskedScore, PredictionDifference, log_odds, logit, probability, sigmoid
from attribution.optimize.problem import in_log_odds
from infill import Gray
from infill.realism import similarity as realism
from models.classifiers import ImageClassifier, load_classifier, metadata

MODULE = '''
import torch
class Sides(torch.nn.Module):
    """The class of a side is there if that side is bright."""
    crop, resize, mean, std = 176, 176, (0.0,) * 3, (1.0,) * 3
    labels, {said} = ("left", "right"), {value}
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(2, 2)
        self.head.weight.data, self.head.bias.data = 10 * torch.eye(2), torch.tensor([-4.0, -5.0])
    def forward(self, images):
        return self.head(torch.stack([side.mean((1, 2, 3)) for side in images.split(88, 3)], 1))
make = Sides
'''
BRIGHT = 0.8
LEFT, RIGHT = (1 / (1 + math.exp(-(10 * BRIGHT - shift))) for shift in (4, 5))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Image.fromarray(np.full((176, 176, 3), round(255 * BRIGHT), np.uint8)).save("bright.png")
    undrawn(monkeypatch)
    return runner(capsys)


def module(name: str, said: str = "multi_label", value: object = True) -> str:
    Path(f"{name}.py").write_text(MODULE.format(said=said, value=value))
    return f"python:{name}:make"


def told(name: str) -> dict:
    return json.loads(Path("infill-out", name).read_text())


# What the network says.


@given(st.lists(st.floats(-200, 200, width=32), min_size=2, max_size=5), st.booleans())
def test_probabilities_are_sigmoids_or_the_softmax(row: list[float], several: bool) -> None:
    classifier = ImageClassifier(nn.Identity(), multi_label=several)
    found = classifier.probabilities(torch.tensor([row]))
    assert torch.equal(found, torch.tensor([row]).sigmoid() if several else torch.tensor([row]).softmax(1))


@pytest.mark.parametrize(("said", "expected"), [({}, False), ({"multi_label": True}, True)])
def test_networks_say_whether_an_image_may_be_of_several_classes(said: dict, expected: bool) -> None:
    stated = metadata.from_values(said, "here")
    assert bool(stated.multi_label) is expected
    texts = {key: json.dumps(value) for key, value in said.items()}
    assert metadata.from_texts(texts, Path("here.safetensors")) == stated


@pytest.mark.parametrize("value", ["yes", 1, None, "true"])
def test_what_is_neither_true_nor_false_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="here: cannot understand multi_label = "):
        metadata.from_values({"multi_label": value}, "here")


# What methods make of it.


class _Pixels(nn.Module):
    """Three classes: the logit of each is 8 times the mean of its channel, less 4."""

    def forward(self, images: Tensor) -> Tensor:
        return 8 * images.mean((2, 3)) - 4


def bright(link: object) -> MaskedScore:
    return MaskedScore(torch.full((3, 12, 12), 0.9), 1, _Pixels(), filler=Gray((0.0,) * 3), link=link)


def test_odds_of_a_sigmoid_are_its_logit() -> None:
    score = bright(sigmoid)
    followed, back = in_log_odds(score)
    assert followed.link is logit
    assert in_log_odds(bright(probability))[0].link is log_odds
    assert in_log_odds(score, wanted=False)[0].link is sigmoid
    holes = torch.rand(5, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(back(followed(holes)), score(holes))


def test_evidence_of_a_sigmoid_is_that_of_two_classes() -> None:
    score = bright(sigmoid)
    found = PredictionDifference(patch=12, stride=12, instances=1000)(score)

    def bits(p: float) -> float:
        return math.log2((p * 1000 + 1) / ((1 - p) * 1000 + 1))

    expected = bits(1 / (1 + math.exp(-(7.2 - 4)))) - bits(1 / (1 + math.exp(4)))
    torch.testing.assert_close(found, torch.full_like(found, expected), rtol=1e-4, atol=1e-4)


# What judges make of it.


@given(st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=4))
def test_entropies_of_several_classes_add_up(row: list[float]) -> None:
    found = realism.entropy(torch.tensor([row]), multi_label=True)
    alone = sum(realism.entropy(torch.tensor([[value, 0.0]])).item() for value in row)
    assert found.item() == pytest.approx(alone, abs=1e-4)


def test_certain_classes_have_no_entropy() -> None:
    logits = torch.tensor([[math.inf, -math.inf, 300.0]])
    assert realism.entropy(logits, multi_label=True).item() == 0
    assert realism.entropy(torch.zeros(1, 3), multi_label=True).item() == pytest.approx(3 * math.log(2))
    target = torch.tensor([1])
    assert realism.target_probability(logits, target, multi_label=True).item() == 0
    two = torch.tensor([[3.0, 3.0]])
    assert realism.target_probability(two, target, multi_label=True).item() == pytest.approx(0.9526, abs=1e-4)
    assert realism.target_probability(two, target).item() == 0.5


# The commands.


@pytest.mark.parametrize("way", ["module", "flag"])
def test_the_explanation_tells_sigmoids(way: str, run: Run) -> None:
    name = module(f"sides_{way}", *([] if way == "module" else ["unsaid"]))
    flag = ["--multi-label"] if way == "flag" else []
    said = run("bright.png", "--classifier", name, *flag, "--method", "sp", "--filler", "gray",
               "--target", "right", "--precision", "float32",
               "--set", "sp.patch=44", "--set", "sp.stride=44")  # fmt: skip
    assert said.code == 0, said.err
    found = told("explain.json")
    assert found["classifier"]["multi_label"] is True
    assert found["target"]["probability"] == pytest.approx(RIGHT, abs=1e-3)
    assert [each["name"] for each in found["top"]] == ["left", "right"]
    assert found["top"][0]["probability"] == pytest.approx(LEFT, abs=1e-3)
    # What the left side shows is no evidence for the right one, and none against it either.
    heatmap = np.load("infill-out/heatmaps.npz")["sp/gray"]
    # Patches are centered 22 pixels from the edges and 44 from each other.
    assert abs(heatmap[:, :66]).max() < 1e-6 < heatmap[:, 110:].min()


def test_classes_that_exclude_each_other_share_one(run: Run) -> None:
    assert run("bright.png", "--classifier", module("sides_one", "unsaid"), "--method", "sp", "--filler",
               "gray", "--precision", "float32", "--set", "sp.stride=88").code == 0  # fmt: skip
    found = told("explain.json")
    assert found["classifier"]["multi_label"] is False
    assert sum(each["probability"] for each in found["top"]) == pytest.approx(1)


@pytest.mark.parametrize("method", ["mp2", "mp2-descent"])
def test_the_counterfactual_takes_one_class_and_leaves_the_other(method: str, run: Run) -> None:
    name = module(f"sides_{method.replace('-', '_')}")
    said = run("bright.png", "--classifier", name, "--method", method, "--filler", "gray",
               "--target", "right", "--set", f"{method}.cells=8", command="counterfactual")  # fmt: skip
    assert said.code == 0, said.err
    found = told("counterfactual.json")
    assert found["chance"] == 0.5
    assert found["left"] <= 0.5, said.out
    (left,) = (each for each in found["after"]["top"] if each["name"] == "left")
    assert left["probability"] > 0.9
    hole = np.asarray(Image.open("infill-out/counterfactual-hole.png").convert("L")) > 0
    assert hole[:, 88:].sum() > 3 * hole[:, :88].sum()


def test_realism_asks_for_each_class_by_itself(run: Run) -> None:
    for folder in ("photos/images", "photos/masks"):
        Path(folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(190, 230, (176, 176, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/images/{number}.png")
        region = np.zeros((176, 176), np.uint8)
        region[20:150, 100:170] = 255
        Image.fromarray(region).save(f"photos/masks/{number}.png")
    said = run("photos", "--classifier", module("sides_realism"), "--filler", "blur", "--filler", "gray",
               "--labels", "top1", "--precision", "float32", command="realism")  # fmt: skip
    assert said.code == 0, said.err
    found = told("realism.json")
    assert found["missing"]["calibration"] == "an image may be of several of the judge's classes"
    assert "accuracy: how often" in said.out
    figures = {name: metric["figures"]["real"]["value"] for name, metric in found["metrics"].items()}
    assert figures["accuracy"] == 1
    assert figures["probability"] == pytest.approx(LEFT, abs=0.02)
    assert figures["entropy"] > 0.05


def test_names_may_be_called_classes_in_safetensors_files(assets: Path) -> None:
    here = Path("here.safetensors")
    assert metadata.from_texts({"classes": '["cat", "dog"]'}, here).labels == ("cat", "dog")
    assert metadata.from_texts({"classes": "2"}, here).labels is None, "a number of classes is no name"
    both = {"classes": '["cat", "dog"]', "labels": '["Katze", "Hund"]'}
    assert metadata.from_texts(both, here).labels == ("Katze", "Hund")
    file = assets / "classifiers" / "mobilenet_v2_voc5.safetensors"
    assert load_classifier(None, file).labels == ("bus", "car", "cat", "person", "train")
