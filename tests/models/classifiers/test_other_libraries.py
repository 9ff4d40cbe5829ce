"""Classifiers of other libraries, of files and of functions: each as its own library would run it."""

import hashlib
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_classifiers import save_clip, saved, seeded, vit
from torch import Tensor, nn

from attribution.engine.precision import prepare
from models.classifiers import ImageClassifier, load_classifier
from models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from models.weights import catalog
from studio.cli import listing
from studio.registry.build import build_classifier

SIZES = [(60, 84), (91, 50)]
CLOSE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is fetched, and the hub's cache is an empty folder."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def photos(smooth_image: Callable[..., Tensor]) -> list[Tensor]:
    """Images of two shapes, away from 0 and 1, where bicubic resizing would overshoot."""
    return [0.2 + 0.6 * smooth_image(*size) for size in SIZES]


def small(classes: int = 5) -> nn.Module:
    network: nn.Module = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(4, classes),
        )
    )
    return network


def one_line(name: str, message: str, weights: Path | None = None) -> str:
    with pytest.raises(ValueError, match=message) as caught:
        load_classifier(name, weights)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# timm


@pytest.fixture(scope="module")
def resnet() -> Any:
    import timm

    return seeded(lambda: timm.create_model("test_resnet", num_classes=5))


def timm_transform(network: nn.Module, **changed: Any) -> Any:
    import timm

    config = {**timm.data.resolve_model_data_config(network), **changed}
    return timm.data.create_transform(**config, is_training=False)


