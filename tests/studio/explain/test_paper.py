"""``--paper``: what it chooses, and what is said to depart from the papers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Run, refused, runner, saved_photograph, undrawn
from torch import nn

from models.classifiers import ImageClassifier
from models.preprocessing import Preprocessing
from studio.explain.paper import as_published, departures, fillers_of, squash
from studio.explain.request import FILLERS, ExplainRequest
from studio.registry.build import build_method
from studio.registry.papers import PUBLISHED
from studio.registry.parse import parse_selection
from studio.registry.tables import ALL_FILLERS, GRADIENT, METHODS
from studio.registry.variants import split_fillers

PHOTO = (Path("photo.jpg"),)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights are here but those that ship."""
    monkeypatch.setenv("INFILL_HOME", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weights"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    undrawn(monkeypatch)
    return runner(capsys)


def asked(*methods: str, **changes: object) -> ExplainRequest:
    return ExplainRequest(images=PHOTO, methods=methods, paper=True, **changes)  # type: ignore[arg-type]


def told(
    request: ExplainRequest, classifier: ImageClassifier, mode: str = "float32", room: int = 32
) -> dict[str, list[str]]:
    selection = parse_selection(request.fillers, request.settings, request.methods)
    methods = {name: build_method(name, selection.settings) for name in request.methods}
    fillers = dict.fromkeys(methods, selection.fillers)
    return departures(request, methods, fillers, selection.settings, classifier, mode, room)


def squashing(*methods: str) -> ImageClassifier:
    classifier = ImageClassifier(nn.Flatten(), Preprocessing(), labels=("a", "b"))
    squash(classifier, methods)
    return classifier


def test_every_method_has_its_paper_and_papers_name_what_there_is() -> None:
    assert set(PUBLISHED) >= set(METHODS) - {"fido-cells"} - set(GRADIENT)
    for name, published in PUBLISHED.items():
        assert name in METHODS
        assert set(split_fillers(published.fillers)[0]) <= set(ALL_FILLERS)
        fields = METHODS[name].fields()
        assert all(set(when) <= set(fields) for when in published.departures.values())


def test_the_paper_chooses_what_the_user_leaves_open() -> None:
    request = as_published(asked("sp", "mp2", "dssr"))
    assert request.fillers == ("gray", "inpaint", "blur@where=photograph", "noise-once")
    assert (request.classifier, request.precision) == ("resnet50@v1", "float32")
    assert fillers_of(asked("sp", "mp2", "dssr")) == {
        "sp": ("gray", "inpaint"),
        "mp2": ("blur", "inpaint"),
        "dssr": ("noise-once",),
    }
    assert as_published(asked("dssr")).classifier == "resnet34@v1"


def test_what_the_user_says_stays() -> None:
    said = asked("sp", "dssr", fillers=("mean",), classifier="vgg16", precision="bfloat16")
    assert as_published(said) == said
    assert fillers_of(said) == {}
    weights = Path("w.safetensors")
    assert as_published(asked("sp", weights=weights)).classifier is None
    assert as_published(ExplainRequest(methods=("sp",), paper=True)).classifier is None, "a scene"
    assert as_published(asked("fido-cells")).fillers == FILLERS


def test_deepfill_takes_its_place_where_its_weights_are(folder: Path) -> None:
    assert as_published(asked("fido")).fillers == ("inpaint",)
    folder.mkdir()
    (folder / "deepfill-v1.safetensors").touch()
    request = as_published(asked("fido"))
    assert request.fillers == (f"deepfill-v1:{folder / 'deepfill-v1.safetensors'}",)
    assert fillers_of(asked("fido")) == {"fido": ("deepfill-v1",)}
    assert not any("DeepFill" in text for text in told(request, squashing("fido"))["fido"])


def test_images_are_squashed_for_the_papers_that_do(scene_like: torch.Tensor) -> None:
    assert squashing("sp", "dssr").resize == (256, 256)
    assert squashing("dssr", "rise").resize == 256
    shown = squashing("sp").view(scene_like)
    resized = torch.nn.functional.interpolate(
        scene_like[None], size=(256, 256), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(shown, resized[0, :, 16:240, 16:240])


@pytest.fixture
def scene_like() -> torch.Tensor:
    return torch.rand(3, 300, 500, generator=torch.Generator().manual_seed(0))


def test_as_published_there_is_nothing_to_say() -> None:
    assert told(as_published(asked("mp")), squashing("mp")) == {"mp": []}
    assert told(as_published(asked("sdr")), squashing("sdr")) == {"sdr": []}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"settings": ("mp.steps=20",)}, "steps 20 (paper: 300)"),
        ({"fillers": ("gray",)}, "filler gray (paper: blur)"),
        ({"settings": ("blur.sigma=3",)}, "blur.sigma=3 is set"),
        ({"fillers": ("blur@sigma=3,where=photograph",)}, "blur.sigma=3 is set"),
        ({"fillers": ("blur",)}, "blur.where is not set (paper: photograph)"),
        ({"fillers": ("blur@where=view",)}, "blur.where=view is set"),
        ({"classifier": "vgg16"}, "classifier vgg16 (paper: resnet50@v1, places365)"),
        ({"classifier": "resnet50"}, "classifier resnet50 (paper: resnet50@v1, places365)"),
        ({"weights": Path("w.pt")}, "classifier with the weights w.pt (paper: resnet50@v1, places365)"),
        ({"samples": 3}, "3 fills a hole (paper: 1)"),
    ],
)
def test_whatever_departs_is_said(changes: dict[str, object], text: str) -> None:
    assert told(as_published(asked("mp", **changes)), squashing("mp")) == {"mp": [text]}


