"""Transformers' classifiers: each as transformers itself would run it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_classifiers import CLOSE, one_line, saved, seeded, vit
from torch import Tensor

from models.classifiers import load_classifier


def change(folder: Path, file: str, **values: Any) -> None:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **values}))


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
