"""Classifiers' names."""

import json
from pathlib import Path

import pytest
import torch
from tiny_classifiers import one_line

from models.classifiers import digits, load_classifier
from models.classifiers import scenes as scene_classifier
from models.weights.checkpoint import save_safetensors
from studio.cli import names
from studio.registry.build import build_classifier


@pytest.mark.parametrize("name", ["zzz:net", "timm:", "hf:", "file", "places364", ":", "Timm:resnet18"])
def test_other_names_are_refused(name: str) -> None:
    forms = "expected 'scenes', a torchvision network or one of the forms timm:NAME, hf:"
    expected = f"unknown classifier '{name}'.*{forms}"
    one_line(name, expected)
    with pytest.raises(ValueError, match=expected):
        build_classifier(name, None)


def test_the_registry_lets_the_forms_pass(package: str) -> None:
    assert build_classifier(f"python:{package}.nets:whole", None).labels == ("r", "g", "b")
    text = "\n".join(names.lines(every=False))
    for form in ("timm:NAME", "hf:FOLDER", "clip:FOLDER", "file:PATH", "python:M:F", "places365"):
        assert f"\n  {form} " in text


def test_unknown_names_are_refused() -> None:
    message = (
        r"unknown classifier 'resnet51'; did you mean 'resnet50'\? .*; expected 'scenes', a torchvision net"
    )
    with pytest.raises(ValueError, match=message):
        load_classifier("resnet51")


def test_the_shipped_classifier_knows_scenes() -> None:
    from models import scenes

    classifier = load_classifier()
    drawn = [scenes.draw(index, objects=1) for index in range(8)]
    logits = classifier(torch.stack([scene.image for scene in drawn]))
    assert classifier.labels == scenes.CLASSES
    assert [int(top) for top in logits.argmax(1)] == [scene.labels[0] for scene in drawn]


def test_a_file_for_scenes_says_how_it_wants_its_images_and_what_its_classes_are(tmp_path: Path) -> None:
    labels = [f"class {i} of mine" for i in range(12)]
    stated = {
        "arch": "scenes",
        "crop": "64",
        "mean": "0.5,0.5,0.5",
        "labels": json.dumps(labels),
        "multi_label": "true",
    }
    save_safetensors(tmp_path / "mine.safetensors", scene_classifier.load(), stated)
    found = load_classifier(None, tmp_path / "mine.safetensors")
    assert (found.crop, found.labels, found.multi_label) == (64, tuple(labels), True)
    assert found.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    stated["labels"] = json.dumps(["x"])
    save_safetensors(tmp_path / "mine.safetensors", scene_classifier.load(), stated)
    with pytest.raises(ValueError, match=r"mine\.safetensors has 12 classes, but names 1"):
        load_classifier(None, tmp_path / "mine.safetensors")


@pytest.mark.parametrize("labels", ['"5"', "a,b", "5"])
def test_odd_labels_of_digits_name_their_file(tmp_path: Path, labels: str) -> None:
    path = tmp_path / "odd.safetensors"
    save_safetensors(path, digits.DigitClassifier(), {"arch": "digits", "labels": labels})
    with pytest.raises(ValueError, match=r"odd\.safetensors: cannot understand labels"):
        load_classifier(f"digits:{path}")