@pytest.mark.parametrize("name", ["test_resnet", "test_resnet.r160_in1k"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_timms_networks_see_what_timm_shows_them(
    name: str, suffix: str, resnet: Any, tmp_path: Path, photos: list[Tensor]
) -> None:
    state, path = resnet.state_dict(), tmp_path / f"w{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    classifier = load_classifier(f"timm:{name}", path)
    assert classifier.labels == tuple(f"class {index}" for index in range(5))
    assert (classifier.crop, classifier.resize) == (160, 168)
    assert (classifier.interpolation, classifier.multi_label, classifier.training) == (
        "bilinear",
        False,
        False,
    )
    transform = timm_transform(resnet)
    for photo in photos:
        torch.testing.assert_close(classifier(photo), resnet(transform(photo[0])[None]), **CLOSE)


def test_timms_squashed_images_are_squashed(tmp_path: Path, photos: list[Tensor]) -> None:
    import timm

    network = seeded(lambda: timm.create_model("test_resnet", num_classes=5))
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    original = timm.data.resolve_model_data_config
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            timm.data,
            "resolve_model_data_config",
            lambda model: {**original(model), "crop_mode": "squash", "interpolation": "bicubic"},
        )
        classifier = load_classifier("timm:test_resnet", tmp_path / "w.safetensors")
    assert (classifier.resize, classifier.interpolation) == ((168, 168), "bicubic")
    transform = timm_transform(network, crop_mode="squash", interpolation="bicubic")
    for photo in photos:
        torch.testing.assert_close(classifier(photo), network(transform(photo[0])[None]), **CLOSE)
        left, top, right, bottom = classifier.view_box((photo.shape[2], photo.shape[3]))
        assert (left + right, top + bottom) == pytest.approx((photo.shape[3], photo.shape[2]))
        back = classifier.to_input(torch.ones(160, 160), (photo.shape[2], photo.shape[3]))
        assert 0.85 < back.mean() < 1


def test_timms_classes_are_imagenets_where_there_are_as_many(tmp_path: Path) -> None:
    import timm

    network = seeded(lambda: timm.create_model("test_vit"))
    torch.save(network.state_dict(), tmp_path / "w.pth")
    classifier = load_classifier("timm:test_vit", tmp_path / "w.pth")
    assert classifier.labels[:2] == ("tench, Tinca tinca", "goldfish, Carassius auratus")
    assert len(classifier.labels) == 1000


def test_what_the_file_says_goes_before_timms_word(resnet: Any, tmp_path: Path) -> None:
    said = {
        "arch": "timm.test_resnet", "crop": "64", "mean": "0,0,0", "std": "1,1,1",
        "interpolation": "bicubic", "labels": '["a", "b", "c", "d", "e"]',
    }  # fmt: skip
    save_file(resnet.state_dict(), tmp_path / "w.safetensors", said)
    classifier = load_classifier("timm:test_resnet", tmp_path / "w.safetensors")
    assert (classifier.crop, classifier.resize, classifier.interpolation) == (64, 73, "bicubic")
    assert classifier.labels == ("a", "b", "c", "d", "e")
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(classifier(images), resnet(images), **CLOSE)
    save_file(resnet.state_dict(), tmp_path / "w.safetensors", {"labels": '["a", "b"]'})
    one_line("timm:test_resnet", "has 5 classes, but names 2", tmp_path / "w.safetensors")
    save_file(resnet.state_dict(), tmp_path / "w.safetensors", {"mean": "gray"})
    one_line("timm:test_resnet", "cannot understand mean = 'gray'", tmp_path / "w.safetensors")
    save_file(resnet.state_dict(), tmp_path / "w.safetensors", {"arch": "timm.test_vit"})
    one_line(
        "timm:test_resnet", r"is for timm.test_vit, not for timm.test_resnet", tmp_path / "w.safetensors"
    )


def test_other_files_do_not_fit_timms_networks(tmp_path: Path, resnet: Any) -> None:
    save_file({"head.weight": torch.zeros(2, 2)}, tmp_path / "w.safetensors")
    message = one_line("timm:test_vit", "does not fit timm's test_vit", tmp_path / "w.safetensors")
    assert "it lacks " in message
    save_file(resnet.state_dict(), tmp_path / "w.safetensors")
    one_line("timm:test_vit", "does not fit timm's test_vit: it lacks", tmp_path / "w.safetensors")


def test_timms_own_weights_come_from_the_hub(offline: Path, capfd: pytest.CaptureFixture[str]) -> None:
    message = one_line("timm:test_resnet", "weights: cannot get timm's for test_resnet from https://")
    assert "https://huggingface.co/timm/test_resnet.r160_in1k (" in message
    assert "run `hf download timm/test_resnet.r160_in1k model.safetensors`" in message
    assert "pass that file as --weights FILE" in message
    assert capfd.readouterr() == ("", "")


def test_timms_own_weights_are_used_when_they_are_here(offline: Path, photos: list[Tensor]) -> None:
    import timm

    network = seeded(lambda: timm.create_model("test_resnet"))
    repository, commit = offline / "models--timm--test_resnet.r160_in1k", "0123456789" * 4
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    save_file(network.state_dict(), repository / "snapshots" / commit / "model.safetensors")
    before = torch.get_rng_state()
    classifier = load_classifier("timm:test_resnet")
    assert torch.equal(torch.get_rng_state(), before)
    expected = network(timm_transform(network)(photos[0][0])[None])
    torch.testing.assert_close(classifier(photos[0]), expected, **CLOSE)
    assert classifier.labels[0] == "tench, Tinca tinca"


def test_timms_other_files_are_kept_by_torch_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: list[Tensor]
) -> None:
    import timm

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    network = seeded(lambda: timm.create_model("test_resnet"))
    torch.save(network.state_dict(), tmp_path / "w.pth")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()[:8]
    source = (tmp_path / "w.pth").rename(tmp_path / f"w-{digest}.pth")
    config = timm.get_pretrained_cfg("test_resnet").to_dict()
    said = {**config, "hf_hub_id": None, "url": source.as_uri()}
    monkeypatch.setattr("models.classifiers.timm._published", lambda *_: said)
    expected = network(timm_transform(network)(photos[0][0])[None])
    torch.testing.assert_close(load_classifier("timm:test_resnet")(photos[0]), expected, **CLOSE)
    source.rename(tmp_path / "gone")
    assert load_classifier("timm:test_resnet").labels[0] == "tench, Tinca tinca"
    kept = tmp_path / "home" / "hub" / "checkpoints" / source.name
    kept.write_bytes(b"damaged")
    one_line("timm:test_resnet", "is damaged, or another file: its SHA-256 is .*; delete it")
    kept.unlink()
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    one_line("timm:test_resnet", "INFILL_OFFLINE forbids to fetch it; get it elsewhere, and pass it as --w")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("test_resnt", "timm has no network 'test_resnt'; did you mean 'test_resnet'"),
        ("hf-hub:someone/model", "timm has no network 'hf-hub:someone/model'"),
        ("test_resnet.zzz", r"timm:test_resnet.zzz: Invalid pretrained tag"),
    ],
)
def test_timms_unknown_names_are_refused(name: str, message: str) -> None:
    one_line(f"timm:{name}", message)


