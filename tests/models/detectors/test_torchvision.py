"""Torchvision's detectors, and detectors that users bring along."""

import hashlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.detectors import load_detector
from models.detectors import torchvision as architectures
from models.detectors.function import FunctionDetector
from models.detectors.torchvision import _OLD, _OLD_HEADS, _is_published
from models.weights.checkpoint import Checkpoint, renamed

NAME = "ssdlite320_mobilenet_v3_large"
LABELS = ["__background__", "cat", "dog"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, which find something everywhere."""
    import torchvision

    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torchvision.models.get_model(NAME, weights=None, weights_backbone=None, num_classes=3)
    save_file(network.state_dict(), path, {"labels": json.dumps(LABELS), "arch": f"torchvision.{NAME}"})
    return path


def test_it_finds_what_torchvision_finds(weights: Path, smooth_image) -> None:
    detector = load_detector(NAME, weights)
    image = smooth_image(80, 120)
    assert detector.labels == tuple(LABELS)
    assert not detector.training
    boxes, probabilities, objectness = detector(image)[0]
    with torch.no_grad():
        theirs = detector.network([image[0]])[0]
    assert len(boxes) > 0
    torch.testing.assert_close(boxes, theirs["boxes"])
    torch.testing.assert_close(objectness, theirs["scores"])
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(boxes)))
    chosen = probabilities.gather(1, theirs["labels"][:, None])[:, 0]
    torch.testing.assert_close(chosen, theirs["scores"])
    assert ((boxes >= 0) & (boxes <= torch.tensor([120, 80, 120, 80]))).all()


@pytest.mark.parametrize(
    ("file", "epsilon"), [("fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", 0.0), ("mine.pth", 1e-5)]
)
def test_published_weights_are_known_by_their_file_wherever_it_lies(
    file: str, epsilon: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "fasterrcnn_resnet50_fpn"
    monkeypatch.setattr(architectures, "read_checkpoint", lambda path: Checkpoint(path, {}))
    monkeypatch.setattr(architectures, "load_state", lambda *_: None)
    detector = load_detector(name, tmp_path / file)
    assert {each.eps for each in detector.modules() if isinstance(each, nn.BatchNorm2d)} == {epsilon}


def test_published_weights_are_known_by_their_content(tmp_path: Path) -> None:
    content = b"weights"
    url = f"https://where.it/is/net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    for name, written, published in (("copy.pth", content, True), ("copy.pth", b"mine", False)):
        (tmp_path / name).write_bytes(written)
        assert _is_published(tmp_path / name, url) is published
    assert _is_published(tmp_path / "not-here" / url.rpartition("/")[2], url)


def test_weights_that_do_not_fit_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is for ssdlite320_mobilenet_v3_large, not for fasterrcnn_resnet50"):
        load_detector("fasterrcnn_resnet50_fpn", weights)
    for text, message in (("[1", "cannot understand labels"), ('["one"]', "a background and classes")):
        save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors", {"labels": text})
        with pytest.raises(ValueError, match=message):
            load_detector(NAME, tmp_path / "x.safetensors")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(
        ValueError, match="a box needs a detector: hf:FOLDER, python:MODULE:FUNCTION or one of"
    ):
        load_detector("mobilenet_v2")
    with pytest.raises(ValueError, match="did you mean 'fasterrcnn_resnet50_fpn'"):
        load_detector("fasterrcnn_resnet50")


class Finds:
    labels = ("cat", "dog")

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __call__(self, images: Tensor) -> object:
        return self.answer


GOOD = (torch.zeros(2, 4), torch.zeros(2, 2), torch.zeros(2))


def test_a_function_brings_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("own_detector")
    module.make = lambda: Finds([GOOD])
    monkeypatch.setitem(sys.modules, "own_detector", module)
    detector = load_detector("python:own_detector:make")
    assert detector.labels == ("cat", "dog")
    assert detector(torch.zeros(1, 3, 4, 4)) == [GOOD]


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (3, "int"),
        ([], "0 of nothing"),
        ([GOOD[:2]], r"1 of \[\(2, 4\), \(2, 2\)\]"),
        ([(GOOD[0], GOOD[1][:, :1], GOOD[2])], r"1 of \[\(2, 4\), \(2, 1\), \(2,\)\]"),
        ([7], "1 of int"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_other_answers_are_refused(answer: object, got: str) -> None:
    with pytest.raises(
        ValueError, match=rf"detector: expected for each image .* of shapes m 4, m 2, m, got {got}"
    ):
        FunctionDetector(Finds(answer))(torch.zeros(1, 3, 4, 4))


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_function_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="detector must return a callable with labels, got function"):
        FunctionDetector(lambda images: [GOOD])


@pytest.mark.parametrize(
    "name", ["fasterrcnn_mobilenet_v3_large_320_fpn", "maskrcnn_resnet50_fpn", "retinanet_resnet50_fpn"]
)
def test_published_detectors_have_older_names(name: str, tmp_path: Path) -> None:
    """Torchvision itself reads them, by hooks that rename."""
    import torchvision

    rules = (
        (r"((?:inner|layer)_blocks\.\d+)\.0\.", r"\1."),
        (r"rpn\.head\.conv\.0\.0\.", "rpn.head.conv."),
        (
            r"(classification|regression)_head\.conv\.(\d)\.0\.",
            lambda it: f"{it[1]}_head.conv.{2 * int(it[2])}.",
        ),
        (r"mask_head\.(\d)\.0\.", lambda it: f"mask_head.mask_fcn{int(it[1]) + 1}."),
    )
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    today, old = network.state_dict(), {}
    for key, value in today.items():
        for pattern, before in rules:
            key = re.sub(pattern, before, key)
        old[key] = value
    assert len(old.keys() - today.keys()) >= 10
    heads = _OLD_HEADS if name.startswith("retinanet") else {}
    for state in (old, dict(today)):
        assert renamed(Checkpoint(tmp_path, state), {**_OLD, **heads}).state.keys() == today.keys()
