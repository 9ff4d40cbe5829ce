"""Fixtures shared by the tests of classifiers."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_classifiers import saved, vit
from torch import Tensor

SIZES = [(60, 84), (91, 50)]

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


@pytest.fixture
def vit_folder(tmp_path: Path) -> Path:
    import transformers

    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    return saved(tmp_path / "vit", vit(), processor)


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