def test_without_timm_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    one_line("timm:resnet18", r"timm:resnet18 needs the library timm \(.*\): pip install timm")


# transformers


def change(folder: Path, file: str, **values: Any) -> None:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **values}))


@pytest.fixture
def vit_folder(tmp_path: Path) -> Path:
    import transformers

    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    return saved(tmp_path / "vit", vit(), processor)


def resnet_folder(folder: Path, side: int) -> Path:
    import transformers

    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", num_labels=4
    )
    network = seeded(lambda: transformers.ResNetForImageClassification(config))
    return saved(folder, network, transformers.ConvNextImageProcessor(size={"shortest_edge": side}))


def theirs(folder: Path, network: Any, photo: Tensor) -> Tensor:
    """The logits of transformers' own network on its own processor's view, without rounding to bytes."""
    import transformers

    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    seen = processor(images=photo[0], do_rescale=False, return_tensors="pt")["pixel_values"]
    logits: Tensor = network(seen).logits
    return logits.detach()


def test_vits_see_squashed_images(vit_folder: Path, photos: list[Tensor]) -> None:
    classifier = load_classifier(f"hf:{vit_folder}")
    assert (classifier.labels, classifier.multi_label) == (("cat", "dog", "hen"), False)
    assert (classifier.crop, classifier.resize) == (32, (32, 32))
    network = vit()
    for photo in photos:
        torch.testing.assert_close(classifier(photo), theirs(vit_folder, network, photo), **CLOSE)


@pytest.mark.parametrize(("side", "resize"), [(28, 32), (400, (400, 400))])
def test_resnets_see_what_their_processor_crops(
    side: int, resize: Any, tmp_path: Path, photos: list[Tensor]
) -> None:
    import transformers

    folder = resnet_folder(tmp_path / "resnet", side)
    classifier = load_classifier(f"hf:{folder}")
    assert (classifier.crop, classifier.resize, classifier.interpolation) == (side, resize, "bicubic")
    assert classifier.labels == tuple(f"LABEL_{index}" for index in range(4))
    transformers.utils.logging.disable_progress_bar()
    network = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    transformers.utils.logging.enable_progress_bar()
    torch.testing.assert_close(classifier(photos[0]), theirs(folder, network, photos[0]), **CLOSE)


def test_networks_that_want_blue_first_get_it(tmp_path: Path, photos: list[Tensor]) -> None:
    import transformers

    processor = transformers.MobileViTImageProcessor(
        size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}
    )
    folder = saved(tmp_path / "vit", vit(), processor)
    classifier = load_classifier(f"hf:{folder}")
    assert (classifier.crop, classifier.resize) == (32, 36)
    torch.testing.assert_close(classifier(photos[0]), theirs(folder, vit(), photos[0]), **CLOSE)
    blue = photos[0].clone()
    blue[:, 2] = 0.5
    assert not torch.allclose(classifier(blue), classifier(blue.flip(1)), **CLOSE)


def test_heads_of_several_labels_say_so(vit_folder: Path) -> None:
    change(vit_folder, "config.json", problem_type="multi_label_classification")
    assert load_classifier(f"hf:{vit_folder}").multi_label


def test_loading_from_a_folder_is_silent_and_leaves_no_trace(
    vit_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = torch.get_rng_state()
    load_classifier(f"hf:{vit_folder}")
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "settings",
    [
        {"resample": 1},
        {"size": {"height": 32, "width": 40}},
        {"size": {"shortest_edge": 32}},
        {"size": {"longest_edge": 32}},
        {"do_resize": False},
        {"do_center_crop": True, "crop_size": {"height": 40, "width": 40}},
        {"image_mean": ["a", "b", "c"]},
        {"image_processor_type": "EfficientNetImageProcessor", "resample": 2, "include_top": True},
        {
            "image_processor_type": "PoolFormerImageProcessor", "crop_pct": 0.8, "do_center_crop": True,
            "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32},
        },
    ],
    ids=str,
)  # fmt: skip
def test_processors_that_do_something_else_are_refused(settings: dict[str, Any], vit_folder: Path) -> None:
    change(vit_folder, "preprocessor_config.json", **settings)
    one_line(f"hf:{vit_folder}", "cannot follow its image processor")


