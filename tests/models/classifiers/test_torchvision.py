"""Torchvision's networks: which weights they take, and what they make of them."""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from models.classifiers import load_classifier
from models.classifiers import torchvision as architectures
from models.weights import catalog
from models.weights import checkpoint as weights


@pytest.fixture(scope="module")
def squeezenet() -> dict[str, Tensor]:
    """Random weights of a small torchvision network with 5 classes."""
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        state: dict[str, Tensor] = torchvision.models.squeezenet1_1(num_classes=5).state_dict()
    return state


def test_real_weights_classify_photographs(assets: Path) -> None:
    classifier = load_classifier("mobilenet_v2", assets / "classifiers" / "mobilenet_v2.safetensors")
    assert (classifier.crop, classifier.resize, len(classifier.labels)) == (225, 257, 1000)
    with (assets / "imagenet_val" / "boxes.csv").open() as file:
        truth = {row["file"]: int(row["label"]) for row in csv.DictReader(file)}
    files = sorted(truth)[::12]
    photographs = [Image.open(assets / "imagenet_val" / "images" / name).convert("RGB") for name in files]
    pixels = [torch.from_numpy(np.array(photograph)).permute(2, 0, 1) / 255 for photograph in photographs]
    with torch.inference_mode():
        top = classifier(torch.stack([classifier.view(image) for image in pixels])).argmax(1)
    right = [int(index) == truth[name] for index, name in zip(top, files, strict=True)]
    assert sum(right) / len(files) > 0.55  # 0.685 on 1000 photographs


def test_the_weights_say_what_they_are(assets: Path) -> None:
    classifier = load_classifier(None, assets / "classifiers" / "squeezenet1_0.safetensors")
    assert (classifier.crop, classifier.resize) == (227, 259)
    assert classifier.labels[1] == "goldfish"
    assert not classifier.training
    assert classifier(torch.rand(1, 3, 40, 50)).shape == (1, 1000)


@pytest.mark.parametrize("nest", ["plain", "state_dict", "module", "safetensors"])
def test_state_dicts_of_every_form(nest: str, tmp_path: Path, squeezenet: dict[str, Tensor]) -> None:
    path = tmp_path / ("weights.safetensors" if nest == "safetensors" else "weights.pth")
    if nest == "safetensors":
        save_file(squeezenet, path, {"labels": '["a", "b", "c", "d", "e"]', "crop": "112", "resize": "120"})
    elif nest == "state_dict":
        torch.save({"state_dict": squeezenet, "epoch": 3}, path)
    elif nest == "module":
        torch.save({"model": {f"module.{key}": value for key, value in squeezenet.items()}}, path)
    else:
        torch.save(squeezenet, path)
    classifier = load_classifier("squeezenet1_1", path)
    state = classifier.network.state_dict()
    assert state.keys() == squeezenet.keys()
    assert all(torch.equal(state[key], squeezenet[key]) for key in state)
    if nest == "safetensors":
        assert (classifier.crop, classifier.resize, classifier.labels) == (112, 120, tuple("abcde"))
    else:
        assert (classifier.crop, classifier.resize) == (224, 256)
        assert classifier.labels == tuple(f"class {index}" for index in range(5))


def test_counters_of_batch_normalization_may_be_missing(tmp_path: Path) -> None:
    """And a network that looks for its version in the state dict (mnasnet) gets one from safetensors."""
    import torchvision

    network = torchvision.models.mnasnet0_5(num_classes=3)
    state = {key: value for key, value in network.state_dict().items() if "num_batches" not in key}
    save_file(state, tmp_path / "w.safetensors")
    classifier = load_classifier("mnasnet0_5", tmp_path / "w.safetensors")
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected = network.eval()((images - classifier.mean) / classifier.std)
    torch.testing.assert_close(classifier(images), expected)


def test_old_densenet_names_are_understood(tmp_path: Path) -> None:
    import torchvision

    state = torchvision.models.densenet121(num_classes=2).state_dict()
    old = {
        key.replace("norm1", "norm.1").replace("conv2", "conv.2") if "denselayer" in key else key: value
        for key, value in state.items()
    }
    assert old.keys() != state.keys()
    save_file(old, tmp_path / "w.safetensors")
    loaded = load_classifier("densenet121", tmp_path / "w.safetensors").network.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state if "num_batches" not in key)


