"""The library timm's networks, with its own weights or those in a file."""

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.classifiers import metadata
from models.classifiers.image_classifier import ImageClassifier
from models.classifiers.metadata import Metadata
from models.preprocessing import Preprocessing
from models.spelling import suggestion
from models.weights import catalog, store
from models.weights import hub as hub_cache
from models.weights.checkpoint import Checkpoint, load_state, read_checkpoint
from models.weights.libraries import import_library, one_line, quiet


def load(name: str, weights: Path | None = None) -> ImageClassifier:
    """Return timm's network of this name, with or without the tag of its weights (``resnet10t.c3_in1k``).

    Size, crop, interpolation and normalization are those of timm's data config, the classes ImageNet's where
    there are as many. A safetensors file may say otherwise in its metadata (`load_classifier`).

    Raises:
        ValueError: If timm is missing or has no such network, or the weights cannot be had or do not fit.
    """
    timm = import_library("timm", f"classifier: timm:{name}")
    config = _published(timm, name)
    place, stated = f"classifier: timm:{name}", Metadata()
    if weights is None:
        network = _own(timm, name, config)
    else:
        checkpoint, place = read_checkpoint(weights), f"weights: {weights}"
        _agree(name, checkpoint)
        network = _filled(timm, name, config, checkpoint)
        stated = metadata.from_texts(checkpoint.metadata, checkpoint.path)
    count = int(getattr(network, "num_classes", 0))
    if count < 1:
        raise ValueError(f"{place} has no classes: timm offers it for features alone")
    preprocessing = stated.preprocessing(_preprocessing(timm.data.resolve_model_data_config(network), name))
    labels = _imagenet(timm, count) if stated.labels is None else stated.labels
    names = metadata.class_names(labels, count, place)
    return ImageClassifier(network, preprocessing, names, bool(stated.multi_label))


def _published(timm: Any, name: str) -> Mapping[str, Any]:
    """Return what timm says of this network and its published weights."""
    if not timm.is_model(name):
        hint = suggestion(name.split(".")[0], timm.list_models())
        raise ValueError(f"classifier: timm has no network {name!r}{hint}")
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # an unknown tag
        raise ValueError(f"classifier: timm:{name}: {one_line(error)}") from error
    published: dict[str, Any] = config.to_dict() if config else {}
    return published


def _agree(name: str, checkpoint: Checkpoint) -> None:
    arch = checkpoint.metadata.get("arch", "")
    if arch and arch.removeprefix("timm.") not in (name, name.split(".")[0]):
        raise ValueError(f"weights: {checkpoint.path} is for {arch}, not for timm.{name}")


def _own(timm: Any, name: str, config: Mapping[str, Any]) -> nn.Module:
    """Return the network with timm's own weights, which the hub's client, or torch hub's folder, keeps."""
    model, url = config.get("hf_hub_id"), config.get("url")
    if not (model or url):
        raise ValueError(f"weights: timm publishes none for {name}; pass --weights FILE")
    with quiet("timm"):
        file = _of_hub(name, model, config.get("hf_hub_filename")) if model else _of_url(name, str(url))
        try:
            with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
                # What else timm says of how to read the file is for its other sources.
                given = {"file": str(file), "custom_load": False}
                network: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=given)
        except Exception as error:  # damaged files, other networks: each has a kind of its own
            raise ValueError(f"weights: {file} does not fit timm's {name} ({one_line(error)})") from error
    return network


def _of_hub(name: str, model: str, file: str | None) -> Path:
    """Return the file of a model on the hub: tensors, or if it has none, pickled ones."""
    from huggingface_hub import snapshot_download

    files = [file] if file else ["model.safetensors", "pytorch_model.bin"]

    def take(local: bool) -> Path:
        for one in files:
            folder = Path(snapshot_download(model, allow_patterns=[one], local_files_only=local))
            if (folder / one).is_file():
                return folder / one
        raise ValueError(f"it has no {' or '.join(files)}")

    try:
        return hub_cache.obtained(model, take)
    except ValueError as error:
        fetching = f"run `hf download {model} {files[0]}` where there is a network"
        raise ValueError(
            f"weights: cannot get timm's for {name} from https://huggingface.co/{model} ({error}); "
            f"{fetching}, or pass that file as --weights FILE"
        ) from error


def _of_url(name: str, url: str) -> Path:
    """Return the file of this address, kept where torch hub keeps it."""
    try:
        return store.obtain(catalog.at_torch_hub(f"timm:{name}", url, "not stated", "classifier: timm's"))
    except ValueError as error:
        raise ValueError(f"{error}; get it elsewhere, and pass it as --weights FILE") from error


def _filled(timm: Any, name: str, config: Mapping[str, Any], checkpoint: Checkpoint) -> nn.Module:
    """Return the network with the file's weights and number of classes."""
    head = config.get("classifier") or ()
    heads = (head,) if isinstance(head, str) else tuple(head)
    tensors = (checkpoint.state.get(f"{key}.{part}") for key in heads for part in ("weight", "bias"))
    rows = next((len(tensor) for tensor in tensors if tensor is not None), None)
    options = {} if rows is None else {"num_classes": rows}
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = timm.create_model(name, pretrained=False, **options)
    if not network.state_dict().keys() <= checkpoint.state.keys():
        # Older files have other names, which timm knows to change.
        renamed = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        if renamed:
            checkpoint = _renamed(renamed, checkpoint, network, name)
    load_state(network, checkpoint, f"timm's {name}")
    return network


def _renamed(renamed: Any, checkpoint: Checkpoint, network: nn.Module, name: str) -> Checkpoint:
    try:
        return replace(checkpoint, state=renamed(dict(checkpoint.state), network))
    except Exception:  # timm expects files of this network; of others, what does not fit is told by name
        return checkpoint


def _preprocessing(config: Mapping[str, Any], name: str) -> Preprocessing:
    """Return how timm itself shows images to the network in evaluation."""
    _, tall, wide = config["input_size"]
    if tall != wide:
        raise ValueError(f"classifier: timm:{name} wants images of {tall} x {wide}; they must be square")
    resize = math.floor(tall / config["crop_pct"])
    if config["crop_mode"] not in ("center", "squash"):
        raise ValueError(f"classifier: timm:{name} pads images ({config['crop_mode']!r}), which is not done")
    return Preprocessing(
        crop=tall,
        resize=resize if config["crop_mode"] == "center" else (resize, resize),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
    )


def _imagenet(timm: Any, count: int) -> tuple[str, ...] | None:
    """Return the names of ImageNet's classes, if there are as many."""
    subset = timm.data.infer_imagenet_subset({"num_classes": count})
    labels = timm.data.ImageNetInfo(subset).label_descriptions() if subset else ()
    return tuple(labels) if len(labels) == count else None
