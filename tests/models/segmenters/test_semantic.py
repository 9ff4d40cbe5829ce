"""Segmenters by name: what they see of an image, what they find in it, and which weights they take."""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.segmenters import Segmenter, load_segmenter
from models.segmenters import torchvision as architectures
from models.weights import catalog

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
NAMES = ("background", "cat", "dog")
LRASPP = "lraspp_mobilenet_v3_large"
COMMIT = "0123456789" * 4


class Colors(nn.Module):
    """A pixel's class is its brightest channel; remembers the images it saw."""

    def forward(self, images: Tensor) -> Tensor:
        self.seen = images
        return images


def colors(background: int | None = 0, **options: Any) -> Segmenter:
    wanted = {"crop": None, "resize": None, "mean": BLACK, "std": WHITE, **options}
    return Segmenter(Colors(), NAMES, background, Preprocessing(**wanted))


def painted(classes: list[Any]) -> Tensor:
    """Images whose pixels have these classes."""
    return nn.functional.one_hot(torch.tensor(classes), 3).movedim(-1, 1).float()


@st.composite
def class_maps(draw: st.DrawFn) -> list[list[list[int]]]:
    count, height, width = (draw(st.integers(1, 4)) for _ in range(3))
    row = st.lists(st.integers(0, 2), min_size=width, max_size=width)
    one = st.lists(row, min_size=height, max_size=height)
    return draw(st.lists(one, min_size=count, max_size=count))


# What is found.


@given(class_maps(), st.sampled_from([0, 1, 2, None]))
def test_the_silhouette_is_the_class_that_covers_most(maps: list[Any], background: int | None) -> None:
    segmenter, images = colors(background), painted(maps)
    assert segmenter(images).tolist() == maps
    for one, silhouette in zip(maps, segmenter.silhouette(images), strict=True):
        pixels = Counter(value for row in one for value in row if value != background)
        largest = min(pixels, key=lambda value: (-pixels[value], value)) if pixels else None
        assert silhouette.tolist() == [[value == largest for value in row] for row in one]


@given(class_maps(), st.integers(0, 2))
def test_a_label_names_the_silhouette(maps: list[Any], index: int) -> None:
    found = colors().silhouette(painted(maps), NAMES[index])
    assert found.tolist() == [[[value == index for value in row] for row in one] for one in maps]


def test_of_classes_that_cover_as_much_the_first_is_taken() -> None:
    assert colors().silhouette(painted([[[2, 1, 0, 0, 0]]])).tolist() == [
        [[False, True, False, False, False]]
    ]


def test_where_there_is_only_background_nothing_is_found() -> None:
    images = painted([[[0, 0], [0, 0]]])
    assert not colors().silhouette(images).any()
    assert not colors().silhouette(images, "dog").any()
    assert colors().silhouette(images, "background").all()
    assert colors(background=None).silhouette(images).all()


@pytest.mark.parametrize(("given", "near"), [("Dog", "dog"), ("cart", "cat"), ("zebra", "")])
def test_unknown_labels_name_the_nearest(given: str, near: str) -> None:
    message = f"label: expected one of the segmenter's 3 classes, got '{given}'; did you mean '{near}"
    with pytest.raises(ValueError, match=message):
        colors().silhouette(painted([[[0]]]), given)


# What is seen.


@pytest.mark.parametrize("size", [(40, 61), (61, 40), (33, 33), (26, 26), (20, 90)])
def test_what_the_network_sees_is_torchvisions_preset(
    size: tuple[int, int], smooth_image: Callable[..., Tensor]
) -> None:
    from torchvision.transforms._presets import SemanticSegmentation

    image = smooth_image(*size)
    segmenter = Segmenter(Colors(), NAMES, preprocessing=Preprocessing(crop=None, resize=26))
    classes = segmenter(image)
    expected = SemanticSegmentation(resize_size=26)(image)
    torch.testing.assert_close(segmenter.network.seen, expected, rtol=0, atol=1e-5)
    assert classes.shape == (1, *size)