def test_folders_of_no_classifier_are_refused(vit_folder: Path, tmp_path: Path, offline: Path) -> None:
    one_line(f"hf:{vit_folder}", "comes with its own, got", vit_folder / "model.safetensors")
    message = one_line("hf:someone/vit", "classifier: hf:someone/vit is no folder")
    assert "'hf download someone/vit --local-dir FOLDER', then use hf:FOLDER" in message
    one_line(f"hf:{tmp_path}/missing", "no such folder")
    state = load_file(vit_folder / "model.safetensors")
    del state["classifier.weight"]
    save_file(state, vit_folder / "model.safetensors", {"format": "pt"})
    one_line(f"hf:{vit_folder}", r"does not fit ViTForImageClassification: it lacks classifier.weight")
    (vit_folder / "model.safetensors").write_bytes(b"")
    one_line(f"hf:{vit_folder}", "holds no image classifier that transformers can load")


# CLIP


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("cat\n\n  a red dog \nhen\n")
    return tmp_path / "labels.txt"


@pytest.mark.parametrize(
    ("said", "texts"),
    [
        ("", ["a photo of a cat", "a photo of a a red dog", "a photo of a hen"]),
        (",template=one, or two {}", ["one, or two cat", "one, or two a red dog", "one, or two hen"]),
    ],
)
def test_clip_says_which_text_is_nearest(
    said: str, texts: list[str], clip_folder: Path, labels: Path, photos: list[Tensor],
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import transformers

    monkeypatch.setattr("models.classifiers.clip._TEXTS", 2)
    classifier = load_classifier(f"clip:{clip_folder}@labels={labels}{said}")
    assert capfd.readouterr() == ("", "")
    assert classifier.labels == ("cat", "a red dog", "hen")
    transformers.utils.logging.disable_progress_bar()
    network = transformers.CLIPModel.from_pretrained(clip_folder).eval()
    transformers.utils.logging.enable_progress_bar()
    words = transformers.AutoTokenizer.from_pretrained(clip_folder)(texts, padding=True, return_tensors="pt")
    processor = transformers.AutoImageProcessor.from_pretrained(clip_folder)
    for photo in photos:
        seen = processor(images=photo[0], do_rescale=False, return_tensors="pt")
        expected = network(**words, **seen).logits_per_image.detach()
        assert expected.std() > 0.01
        torch.testing.assert_close(classifier(photo), expected, **CLOSE)


def test_clip_needs_a_list_of_labels(clip_folder: Path, labels: Path, tmp_path: Path) -> None:
    form = "expected clip:PLACE@labels=FILE"
    for said in ("", "@", "@labels=", "@template=a {}", f"@labels={labels},size=3"):
        one_line(f"clip:{clip_folder}{said}", form)
    one_line(f"clip:{clip_folder}@labels={labels},template=a photo", "template: expected a text with {}")
    one_line(f"clip:{clip_folder}@labels={tmp_path}/none.txt", "labels: cannot read .*none.txt")
    labels.write_text("\n \n")
    one_line(f"clip:{clip_folder}@labels={labels}", "labels: expected one a line, got none")


def test_other_models_are_no_clip(vit_folder: Path, labels: Path, offline: Path) -> None:
    one_line(
        f"clip:{vit_folder}@labels={labels}",
        "weights: .* does not fit ViTModel: it lacks|expected a CLIP model, got 'vit'",
    )
    message = one_line(f"clip:someone/clip@labels={labels}", "clip:someone/clip is no folder")
    assert "then use clip:FOLDER" in message


def test_clip_without_a_tokenizer_is_refused(clip_folder: Path, labels: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for file in clip_folder.iterdir():
        if file.name.endswith(("safetensors", "config.json")) and not file.name.startswith("tokenizer"):
            (tmp_path / "bare" / file.name).write_bytes(file.read_bytes())
    one_line(f"clip:{tmp_path}/bare@labels={labels}", "has no usable tokenizer")


# files


def program(path: Path, network: nn.Module, batch: int | None = None, side: int = 32) -> Path:
    """Save by torch.export (for any number of images, or just so many), or as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt2":
            free = ({0: torch.export.Dim.DYNAMIC},) if batch is None else None
            exported = torch.export.export(
                network, (torch.rand(batch or 2, 3, side, side),), dynamic_shapes=free
            )
            torch.export.save(exported, path)
        else:
            torch.jit.save(torch.jit.trace(network, torch.rand(1, 3, side, side)), path)
    return path


@pytest.mark.parametrize(("suffix", "batch"), [(".pt", None), (".pt2", None), (".pt2", 1)])
def test_programs_run_as_the_network_does(
    suffix: str, batch: int | None, tmp_path: Path, photos: list[Tensor], capfd: pytest.CaptureFixture[str]
) -> None:
    from torchvision.transforms._presets import ImageClassification

    network, path = small(), tmp_path / f"net{suffix}"
    program(path, network, batch)
    said = {
        "crop": 32,
        "resize": 40,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.3],
        "labels": list("abcde"),
    }
    (tmp_path / "net.json").write_text(json.dumps(said))
    capfd.readouterr()
    classifier = load_classifier(f"file:{path}")
    assert capfd.readouterr() == ("", "")
    assert classifier.labels == ("a", "b", "c", "d", "e")
    preset = ImageClassification(crop_size=32, resize_size=40, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.3))
    seen = torch.cat([preset(photo) for photo in photos])
    views = torch.stack([classifier.view(photo[0]) for photo in photos])
    torch.testing.assert_close(classifier(views), network(seen), **CLOSE)
    prepared = prepare(classifier, "float32", views[:1])
    torch.testing.assert_close(prepared(views), network(seen), **CLOSE)


def test_programs_that_say_nothing_see_what_imagenets_do(tmp_path: Path) -> None:
    classifier = load_classifier(f"file:{program(tmp_path / 'net.pt', small(7), side=224)}")
    assert classifier.labels == tuple(f"class {index}" for index in range(7))
    assert (classifier.crop, classifier.resize, classifier.interpolation) == (224, 256, "bilinear")
    assert tuple(classifier.mean.flatten().tolist()) == pytest.approx(IMAGENET_MEAN)
    assert tuple(classifier.std.flatten().tolist()) == pytest.approx(IMAGENET_STD)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{", "cannot read .*net.json"),
        ("[]", "expected an object with crop, resize"),
        ('{"size": 3}', "unknown key 'size'; known: crop"),
        ('{"crop": "big"}', "cannot understand crop = 'big'"),
        ('{"crop": true}', "cannot understand crop = True"),
        ('{"mean": 0.5}', "cannot understand mean = 0.5"),
        ('{"resize": [1, 2, 3]}', "cannot understand resize"),
        ('{"crop": 32, "resize": 30}', "expected 1 <= crop <= resize, got 32 and 30"),
        ('{"crop": 32, "interpolation": "lanczos"}', "expected 'bilinear' or 'bicubic', got 'lanczos'"),
        ('{"crop": 32, "labels": ["a"]}', "has 5 classes, but names 1"),
        ('{"crop": 32, "labels": "a"}', "cannot understand labels"),
        ('{"crop": 32, "mean": [0.5], "std": [0.5]}', "fails on 1 of 32 x 32 pixels"),
    ],
)
def test_what_the_file_beside_says_must_make_sense(said: str, message: str, tmp_path: Path) -> None:
    path = program(tmp_path / "net.pt", small())
    (tmp_path / "net.json").write_text(said)
    one_line(f"file:{path}", message)


@pytest.mark.parametrize("name", ["net.pt", "net.pt2"])
def test_other_files_are_no_programs(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    one_line(f"file:{path}", "no such file")
    path.write_bytes(b"no program")
    one_line(f"file:{path}", "is damaged, or no file of (TorchScript|torch.export)")
    torch.save(small().state_dict(), path)
    one_line(f"file:{path}", "is damaged, or no file of")
    one_line(f"file:{path}", "comes with its own", path)
    assert capfd.readouterr() == ("", "")


def test_programs_that_do_not_classify_are_refused(tmp_path: Path) -> None:
    path = program(tmp_path / "net.pt", nn.Conv2d(3, 2, 1))
    (tmp_path / "net.json").write_text('{"crop": 32}')
    one_line(f"file:{path}", r"must return logits of shape \(images, classes\), got \(1, 2, 32, 32\)")


# functions

MODULE = """
import torch
from torch import nn
from models.preprocessing import Preprocessing
from models.classifiers import ImageClassifier

class Net(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))

def whole():
    return ImageClassifier(Net(), Preprocessing(crop=8, resize=9), labels=("r", "g", "b"))

def module():
    return Net()

def told():
    net = Net()
    net.crop, net.mean, net.std, net.labels = 16, torch.zeros(3, 1, 1), [1, 1, 1], ["r", "g", "b"]
    return net

def function():
    return lambda images: images.amax((2, 3))

def nothing():
    return None

def shape():
    return nn.Identity()

def broken():
    raise KeyError("two\\nlines")

def takes(size):
    return Net()

number = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's, which can be imported while the test runs."""
    name = "planted_classifiers"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / name / "nets.py").write_text(MODULE)
    (tmp_path / name / "wrong.py").write_text("def f(:\n")
    (tmp_path / name / "needy.py").write_text("import no_such_package_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    return name


def test_functions_return_classifiers_modules_and_callables(package: str) -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = load_classifier(f"python:{package}.nets:whole")
    assert (whole.crop, whole.resize, whole.labels) == (8, 9, ("r", "g", "b"))
    torch.testing.assert_close(whole(images), ((images - whole.mean) / whole.std).mean((2, 3)))
    told = load_classifier(f"python:{package}.nets:told")
    assert (told.crop, told.resize, told.labels) == (16, 18, ("r", "g", "b"))
    assert told(torch.full((1, 3, 20, 30), 0.25)).tolist() == [pytest.approx([0.25] * 3)]
    plain = load_classifier(f"python:{package}.nets:module")
    assert (plain.crop, plain.labels) == (224, ("class 0", "class 1", "class 2"))
    function = load_classifier(f"python:{package}.nets:function")
    large = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected = ((large - function.mean) / function.std).amax((2, 3))
    torch.testing.assert_close(function(large), expected)
    torch.testing.assert_close(prepare(function, "float32", large[:1])(large), expected)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{0}.nets", "expected python:package.module:function"),
        (":whole", "expected python:package.module:function"),
        ("{0}.nets:a.b", "expected python:package.module:function"),
        ("{0}.none:whole", r"cannot import .*none \(ModuleNotFoundError: .*is it on PYTHONPATH"),
        ("{0}.wrong:whole", r"cannot import .*wrong \(SyntaxError: "),
        ("{0}.needy:whole", r"cannot import .*needy \(ModuleNotFoundError: .*no_such_package_at_all"),
        ("{0}.nets:none", "has no function 'none'"),
        ("{0}.nets:number", "has no function 'number'"),
        ("{0}.nets:broken", r"broken\(\) fails \(KeyError: "),
        ("{0}.nets:takes", r"takes\(\) fails \(TypeError: "),
        ("{0}.nets:nothing", "must return a module or a callable, got NoneType"),
        ("{0}.nets:shape", r"must return logits of shape \(images, classes\), got \(1, 3, 224, 224\)"),
    ],
)
def test_functions_that_fail_are_refused(place: str, message: str, package: str, tmp_path: Path) -> None:
    one_line(f"python:{place.format(package)}", message)
    one_line(f"python:{place.format(package)}", "weights: expected none", tmp_path)