def test_weights_that_do_not_fit_name_the_first_keys(tmp_path: Path, squeezenet: dict[str, Tensor]) -> None:
    state = dict(squeezenet)
    state["features.0.bias"] = torch.zeros(3)
    state["stray"] = torch.zeros(1)
    for key in [key for key in state if key.startswith("features.3")]:
        del state[key]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="does not fit squeezenet1_1") as caught:
        load_classifier("squeezenet1_1", tmp_path / "w.safetensors")
    message = str(caught.value)
    assert "\n" not in message
    assert (
        "lacks features.3.squeeze.weight, features.3.squeeze.bias, features.3.expand1x1.weight and 3 more"
        in message
    )
    assert "has unexpected stray" in message
    assert "has features.0.bias 3 instead of 64" in message


def test_a_head_of_one_number_does_not_fit(tmp_path: Path, squeezenet: dict[str, Tensor]) -> None:
    save_file({**squeezenet, "classifier.1.bias": torch.tensor(1.0)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"it has .*classifier\.1\.bias scalar instead of 1000"):
        load_classifier("squeezenet1_1", tmp_path / "w.safetensors")


def test_the_callers_random_numbers_stay(tmp_path: Path, squeezenet: dict[str, Tensor]) -> None:
    save_file(squeezenet, tmp_path / "w.safetensors")
    before = torch.get_rng_state()
    load_classifier("squeezenet1_1", tmp_path / "w.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"arch": "torchvision.resnet18"}, "is for resnet18, not for squeezenet1_1"),
        ({"arch": "torchvision.lenet"}, "is for lenet, not for squeezenet1_1"),
        ({"mean": "gray"}, "cannot understand mean = 'gray'"),
        ({"crop": "big"}, "cannot understand crop = 'big'"),
        ({"crop": "300", "resize": "200"}, "expected 1 <= crop <= resize, got 300 and 200"),
        ({"labels": '["a", "b"]'}, "has 5 classes, but names 2"),
        ({"labels": "a,b"}, "cannot understand labels"),
    ],
)
def test_what_the_file_says_must_make_sense(
    metadata: dict[str, str], message: str, tmp_path: Path, squeezenet: dict[str, Tensor]
) -> None:
    save_file(squeezenet, tmp_path / "w.safetensors", metadata)
    with pytest.raises(ValueError, match=message):
        load_classifier("squeezenet1_1", tmp_path / "w.safetensors")


def test_weights_without_a_name_must_say_what_they_are(tmp_path: Path, squeezenet: dict[str, Tensor]) -> None:
    save_file(squeezenet, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="the weights do not say what they are"):
        load_classifier(None, tmp_path / "w.safetensors")
    save_file(squeezenet, tmp_path / "w.safetensors", {"arch": "torchvision.lenet"})
    with pytest.raises(ValueError, match="'lenet', which torchvision does not have"):
        load_classifier(None, str(tmp_path / "w.safetensors"))


