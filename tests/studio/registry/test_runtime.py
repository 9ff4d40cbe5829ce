"""What runs a classifier, and how that is told."""

import pytest
import torch
from torch import nn

from attribution.engine.precision import prepare
from models.classifiers import ImageClassifier
from models.preprocessing import Preprocessing
from studio.registry.runtime import precision_kept, running


class Tokens(nn.Module):
    """Sees whole images at once."""

    def forward(self, images):
        return images.flatten(1)[:, :4]


class Instant(nn.Module):
    """Changes its maps in place."""

    def forward(self, images):
        images[:, :, 0] = 0
        return images.mean((2, 3))


def classifier(network):
    torch.manual_seed(0)
    return ImageClassifier(network, Preprocessing(crop=32, resize=32))


def convolutions():
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), *head)


@pytest.mark.parametrize(
    ("network", "fixed", "words"),
    [
        (convolutions(), True, "incremental (1"),
        (convolutions(), False, "eager (incremental: a box or a region is asked of another network"),
        (nn.Sequential(Tokens(), nn.Linear(4, 3)), True, "eager (incremental: its layers see whole maps"),
        (Instant(), True, "eager (incremental: the network cannot be followed: __setitem__"),
    ],
)
def test_incremental_is_told_with_what_it_saves_or_why_not(network, fixed, words):
    given = classifier(network)
    run, told = running(given, "incremental", ["sp"], fixed)
    assert run is given
    assert told.startswith(words), told


def test_auto_takes_it_for_methods_that_remove_patches():
    assert running(classifier(convolutions()), "auto", ["sp", "pda"])[1].startswith("incremental (")
    assert not running(classifier(Instant()), "auto", ["sp"])[1].startswith("incremental (")
    assert not running(classifier(convolutions()), "auto", ["sp", "lime"])[1].startswith("incremental (")


@pytest.mark.parametrize(("fast", "other"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_the_precision_of_the_processor_is_kept_in_place_of_auto(fast, other, monkeypatch):
    for place in ("infill.network", "attribution.engine.precision"):
        monkeypatch.setattr(f"{place}.fast_dtype", lambda device: getattr(torch, fast))
    cpu, image = torch.device("cpu"), torch.rand(1, 3, 32, 32)
    prepared = prepare(classifier(convolutions()), "auto", image)
    assert precision_kept("auto", cpu, prepared) == precision_kept("auto", cpu, None) == fast
    unlike = prepare(classifier(convolutions()), other, image)
    assert precision_kept("auto", cpu, unlike) == f"{fast}, the classifier {other}"
    assert [precision_kept(each, cpu, prepared) for each in (fast, other)] == [fast, other]
