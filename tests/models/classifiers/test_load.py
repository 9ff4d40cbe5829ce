"""Classifiers' names."""

import pytest
import torch
from tiny_classifiers import one_line

from models.classifiers import load_classifier
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