@pytest.mark.parametrize("resize", [None, 5, 64, (7, 90)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_flat_image_is_of_one_class_at_any_size(resize: Any, interpolation: str) -> None:
    segmenter = colors(resize=resize, interpolation=interpolation)
    for height, width in [(1, 1), (9, 4), (30, 41)]:
        image = torch.tensor([0.2, 0.3, 0.6])[:, None, None].expand(1, 3, height, width)
        assert torch.equal(segmenter(image), torch.full((1, height, width), 2))
        assert segmenter.silhouette(image).all()


def test_resized_images_stay_in_range() -> None:
    segmenter = colors(resize=(37, 29), interpolation="bicubic")
    segmenter(painted([[[0, 1, 2, 1] * 4] * 16]))
    assert segmenter.network.seen.shape == (1, 3, 37, 29)
    assert segmenter.network.seen.min() == 0
    assert segmenter.network.seen.max() == 1


def test_coarse_logits_are_resized_before_they_are_compared() -> None:
    """Halfway between two coarse cells their logits are equal: the boundary is there, in pixels."""

    class Coarse(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[0.0, 0.0], [4.0, -4.0]])[None, :, None]  # one row of two cells

    segmenter = Segmenter(Coarse(), ("left out", "cat"))
    images = torch.zeros(1, 3, 3, 8)
    assert segmenter(images).tolist() == [[[1, 1, 1, 1, 0, 0, 0, 0]] * 3]
    assert segmenter.logits(images)[0, 1, 0].tolist() == [4, 4, 3, 1, -1, -3, -4, -4]


def test_no_gradient_is_kept() -> None:
    images = painted([[[0, 1]]]).requires_grad_()
    assert not colors()(images).requires_grad
    assert colors().logits(images).requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ("one",)}, "labels: expected two classes or more"),
        ({"background": 3}, "background: expected None or one of 3 classes, got 3"),
        ({"background": -1}, "background: expected None or one of 3 classes, got -1"),
        ({"preprocessing": Preprocessing()}, "preprocessing: expected no crop"),
        ({"preprocessing": Preprocessing(None, None, (0.5,), (0.5,))}, "mean and std"),
    ],
)
def test_impossible_segmenters_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Segmenter(**{"network": Colors(), "labels": NAMES, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interpolation": "lanczos"}, "interpolation: expected 'bilinear' or 'bicubic', got 'lanczos'"),
        ({"std": (0.0, 1.0, 1.0)}, "mean and std"),
        ({"mean": (0.5,)}, "mean and std"),
    ],
)
def test_impossible_preprocessing_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(crop=None, resize=None, **options)


# Torchvision's networks.


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


@pytest.mark.parametrize("name", ["deeplab", "resnet50", "hf:", ""])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"hf:FOLDER, hf:ID or one of .*deeplabv3_resnet50.*; got") as caught:
        load_segmenter(name)
    hint = "; did you mean 'fcn_resnet50'?" if name == "resnet50" else ""
    assert str(caught.value).endswith(f"got {name!r}{hint}")


# Transformers' networks.


@pytest.fixture(scope="module")
def published_segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SegFormer with random weights, saved by transformers itself."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("hub") / "segformer"
    config = transformers.SegformerConfig(
        hidden_sizes=(8, 16, 24, 32), depths=(1, 1, 1, 1), num_attention_heads=(1, 2, 3, 4),
        decoder_hidden_size=16, initializer_range=0.3,
        id2label={0: "background", 1: "cat", 2: "dog", 3: "car"},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 64, "width": 96}).save_pretrained(folder)
    transformers.utils.logging.enable_progress_bar()
    return folder


