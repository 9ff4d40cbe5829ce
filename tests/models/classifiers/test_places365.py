"""Places365's network: as its makers publish it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_classifiers import CLOSE, one_line
from torch import Tensor, nn

from models.classifiers import load_classifier
from models.weights import catalog
from studio.registry.build import build_classifier


@pytest.fixture(scope="module")
def places() -> nn.Module:
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network: nn.Module = torchvision.models.resnet50(num_classes=365)
    return network.eval()


@pytest.fixture
def places_file(places: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in infill's own folder that is named and built like the published one."""
    monkeypatch.setenv("INFILL_HOME", str(tmp_path))
    path = tmp_path / catalog.CATALOG["places365"].file
    assert path.name == "resnet50_places365.pth.tar"
    state = {f"module.{key}": value for key, value in places.state_dict().items()}
    content = {"epoch": 90, "arch": "resnet50", "state_dict": state, "best_prec1": torch.tensor([54.6])}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def test_places365_reads_the_published_file(
    places: nn.Module, places_file: Path, photos: list[Tensor]
) -> None:
    from torchvision.transforms._presets import ImageClassification

    classifier = load_classifier("places365")
    assert classifier.labels == tuple(f"class {index}" for index in range(365))
    seen = ImageClassification(crop_size=224)(photos[0])
    torch.testing.assert_close(classifier(photos[0]), places(seen), **CLOSE)
    lines = [
        f"/a/airfield {0}",
        "/a/apartment_building/outdoor 1",
        *(f"/p/place{i} {i}" for i in range(2, 365)),
    ]
    beside = places_file.with_name("categories_places365.txt")
    beside.write_text("\n".join(reversed(lines)))
    labels = build_classifier("places365", places_file).labels
    assert labels[:3] == ("airfield", "apartment_building/outdoor", "place2")
    for wrong in (lines[1:], [*lines, lines[0]], [*lines[1:], "airfield"]):
        beside.write_text("\n".join(wrong))
        one_line("places365", "expected 365 lines such as '/a/airfield 0'", places_file)


def test_places365_says_where_its_file_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFILL_HOME", str(tmp_path))
    message = one_line("places365", "weights: resnet50_places365.pth.tar is not here")
    assert "infill weights fetch places365" in message
    assert str(tmp_path / "resnet50_places365.pth.tar") in message
    assert message.endswith("; or pass --weights FILE")
    save_file({"fc.weight": torch.zeros(3, 3)}, tmp_path / "w.safetensors")
    one_line("places365", "does not fit Places365's resnet50", tmp_path / "w.safetensors")
