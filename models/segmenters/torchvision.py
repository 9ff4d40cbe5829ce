"""Torchvision's semantic segmenters."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.segmenters.labels import background_of
from models.segmenters.semantic import Segmenter
from models.weights.checkpoint import Checkpoint, load_state, read_checkpoint
from models.weights.torchvision import published_checkpoint

_WAYS = "pass --segmenter-weights FILE"
_HEADS = ("classifier.4.weight", "classifier.high_classifier.weight")  # deeplabv3 and fcn, lraspp


class _Out(nn.Module):
    """What torchvision's segmenters return under the name ``out``: the logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)["out"]
        return logits


def names() -> tuple[str, ...]:
    """Return the names of torchvision's semantic segmenters."""
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models.segmentation))


def load(name: str, weights: Path | None = None) -> Segmenter:
    """Return torchvision's network of this name, with its own weights or those in a file.

    Raises:
        ValueError: If the weights cannot be had, do not fit, or are of another network.
    """
    import torchvision

    checkpoint = published_checkpoint(name, _WAYS) if weights is None else read_checkpoint(weights)
    arch = checkpoint.metadata.get("arch", name).removeprefix("torchvision.")
    if arch != name:
        raise ValueError(f"weights: {checkpoint.path} is for {arch}, not for {name}")
    like = torchvision.models.get_model_weights(name).DEFAULT
    # The auxiliary head is for training, and not every file has one.
    state = {key: value for key, value in checkpoint.state.items() if not key.startswith("aux_classifier.")}
    published_labels = tuple(like.meta["categories"])
    heads = (state[key].shape[:1].numel() for key in _HEADS if key in state)
    classes = next(heads, len(published_labels))
    labels, background = _classes(checkpoint, classes, published_labels)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        network = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=classes)
    load_state(network, replace(checkpoint, state=state), name)
    return Segmenter(_Out(network), labels, background, _preprocessing(like.transforms()))


def _preprocessing(transforms: Any) -> Preprocessing:
    return Preprocessing(
        crop=None,
        resize=transforms.resize_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )


def _classes(
    checkpoint: Checkpoint, count: int, known: tuple[str, ...]
) -> tuple[tuple[str, ...], int | None]:
    """Return what the classes are called, and which of them is the background."""
    text = checkpoint.metadata.get("labels")
    if text is None and count != len(known):
        # Torchvision's networks count the background as the first class.
        return tuple(f"class {index}" for index in range(count)), 0
    try:
        names = known if text is None else json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, (list, tuple)):
        raise ValueError(f"weights: {checkpoint.path}: cannot understand labels = {text!r}")
    if len(names) != count:
        raise ValueError(f"weights: {checkpoint.path} has {count} classes, but names {len(names)}")
    labels = tuple(str(label) for label in names)
    return labels, background_of(labels)
