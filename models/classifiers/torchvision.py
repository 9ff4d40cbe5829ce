"""Torchvision's classification networks: their names, how they want their images, and how to build them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from models import preprocessing as eyes
from models.weights import store
from models.weights.checkpoint import Checkpoint, load_state, read_checkpoint

_CLASSES = 1000


@dataclass(frozen=True)
class Preset:
    """How a network wants its images, and what it calls its classes.

    Attributes:
        own: Whether the weights are torchvision's own.
        multi_label: Whether an image may be of several classes.
    """

    crop: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    labels: tuple[str, ...]
    own: bool
    multi_label: bool = False


def names() -> tuple[str, ...]:
    """Return the names of torchvision's classification networks."""
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models))


def own(name: str, otherwise: str) -> Checkpoint:
    """Read torchvision's best weights for this network, fetching them if they are not here.

    ``otherwise`` is what else the user may do without them.

    Raises:
        ValueError: If they are neither here nor to be fetched, or damaged.
    """
    try:
        found = store.fetch(name)
    except ValueError as error:
        place = store.location(name)
        if place.is_file():
            raise
        fetching = f"run `infill weights fetch {name}` where there is a network"
        raise ValueError(
            f"{error}; {fetching}, or put the file into {place.parent}, or {otherwise}"
        ) from error
    return read_checkpoint(found)


def preset(name: str, checkpoint: Checkpoint) -> Preset:
    """Return what the file says of itself, completed by torchvision's transforms.

    Torchvision's own files are known by their name. For any other file that does not say, the transforms
    are those of the first weights that torchvision published for this network; a file that gives its crop
    alone is resized to 256/224 of it.

    Raises:
        ValueError: If the file's metadata cannot be understood.
    """
    import torchvision

    every = list(torchvision.models.get_model_weights(name))
    own = [weights for weights in every if weights.url.rsplit("/", 1)[-1] == checkpoint.path.name]
    like = (own or every)[0]
    known = like.transforms()
    said = eyes.metadata(checkpoint.metadata, checkpoint.path)
    crop = said.get("crop", known.crop_size[0])
    resize = round(crop * 256 / 224) if "crop" in said else known.resize_size[0]
    return Preset(
        crop=crop,
        resize=said.get("resize", resize),
        mean=said.get("mean", tuple(known.mean)),
        std=said.get("std", tuple(known.std)),
        interpolation=said.get("interpolation", known.interpolation.value),
        labels=said.get("labels", tuple(like.meta["categories"])),
        own=bool(own),
        multi_label=said.get("multi_label", False),
    )


def build(name: str, checkpoint: Checkpoint, preset: Preset) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the network with the file's weights and number of classes, and the names of these classes.

    Raises:
        ValueError: If the weights do not fit, or the file names another number of classes than it has.
    """
    checkpoint = replace(checkpoint, state=_renamed(name, checkpoint))
    options = _options(name, checkpoint, preset)
    network = _made(name, options)
    head = [key for key, value in network.state_dict().items() if value.shape[:1] == (_CLASSES,)][-1]
    classes = len(checkpoint.state[head]) if head in checkpoint.state else _CLASSES
    if classes != _CLASSES:
        network = _made(name, {**options, "num_classes": classes})
    load_state(network, checkpoint, name)
    labels = preset.labels
    if classes != len(labels):
        if "labels" in checkpoint.metadata:
            raise ValueError(f"weights: {checkpoint.path} has {classes} classes, but names {len(labels)}")
        labels = tuple(f"class {index}" for index in range(classes))
    return network, labels


def _made(name: str, options: dict[str, Any]) -> nn.Module:
    import torchvision

    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network


def _options(name: str, checkpoint: Checkpoint, preset: Preset) -> dict[str, Any]:
    """Return what else torchvision must be told to build the network that this file is for."""
    if name in ("inception_v3", "googlenet"):  # torchvision's own weights expect TensorFlow's normalization
        auxiliary = any(key.lower().startswith("aux") for key in checkpoint.state)
        return {"init_weights": False, "aux_logits": auxiliary, "transform_input": preset.own}
    if name.startswith("vit_"):
        return {"image_size": preset.crop}
    if name == "maxvit_t":
        return {"input_size": (preset.crop, preset.crop)}
    return {}


def _renamed(name: str, checkpoint: Checkpoint) -> Mapping[str, Tensor]:
    """Give old DenseNet files (``denselayer1.norm.1``) today's names (``denselayer1.norm1``)."""
    if not name.startswith("densenet"):
        return checkpoint.state
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")
    return {old.sub(r"\1\2", key): value for key, value in checkpoint.state.items()}