def test_the_view_and_the_precision_are_said() -> None:
    request = as_published(asked("mp"))
    texts = told(request, squashing("rise"), "bfloat16, 3 batch norms folded")["mp"]
    assert texts == [
        "images keep their shape (paper: squashed to a square before the crop)",
        "computed in bfloat16, 3 batch norms folded (paper: float32)",
    ]


def test_a_stand_in_is_called_one() -> None:
    (text,) = (each for each in told(as_published(asked("sp")), squashing("sp"))["sp"])
    assert text.startswith("inpaint is the network that ships (paper: DeepFill v1, whose weights would be ")


def test_the_command_runs_each_method_with_its_own_fillers_and_tells(run: Run) -> None:
    small = ("--set", "sp.patch=112", "--set", "sp.stride=112", "--set", "dssr.steps=2")
    said = run("--scene", 3, "--method", "sp", "--method", "dssr", *small, "--paper")
    assert said.code == 0, said.err
    report = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    assert [(each["method"], each["filler"]) for each in report["runs"]] == [
        ("sp", "gray"),
        ("sp", "inpaint"),
        ("dssr", "noise-once"),
    ]
    assert report["settings"]["precision"] == "float32"
    lines = said.out.splitlines()
    start = lines.index("sp (Agarwal & Nguyen 2020): departs from the paper:")
    assert lines[start + 1] == "  - patch 112 (paper: 29)"
    assert "dssr (Gu 2020): departs from the paper:" in lines
    spoken = [line.removeprefix("  - ") for line in lines if line.startswith("  - ")]
    assert spoken == [text for texts in report["departures"].values() for text in texts]


def test_a_photograph_is_explained_for_the_papers_classifier(run: Run, tmp_path: Path) -> None:
    photograph = saved_photograph(tmp_path)
    refused(run(photograph, "--paper"), "resnet50-0676ba61.pth")
    refused(run(photograph, "--paper", command="counterfactual"), "resnet50-0676ba61.pth")


def test_a_counterfactual_as_published(run: Run) -> None:
    said = run("--scene", 3, "--set", "mp2.cells=7", "--paper", command="counterfactual")
    assert said.code == 0, said.err
    assert "mp2 (Agarwal & Nguyen 2020): departs from the paper:" in said.out
    report = json.loads(Path("infill-out/counterfactual.json").read_text("utf-8"))
    assert report["method"]["name"] == "mp2"
    assert (report["method"]["rank"], report["method"]["prune"], report["method"]["blend"]) == (
        "norm",
        False,
        0,
    )
    assert report["filler"]["name"] == "inpaint"
    assert "cells 7 (paper: 28)" in report["departures"]["mp2"]


def test_the_photograph_is_blurred_not_its_view(run: Run, tmp_path: Path) -> None:
    """Of a photograph twice as large, the blur is half as wide in the view."""
    small = ("--method", "mp", "--set", "mp.steps=2", "--classifier", "scenes", "--out")
    photograph = saved_photograph(tmp_path)
    for name, more in (("view", ("--filler", "blur")), ("paper", ("--paper",))):
        said = run(photograph, *small, name, *more)
        assert said.code == 0, said.err
    told_of = json.loads(Path("paper/explain.json").read_text("utf-8"))["fillers"]["blur"]
    assert (told_of["class"], told_of["sigma"], told_of["where"]) == ("Blur", 10, "photograph")
    maps = [np.load(Path(name) / "heatmaps.npz")["mp/blur"] for name in ("view", "paper")]
    assert np.abs(maps[0] - maps[1]).max() > 1e-4


def test_a_photograph_without_a_margin_for_the_jitter_is_told() -> None:
    request = as_published(asked("mp"))
    text = "the photograph has no margin of 4 pixels for the jitter: its view is enlarged instead"
    assert told(request, squashing("mp"), room=3) == {"mp": [text]}
    assert told(as_published(asked("sdr")), squashing("sdr"), room=0) == {"sdr": []}


def test_papers_may_set_a_filler_otherwise() -> None:
    request = as_published(asked("mp", "gfi"))
    assert request.fillers == ("blur@where=photograph", "blur@sigma=11")
    its = fillers_of(asked("mp", "gfi"))
    assert its == {"mp": ("blur@where=photograph",), "gfi": ("blur@sigma=11",)}
    settings = parse_selection(request.fillers, (), request.methods).settings
    methods = {name: build_method(name, settings) for name in request.methods}
    found = departures(request, methods, its, settings, squashing("mp"), "float32")
    assert not [line for lines in found.values() for line in lines if "blur" in line]
    assert as_published(asked("mp", "gfi", fillers=("gray",))).fillers == ("gray",)
    assert as_published(asked("gfi", "gfi-inversion")).fillers == ("blur@sigma=11",)
