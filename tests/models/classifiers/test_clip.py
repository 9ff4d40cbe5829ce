"""CLIP models as classifiers of what a list names: each as transformers itself would run it."""

from pathlib import Path

import pytest
import torch
from tiny_classifiers import CLOSE, one_line, save_clip
from torch import Tensor

from models.classifiers import load_classifier


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
