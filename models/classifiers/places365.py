"""Places365's ResNet-50 (Zhou et al. 2017, "Places: a 10 million image database for scene recognition")."""

import re
from pathlib import Path

import torch

from models.classifiers import metadata
from models.classifiers.image_classifier import ImageClassifier
from models.weights import store
from models.weights.checkpoint import load_state, read_checkpoint
from models.weights.libraries import one_line

CLASSES = 365
CATEGORIES = "categories_places365.txt"
"""The published list of the classes, which is looked for beside the weights."""
_LINE = re.compile(r"/\w/(\S+) (\d+)")


def load(_: str = "", weights: Path | None = None) -> ImageClassifier:
    """Return the network with the published weights, where `store` keeps them, or those in a file.

    It wants images as ImageNet's usual networks do. Its classes are called as the published list beside the
    weights calls them (``airfield``), or ``class 0`` and so on without one.

    Raises:
        ValueError: If the weights are not here or do not fit, or the list cannot be understood.
    """
    import torchvision

    path = weights or _published()
    beside = path.with_name(CATEGORIES)
    checkpoint = read_checkpoint(path)
    stated = metadata.from_texts(checkpoint.metadata, path)
    named = stated.labels or (_labels(beside) if beside.is_file() else None)
    labels = metadata.class_names(named, CLASSES, f"weights: {path}")
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        network = torchvision.models.resnet50(weights=None, num_classes=CLASSES)
    load_state(network, checkpoint, "Places365's resnet50")
    return ImageClassifier(network, stated.preprocessing(), labels, bool(stated.multi_label))


def _published() -> Path:
    try:
        return store.path("places365")
    except ValueError as error:
        raise ValueError(f"{error}; or pass --weights FILE") from error


def _labels(path: Path) -> tuple[str, ...]:
    """Read lines such as ``/a/airfield 0``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"weights: cannot read {path} ({one_line(error)})") from error
    matches = [_LINE.fullmatch(text.strip()) for text in lines if text.strip()]
    names = {int(each[2]): each[1] for each in matches if each}
    if None in matches or len(matches) != CLASSES or names.keys() != set(range(CLASSES)):
        raise ValueError(f"weights: {path}: expected {CLASSES} lines such as '/a/airfield 0', one a class")
    return tuple(names[index] for index in range(CLASSES))
