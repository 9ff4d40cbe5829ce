"""Torchvision's segmenters: which weights they take, and what they make of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.segmenters import load_segmenter
from models.segmenters import torchvision as architectures
from models.weights import catalog

LRASPP = "lraspp_mobilenet_v3_large"


def torchvision_network(name: str, classes: int, **options: Any) -> nn.Module:
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network: nn.Module = torchvision.models.get_model(
            name, weights=None, weights_backbone=None, num_classes=classes, **options
        )
    return network.eval()


@pytest.fixture(scope="module")
def lraspp() -> nn.Module:
    """A small torchvision network with random weights and 5 classes, which differ more than by chance."""
    network = torchvision_network(LRASPP, 5)
    network.classifier.low_classifier.weight.data *= 100
    network.classifier.high_classifier.weight.data *= 100
    return network


def test_a_network_gives_torchvisions_logits(
    lraspp: nn.Module, tmp_path: Path, smooth_image: Callable[..., Tensor]
) -> None:
    from torchvision.transforms._presets import SemanticSegmentation

    torch.save(lraspp.state_dict(), tmp_path / "w.pth")
    segmenter = load_segmenter(LRASPP, tmp_path / "w.pth")
    images = torch.cat([smooth_image(50, 54, seed) for seed in range(2)])
    with torch.no_grad():
        expected = lraspp(SemanticSegmentation(resize_size=520)(images))["out"]
    expected = nn.functional.interpolate(expected, (50, 54), mode="bilinear")
    assert expected.std((2, 3)).min() > 0.01  # the image matters
    torch.testing.assert_close(segmenter.logits(images), expected, rtol=0, atol=1e-5)
    assert not segmenter.training
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())


@pytest.mark.parametrize("form", ["plain", "nested", "safetensors"])
def test_weights_of_every_form(form: str, lraspp: nn.Module, tmp_path: Path) -> None:
    state, path = lraspp.state_dict(), tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        said = {"labels": '["road", "Background", "cat", "dog", "car"]', "arch": f"torchvision.{LRASPP}"}
        save_file(state, path, said)
    else:
        torch.save({"model": state} if form == "nested" else state, path)
    before = torch.get_rng_state()
    segmenter = load_segmenter(LRASPP, path)
    assert torch.equal(torch.get_rng_state(), before)
    loaded = segmenter.network.network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    if form == "safetensors":
        assert segmenter.labels == ("road", "Background", "cat", "dog", "car")
        assert segmenter.background == 1
    else:
        assert segmenter.labels == tuple(f"class {index}" for index in range(5))
        assert segmenter.background == 0


@pytest.mark.parametrize("auxiliary", [False, True])
def test_an_auxiliary_head_may_be_in_the_file(auxiliary: bool, tmp_path: Path) -> None:
    name = "deeplabv3_mobilenet_v3_large"
    state = torchvision_network(name, 3, aux_loss=auxiliary).state_dict()
    assert any(key.startswith("aux_classifier") for key in state) is auxiliary
    save_file(state, tmp_path / "w.safetensors")
    segmenter = load_segmenter(name, tmp_path / "w.safetensors")
    loaded = segmenter.network.network.state_dict()
    assert loaded.keys() == {key for key in state if not key.startswith("aux_classifier")}
    assert all(torch.equal(loaded[key], state[key]) for key in loaded if "num_batches" not in key)
    assert len(segmenter.labels) == 3


def test_published_weights_come_with_their_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lraspp_mobilenet_v3_large-d234d4ea.pth"
    torch.save(torchvision_network(LRASPP, 21).state_dict(), path)
    monkeypatch.setattr("models.weights.store.fetch", lambda name: path)
    for segmenter in (load_segmenter(LRASPP), load_segmenter(LRASPP, path)):
        assert segmenter.labels[:2] == ("__background__", "aeroplane")
        assert (len(segmenter.labels), segmenter.background, segmenter.preprocessing.resize) == (21, 0, 520)


def test_every_network_is_known_and_built_as_published(tmp_path: Path) -> None:
    import torchvision

    assert {"deeplabv3_resnet50", "deeplabv3_resnet101", "fcn_resnet50", LRASPP} <= set(architectures.names())
    for name in architectures.names():
        assert catalog.known(name).purpose == "segmenter: torchvision's"
        with torch.device("meta"):
            state = torchvision.models.get_model(name, weights=None, weights_backbone=None).state_dict()
        head = [key for key, value in state.items() if value.shape[:1] == (21,) and key.endswith("weight")][
            -1
        ]
        assert head in architectures._HEADS


def test_without_a_network_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    with pytest.raises(ValueError, match="INFILL_OFFLINE forbids to fetch it; ") as caught:
        load_segmenter("deeplabv3_resnet50")
    message = str(caught.value)
    file = "deeplabv3_resnet50_coco-cd0a2569.pth"
    assert message.startswith(f"weights: {file} (https://download.pytorch.org/models/{file}) is not here")
    assert "run `infill weights fetch deeplabv3_resnet50` where there is a network, or put" in message
    assert str(tmp_path / "hub" / "checkpoints") in message
    assert message.endswith(", or pass --segmenter-weights FILE")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"arch": "torchvision.fcn_resnet50"}, "is for fcn_resnet50, not for lraspp_mobilenet_v3_large"),
        ({"labels": '["a", "b"]'}, "has 5 classes, but names 2"),
        ({"labels": "a,b,c,d,e"}, "cannot understand labels = 'a,b,c,d,e'"),
        ({"labels": '{"a": 5}'}, "cannot understand labels"),
        ({"labels": "null"}, "cannot understand labels"),
    ],
)
def test_what_the_file_says_must_make_sense(
    metadata: dict[str, str], message: str, lraspp: nn.Module, tmp_path: Path
) -> None:
    save_file(lraspp.state_dict(), tmp_path / "w.safetensors", metadata)
    with pytest.raises(ValueError, match=message):
        load_segmenter(LRASPP, tmp_path / "w.safetensors")


def test_weights_of_other_networks_are_refused(lraspp: nn.Module, tmp_path: Path) -> None:
    backbone = {key: value for key, value in lraspp.state_dict().items() if key.startswith("backbone")}
    save_file(backbone, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"does not fit lraspp_mobilenet_v3_large: it lacks classifier\.cbr"):
        load_segmenter(LRASPP, tmp_path / "w.safetensors")
    save_file(torchvision_network(LRASPP, 1).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="labels: expected two classes or more"):
        load_segmenter(LRASPP, tmp_path / "w.safetensors")
