"""Classifiers by name: what they see of an image, and which weights they take."""

import csv
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from models.classifiers import ImageClassifier, load_classifier
from models.classifiers import torchvision as architectures
from models.preprocessing import Preprocessing
from models.weights import catalog
from models.weights import checkpoint as weights
from models.weights.checkpoint import read_checkpoint

SIZES = [(320, 427), (427, 320), (33, 47), (500, 500), (60, 61), (24, 24), (25, 24), (90, 31)]


class Average(nn.Module):
    """Logits are the channels' means."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


def average(crop: int = 24, resize: int = 28, interpolation: str = "bilinear") -> ImageClassifier:
    return ImageClassifier(Average(), Preprocessing(crop, resize, interpolation=interpolation))


@pytest.fixture(scope="module")
def squeezenet() -> dict[str, Tensor]:
    """Random weights of a small torchvision network with 5 classes."""
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        state: dict[str, Tensor] = torchvision.models.squeezenet1_1(num_classes=5).state_dict()
    return state


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [size for size in SIZES if size != (24, 24)])
def test_the_view_is_torchvisions_preset(
    size: tuple[int, int], interpolation: str, smooth_image: Callable[..., Tensor]
) -> None:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    image = 0.2 + 0.6 * smooth_image(*size)[0]  # far enough from 0 and 1 for bicubic not to overshoot them
    classifier = average(interpolation=interpolation)
    preset = ImageClassification(crop_size=24, resize_size=28, interpolation=InterpolationMode(interpolation))
    normalized = (classifier.view(image) - classifier.mean) / classifier.std
    torch.testing.assert_close(normalized, preset(image), rtol=0, atol=1e-5)
    torch.testing.assert_close(classifier(image[None]), preset(image)[None].mean((2, 3)), rtol=0, atol=1e-5)


def test_a_bicubic_view_stays_in_range() -> None:
    image = (torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    view = average(interpolation="bicubic").view(image)
    assert view.min() == 0
    assert view.max() == 1


def test_an_image_of_the_crops_size_is_only_normalized(smooth_image: Callable[..., Tensor]) -> None:
    image = smooth_image(24, 24)
    classifier = average()
    assert torch.equal(classifier.view(image[0]), image[0])
    torch.testing.assert_close(classifier(image), ((image - classifier.mean) / classifier.std).mean((2, 3)))
    assert classifier.view_box((24, 24)) == (0, 0, 24, 24)
    heatmap = image[0, 0]
    assert torch.equal(classifier.to_input(heatmap, (24, 24)), heatmap)


@pytest.mark.parametrize("size", [(320, 427), (427, 320), (333, 500), (100, 701), (64, 64), (57, 91)])
def test_what_is_seen_comes_back_to_its_place(size: tuple[int, int]) -> None:
    """A spot of the input, found in the view, maps back to the same pixels of the input."""
    classifier = average(crop=56, resize=64)
    height, width = size
    left, top, right, bottom = classifier.view_box(size)
    for across, down in [(0.25, 0.3), (0.5, 0.5), (0.8, 0.7)]:
        x, y = left + across * (right - left), top + down * (bottom - top)
        rows = torch.arange(height)[:, None] + 0.5 - y
        columns = torch.arange(width) + 0.5 - x
        spot = torch.exp(-(rows**2 + columns**2) / 2 / (0.04 * min(size)) ** 2)
        back = classifier.to_input(classifier.view(spot.expand(3, -1, -1))[0], size)
        found_y = float((back.sum(1) * (torch.arange(height) + 0.5)).sum() / back.sum())
        found_x = float((back.sum(0) * (torch.arange(width) + 0.5)).sum() / back.sum())
        assert abs(found_y - y) < 0.25
        assert abs(found_x - x) < 0.25


@pytest.mark.parametrize("size", SIZES)
def test_evidence_is_zero_exactly_where_the_crop_cuts_away(size: tuple[int, int]) -> None:
    classifier = average()
    back = classifier.to_input(torch.ones(24, 24), size)
    left, top, right, bottom = classifier.view_box(size)
    expected = torch.zeros(size)
    rows = [y for y in range(size[0]) if top <= y + 0.5 < bottom]
    columns = [x for x in range(size[1]) if left <= x + 0.5 < right]
    expected[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1
    assert torch.equal(back == 0, expected == 0)
    torch.testing.assert_close(back, expected)


@pytest.mark.parametrize("size", SIZES)
def test_the_view_lies_in_the_middle_of_the_input(size: tuple[int, int]) -> None:
    """Its pixels are what a ramp over the input says they are."""
    classifier = average()
    height, width = size
    ramp_x = ((torch.arange(width) + 0.5) / width).expand(3, height, -1)
    ramp_y = ((torch.arange(height) + 0.5) / height)[:, None].expand(3, -1, width)
    left, top, right, bottom = classifier.view_box(size)
    middle = (torch.arange(24) + 0.5) / 24
    inner = slice(2, -2)  # at the image's border, antialiasing has one-sided windows
    torch.testing.assert_close(
        classifier.view(ramp_x)[0, 12][inner] * width,
        (left + middle * (right - left))[inner],
        rtol=0,
        atol=0.25,
    )
    torch.testing.assert_close(
        classifier.view(ramp_y)[0, :, 12][inner] * height,
        (top + middle * (bottom - top))[inner],
        rtol=0,
        atol=0.25,
    )


def test_a_heatmap_of_another_size_is_refused(unchecked_shapes: None) -> None:
    with pytest.raises(ValueError, match="heatmap: expected 24 x 24, got"):
        average().to_input(torch.ones(24, 23), (40, 40))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop": 30}, "crop and resize: expected 1 <= crop <= resize, got 30 and 28"),
        ({"interpolation": "lanczos"}, "interpolation: expected 'bilinear' or 'bicubic', got 'lanczos'"),
        ({"std": (0.0, 1.0, 1.0)}, "mean and std"),
    ],
)
def test_impossible_views_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**{"crop": 24, "resize": 28, **arguments})  # type: ignore[arg-type]


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


def test_the_shipped_classifier_knows_scenes() -> None:
    from models import scenes

    classifier = load_classifier()
    drawn = [scenes.draw(index, objects=1) for index in range(8)]
    logits = classifier(torch.stack([scene.image for scene in drawn]))
    assert classifier.labels == scenes.CLASSES
    assert [int(top) for top in logits.argmax(1)] == [scene.labels[0] for scene in drawn]


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
        load_classifier(None, tmp_path / "w.safetensors")


def test_unknown_names_are_refused() -> None:
    message = (
        r"unknown classifier 'resnet51'; did you mean 'resnet50'\? .*; expected 'scenes', a torchvision net"
    )
    with pytest.raises(ValueError, match=message):
        load_classifier("resnet51")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.safetensors", None, "no such file"),
        ("w.safetensors", b"", "damaged or no safetensors file"),
        ("w.safetensors", b"\x10\0\0\0\0\0\0\0{}", "damaged or no safetensors file"),
        ("w.pth", b"", "damaged or no weight file"),
        ("w.pth", b"no weights at all", "is no weight file"),
    ],
)
def test_damaged_files_are_refused(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path / name)


def test_a_cut_off_state_dict_is_refused(tmp_path: Path, squeezenet: dict[str, Tensor]) -> None:
    torch.save(squeezenet, tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="damaged or no weight file"):
        read_checkpoint(tmp_path / "w.pth")


def test_pickled_models_are_never_unpickled(tmp_path: Path) -> None:
    torch.save(Average(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"pickled model; save its state_dict\(\) instead"):
        read_checkpoint(tmp_path / "w.pth")


def test_other_content_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "w.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        read_checkpoint(tmp_path / "w.pth")


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
