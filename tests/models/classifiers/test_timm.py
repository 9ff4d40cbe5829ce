"""Timm's networks: each as timm itself would run it."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_classifiers import CLOSE, one_line, seeded
from torch import Tensor, nn

from models.classifiers import load_classifier


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
    one_line("timm:resnet18", r"timm:resnet18 needs timm, which is not installed: pip .*\[hub\]")