@pytest.fixture
def segformer(published_segformer: Path, tmp_path: Path) -> Path:
    """The same in a folder of one's own, to change."""
    return Path(shutil.copytree(published_segformer, tmp_path / "segformer"))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No connection to the hub is tried; returns the folder of what was downloaded before."""
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def change(folder: Path, file: str, **settings: Any) -> None:
    """Change settings in a JSON file; those that become ``None`` are left out."""
    content = {**json.loads((folder / file).read_text()), **settings}
    kept = {key: value for key, value in content.items() if value is not None}
    (folder / file).write_text(json.dumps(kept))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": {"shortest_edge": 64}},
        {"size": 64, "image_processor_type": None, "feature_extractor_type": "SegformerFeatureExtractor"},
        {"resample": 3},
        {"do_resize": False},
        {"do_normalize": False},
        {"do_rescale": False, "image_mean": [120, 110, 100], "image_std": [60, 59, 58]},
        {"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 0.5, 1]},
        {
            "image_processor_type": "MobileViTImageProcessor",
            "do_flip_channel_order": True,
            "do_normalize": None,
        },
    ],
    ids=lambda settings: ", ".join(settings) or "as published",
)
def test_folders_give_transformers_segmentation(
    settings: dict[str, Any], segformer: Path, smooth_image: Callable[..., Tensor]
) -> None:
    import transformers

    change(segformer, "preprocessor_config.json", **settings)
    segmenter = load_segmenter(f"hf:{segformer}")
    images = 0.2 + 0.6 * torch.cat([smooth_image(75, 130, seed) for seed in range(3)])
    processor = transformers.AutoImageProcessor.from_pretrained(segformer)
    network = transformers.SegformerForSemanticSegmentation.from_pretrained(segformer)
    without_crop = {"do_center_crop": False} if "do_flip_channel_order" in settings else {}
    with torch.no_grad():
        outputs = network(**processor(list(images * 255), return_tensors="pt", **without_crop))
    expected = processor.post_process_semantic_segmentation(outputs, target_sizes=[(75, 130)] * 3)
    resized = nn.functional.interpolate(outputs.logits, (75, 130), mode="bilinear")
    logits = segmenter.logits(images)
    torch.testing.assert_close(logits, resized, rtol=0, atol=1e-4)  # of about 5
    assert resized.std((2, 3)).min() > 0.01  # the image matters
    assert torch.eq(segmenter(images), torch.stack(expected)).float().mean() > 0.999
    torch.testing.assert_close(segmenter.logits(images[1:2]), logits[1:2], rtol=0, atol=1e-4)
    assert segmenter.labels == ("background", "cat", "dog", "car")


def test_networks_of_folders_are_frozen_and_in_single_precision(segformer: Path) -> None:
    state = load_file(segformer / "model.safetensors")
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(halves, segformer / "model.safetensors", {"format": "pt"})
    change(segformer, "config.json", dtype="float16", torch_dtype="float16")
    segmenter = load_segmenter(f"hf:{segformer}")
    assert {value.dtype for value in segmenter.parameters()} == {torch.float32}
    assert not segmenter.training
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())
    assert segmenter(torch.rand(1, 3, 20, 30)).shape == (1, 20, 30)


@pytest.mark.parametrize(
    ("labels", "background"),
    [
        (("Background", "other", "unlabeled", "cat"), 0),
        (("other", "background", "unlabeled", "cat"), 0),
        (("wall", "other", "unlabeled", "__background__"), 3),
        (("wall", "other", "unlabeled", "cat"), 2),
        (("wall", "sky", "other", "cat"), 2),
        (("wall", "sky", "background noise", "cat"), None),
    ],
)
def test_the_background_is_known_by_its_name(
    labels: tuple[str, ...], background: int | None, segformer: Path
) -> None:
    change(segformer, "config.json", id2label=dict(enumerate(labels)))
    segmenter = load_segmenter(f"hf:{segformer}")
    assert (segmenter.labels, segmenter.background) == (labels, background)


def test_loading_is_silent_and_leaves_no_trace(segformer: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import transformers

    progress = transformers.utils.logging
    state = load_file(segformer / "model.safetensors")
    save_file({**state, "stray": torch.zeros(2)}, segformer / "model.safetensors", {"format": "pt"})
    before = (torch.get_rng_state(), progress.get_verbosity(), progress.is_progress_bar_enabled())
    load_segmenter(f"hf:{segformer}")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (progress.get_verbosity(), progress.is_progress_bar_enabled()) == before[1:]
    assert capfd.readouterr() == ("", "")


def test_pickled_weights_are_read_as_tensors(segformer: Path) -> None:
    images = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    expected = load_segmenter(f"hf:{segformer}").logits(images)
    torch.save(load_file(segformer / "model.safetensors"), segformer / "pytorch_model.bin")
    (segformer / "model.safetensors").unlink()
    assert torch.equal(load_segmenter(f"hf:{segformer}").logits(images), expected)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_in_a_folder_is_run(segformer: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"weight": Trap(sprung)}, segformer / "pytorch_model.bin")
    (segformer / "model.safetensors").rename(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds no semantic segmenter that transformers can load"):
        load_segmenter(f"hf:{segformer}")
    (tmp_path / "model.safetensors").rename(segformer / "model.safetensors")
    (segformer / "code.py").write_text(f"import pathlib\npathlib.Path({str(sprung)!r}).touch()\n")
    own = {"AutoConfig": "code.Config", "AutoModelForSemanticSegmentation": "code.Net"}
    change(segformer, "config.json", model_type="novel", auto_map=own)
    with pytest.raises(ValueError, match="is of type 'novel'; expected a model for semantic segmentation"):
        load_segmenter(f"hf:{segformer}")
    assert not sprung.exists()


def test_weights_that_lack_a_tensor_are_refused(segformer: Path) -> None:
    """Transformers itself would only warn, and go on with random numbers."""
    state = load_file(segformer / "model.safetensors")
    head = [key for key in state if key.startswith("decode_head.classifier")]
    kept = {key: value for key, value in state.items() if key not in head}
    save_file(kept, segformer / "model.safetensors", {"format": "pt"})
    message = (
        r"does not fit SegformerForSemanticSegmentation: it lacks decode_head.classifier.bias and 1 more$"
    )
    with pytest.raises(ValueError, match=message):
        load_segmenter(f"hf:{segformer}")


def damage(folder: Path, what: str) -> None:
    if what == "no weights":
        (folder / "model.safetensors").unlink()
    elif what == "cut weights":
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    elif what == "other shapes":
        change(folder, "config.json", decoder_hidden_size=24)
    elif what == "no processor":
        (folder / "preprocessor_config.json").unlink()
    elif what == "no config":
        (folder / "config.json").unlink()
    elif what in ("broken config", "no settings"):
        (folder / "config.json").write_text("{" if what == "broken config" else "[]")
    else:
        change(folder, "config.json", model_type=None if what == "no type" else "resnet")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("no weights", "holds no semantic segmenter that transformers can load"),
        ("cut weights", "holds no semantic segmenter that transformers can load"),
        ("other shapes", "holds no semantic segmenter that transformers can load"),
        ("no processor", "holds no semantic segmenter that transformers can load"),
        ("no config", r"holds no segmenter that transformers can load \(config.json: "),
        ("broken config", r"holds no segmenter that transformers can load \(config.json: "),
        ("no type", r"holds no segmenter that transformers can load \(config.json: 'model_type'\)"),
        ("no settings", r"holds no segmenter that transformers can load \(config.json: "),
        ("other model", "is of type 'resnet'; expected a model for semantic segmentation"),
    ],
)
def test_folders_of_something_else_are_refused(what: str, reason: str, segformer: Path) -> None:
    damage(segformer, what)
    with pytest.raises(ValueError, match=reason) as caught:
        load_segmenter(f"hf:{segformer}")
    assert str(segformer) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"resample": 1},
        {"size": {"longest_edge": 64}},
        {"size": {"shortest_edge": 64, "longest_edge": 90}},
        {"image_mean": 0.5},
        {"image_mean": ["a", "b", "c"]},
        {"image_processor_type": "DPTImageProcessor", "keep_aspect_ratio": True},
        {"image_processor_type": "DPTImageProcessor", "ensure_multiple_of": 60},
    ],
    ids=str,
)
def test_processors_that_do_something_else_are_refused(settings: dict[str, Any], segformer: Path) -> None:
    change(segformer, "preprocessor_config.json", **settings)
    with pytest.raises(ValueError, match=f"cannot follow the image processor of hf:{segformer}: "):
        load_segmenter(f"hf:{segformer}")


def test_ids_that_cannot_be_had_say_what_to_download(offline: Path) -> None:
    with pytest.raises(ValueError, match="segmenter: hf:someone/segformer is no folder") as caught:
        load_segmenter("hf:someone/segformer")
    message = str(caught.value)
    assert "'hf download someone/segformer --local-dir FOLDER', then use hf:FOLDER" in message
    assert "\n" not in message


def test_missing_folders_are_no_ids(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"hf:{tmp_path}/missing: no such folder"):
        load_segmenter(f"hf:{tmp_path}/missing")


@pytest.mark.parametrize("pickled", [False, True])
def test_ids_downloaded_before_need_no_connection(pickled: bool, offline: Path, segformer: Path) -> None:
    if pickled:
        torch.save(load_file(segformer / "model.safetensors"), segformer / "pytorch_model.bin")
        (segformer / "model.safetensors").unlink()
    repository = offline / "models--someone--segformer"
    shutil.copytree(segformer, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    images = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    expected = load_segmenter(f"hf:{segformer}").logits(images)
    assert torch.equal(load_segmenter("hf:someone/segformer").logits(images), expected)


def test_folders_come_with_their_own_weights(segformer: Path) -> None:
    with pytest.raises(ValueError, match=r"weights: expected none, for hf:.* comes with its own, got"):
        load_segmenter(f"hf:{segformer}", segformer / "model.safetensors")


def test_without_transformers_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"needs the library transformers \(.*\): pip install transformers"):
        load_segmenter(f"hf:{tmp_path}")
