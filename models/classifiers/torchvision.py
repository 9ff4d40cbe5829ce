"""Torchvision's classification networks: their names, how they want their images, and how to build them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.classifiers import metadata
from models.classifiers.image_classifier import ImageClassifier
from models.classifiers.transforms import published
from models.preprocessing import Preprocessing
from models.weights.checkpoint import Checkpoint, load_state, renamed
from models.weights.torchvision import published_checkpoint

_CLASSES = 1000
_WAYS = "pass --weights FILE; 'scenes' needs no download"


def names() -> tuple[str, ...]:
    """Return the names of torchvision's classification networks."""
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models))


def load(name: str, checkpoint: Checkpoint | None = None) -> ImageClassifier:
    """Return the network of this name with torchvision's own weights, or with those of a file.

    ``NAME@v1`` is the network with a certain version of torchvision's weights, see `catalog.known`.
    Torchvision's own files are known by their name. For any other file that does not say, the preprocessing
    is that of the first weights that torchvision published for this network; a file that gives its crop
    alone is resized to 256/224 of it.

    Raises:
        ValueError: If the weights cannot be had or do not fit, or their metadata cannot be understood.
    """
    checkpoint = checkpoint or published_checkpoint(name, _WAYS)
    name = name.partition("@")[0]
    entry, published = nearest_entry(name, checkpoint.path)
    stated = metadata.from_texts(checkpoint.metadata, checkpoint.path)
    preprocessing = stated.preprocessing(preprocessing_of(entry))
    checkpoint = renamed(checkpoint, _old_names(name))
    network, classes = _filled(name, checkpoint, _options(name, checkpoint, preprocessing, published))
    labels = stated.labels
    if labels is None and classes == len(entry.meta["categories"]):
        labels = tuple(entry.meta["categories"])
    names_of_classes = metadata.class_names(labels, classes, f"weights: {checkpoint.path}")
    return ImageClassifier(network, preprocessing, names_of_classes, bool(stated.multi_label))


def nearest_entry(name: str, path: Path) -> tuple[Any, bool]:
    """Return torchvision's entry for weights in this file, and whether the file is what the entry publishes.

    It is known by its name. For other files it is the first entry of the network.
    """
    import torchvision

    entries = list(torchvision.models.get_model_weights(name))
    own = [entry for entry in entries if entry.url.rsplit("/", 1)[-1] == path.name]
    return (own or entries)[0], bool(own)


def preprocessing_of(entry: Any) -> Preprocessing:
    """Return the preprocessing that torchvision publishes with weights."""
    return published(entry.transforms())


def _filled(name: str, checkpoint: Checkpoint, options: dict[str, Any]) -> tuple[nn.Module, int]:
    """Return the network with the file's weights, and the number of the file's classes."""
    network = _built(name, options)
    head = [key for key, value in network.state_dict().items() if value.shape[:1] == (_CLASSES,)][-1]
    # One number has no length, and is refused below as everything that does not fit.
    classes = next(iter(checkpoint.state[head].shape), _CLASSES) if head in checkpoint.state else _CLASSES
    if classes != _CLASSES:
        network = _built(name, {**options, "num_classes": classes})
    load_state(network, checkpoint, name)
    return network, classes


def _built(name: str, options: dict[str, Any]) -> nn.Module:
    import torchvision

    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network


def _options(
    name: str, checkpoint: Checkpoint, preprocessing: Preprocessing, published: bool
) -> dict[str, Any]:
    """Return what else torchvision needs to build the network that this file is for."""
    if name in ("inception_v3", "googlenet"):
        # Torchvision's own weights, and what was trained from them, expect TensorFlow's normalization, which
        # the network makes of ImageNet's; a file that says another mean says what it expects itself.
        expects = published or "mean" not in checkpoint.metadata
        auxiliary = any(key.lower().startswith("aux") for key in checkpoint.state)
        return {"init_weights": False, "aux_logits": auxiliary, "transform_input": expects}
    if name.startswith("vit_"):
        return {"image_size": preprocessing.crop}
    if name == "maxvit_t":
        return {"input_size": (preprocessing.crop, preprocessing.crop)}
    return {}


def _old_names(name: str) -> Mapping[str, str]:
    """Return how torchvision's older files call the network's tensors, and how they are called today."""
    if name.startswith("densenet"):
        return {r"(denselayer\d+\.(?:norm|conv))\.(\d\.)": r"\1\2"}
    if name.startswith("vit_"):
        return {r"\.mlp\.linear_1\.": ".mlp.0.", r"\.mlp\.linear_2\.": ".mlp.3."}
    return {}