def test_published_weights_come_with_torchvisions_transforms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best weights of MobileNetV2 want 232 pixels, its first ones 256."""
    import torchvision

    state = torchvision.models.mobilenet_v2().state_dict()
    path = tmp_path / "mobilenet_v2-7ebf99e0.pth"
    torch.save(state, path)
    monkeypatch.setattr("models.weights.store.fetch", lambda name: path)
    classifier = load_classifier("mobilenet_v2")
    assert (classifier.crop, classifier.resize, classifier.labels[0]) == (224, 232, "tench")
    own = load_classifier("mobilenet_v2", path)
    assert own.resize == 232


def test_a_version_of_the_weights_is_loaded_with_its_preprocessing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    path, asked = tmp_path / "mobilenet_v2-b0353104.pth", []
    torch.save(torchvision.models.mobilenet_v2().state_dict(), path)
    monkeypatch.setattr("models.weights.store.fetch", lambda name: asked.append(name) or path)
    classifier = load_classifier("mobilenet_v2@v1")
    assert asked == ["mobilenet_v2@v1"]
    assert (classifier.crop, classifier.resize, classifier.labels[0]) == (224, 256, "tench")
    with pytest.raises(ValueError, match="mobilenet_v2@v1 names weights, and --weights gives others"):
        load_classifier("mobilenet_v2@v1", path)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torchvision's weights of a network, published on this machine."""
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("INFILL_OFFLINE", raising=False)
    source = tmp_path / "source.pth"
    torch.save(torchvision.models.squeezenet1_1().state_dict(), source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    row = replace(catalog.known("squeezenet1_1"), size=None, sha256=digest[:8], urls=(source.as_uri(),))
    monkeypatch.setattr(catalog, "CATALOG", {row.name: row})
    return source


def test_published_files_are_fetched_once_and_checked_each_time(published: Path, tmp_path: Path) -> None:
    state = torch.load(published, weights_only=True)
    kept = tmp_path / "home" / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    for _ in range(2):
        loaded = load_classifier("squeezenet1_1").network.state_dict()
        assert all(torch.equal(loaded[key], state[key]) for key in state)
        assert [path.name for path in kept.parent.iterdir()] == [kept.name]
        published.unlink(missing_ok=True)
    kept.write_bytes(b"other weights")
    with pytest.raises(ValueError, match="is damaged, or another file: its SHA-256 is ") as caught:
        load_classifier("squeezenet1_1")
    assert str(caught.value).endswith("; delete it and fetch it again")


@pytest.mark.parametrize(
    ("forbidden", "reason"),
    [("1", r"\(file://.*\) is not here, and INFILL_OFFLINE forbids to fetch it; "), ("", "No such file")],
)
def test_without_a_network_the_ways_are_told_once(
    forbidden: str, reason: str, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFILL_OFFLINE", forbidden)
    published.unlink()
    with pytest.raises(ValueError, match=reason) as caught:
        load_classifier("squeezenet1_1")
    message = str(caught.value)
    assert "squeezenet1_1-b8a52dc0.pth (file://" in message
    assert message.endswith(
        "run `infill weights fetch squeezenet1_1` where there is a network, or put the file into "
        f"{tmp_path / 'home' / 'hub' / 'checkpoints'}, or pass --weights FILE; 'scenes' needs no download"
    )
    assert message.count("infill weights fetch") == 1
    assert message.count("\n") == 0


@pytest.mark.parametrize(
    ("file", "metadata", "expected"),
    [
        ("googlenet-1378be20.pth", {}, True),
        ("mine.pth", {}, True),
        ("mine.pth", {"mean": "0.5,0.5,0.5"}, False),
    ],
)
def test_what_is_made_of_torchvisions_weights_wants_what_they_want(
    file, metadata, expected, tmp_path
) -> None:
    """TensorFlow's normalization: the network makes it of ImageNet's, or the file says another."""
    checkpoint = weights.Checkpoint(tmp_path / file, {}, metadata)
    entry, published = architectures.nearest_entry("googlenet", checkpoint.path)
    wanted = architectures.preprocessing_of(entry)
    assert architectures._options("googlenet", checkpoint, wanted, published)["transform_input"] is expected


def test_every_network_is_known_and_has_a_preset(tmp_path: Path) -> None:
    checkpoint = weights.Checkpoint(tmp_path / "w.pth", {})
    assert {"resnet50", "vit_b_16", "inception_v3"} <= set(architectures.names())
    for name in architectures.names():
        entry, published = architectures.nearest_entry(name, checkpoint.path)
        preprocessing = architectures.preprocessing_of(entry)
        assert preprocessing.crop <= preprocessing.resize
        assert not published
        assert catalog.known(name).purpose.startswith(("classifier: torchvision's", "backbone"))
    entry, _ = architectures.nearest_entry("inception_v3", checkpoint.path)
    assert architectures.preprocessing_of(entry).crop == 299


@pytest.mark.filterwarnings("ignore")
def test_published_vision_transformers_have_older_names(tmp_path: Path) -> None:
    from torchvision.models.vision_transformer import VisionTransformer

    network = VisionTransformer(224, 112, 2, 2, 8, 16)
    today = network.state_dict()
    old = {
        key.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): value
        for key, value in today.items()
    }
    assert old.keys() != today.keys()
    checkpoint = weights.renamed(weights.Checkpoint(tmp_path, old), architectures._old_names("vit_b_16"))
    assert checkpoint.state.keys() == today.keys()
    same = weights.renamed(weights.Checkpoint(tmp_path, today), architectures._old_names("vit_b_16"))
    assert same.state.keys() == today.keys()