# Places365


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


# names


@pytest.mark.parametrize("name", ["zzz:net", "timm:", "hf:", "file", "places364", ":", "Timm:resnet18"])
def test_other_names_are_refused(name: str) -> None:
    forms = "expected 'scenes', a torchvision network or one of the forms timm:NAME, hf:"
    expected = f"unknown classifier '{name}'.*{forms}"
    one_line(name, expected)
    with pytest.raises(ValueError, match=expected):
        build_classifier(name, None)


def test_the_registry_lets_the_forms_pass(package: str) -> None:
    assert build_classifier(f"python:{package}.nets:whole", None).labels == ("r", "g", "b")
    text = "\n".join(listing.lines(every=False))
    for form in ("timm:NAME", "hf:FOLDER", "clip:FOLDER", "file:PATH", "python:M:F", "places365"):
        assert f"\n  {form} " in text


@pytest.mark.parametrize(
    ("resize", "size"), [((30, 20), (50, 70)), ((24, 24), (24, 60)), ((25, 24), (90, 31))]
)
def test_images_are_resized_to_a_height_and_width(
    resize: tuple[int, int], size: tuple[int, int], smooth_image: Callable[..., Tensor]
) -> None:
    from torchvision.transforms import v2

    classifier = ImageClassifier(nn.Identity(), Preprocessing(crop=20, resize=resize))
    image = smooth_image(*size)[0]
    expected = v2.Compose([v2.Resize(resize, antialias=True), v2.CenterCrop(20)])(image)
    torch.testing.assert_close(classifier.view(image), expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="expected 1 <= crop <= resize"):
        Preprocessing(crop=26, resize=resize)
