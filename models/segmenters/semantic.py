"""Segmenters by name; and the semantic ones: [0, 1] images of any size in, a class for each pixel out."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models import preprocessing as eyes
from models.classifiers import torchvision as architectures
from models.classifiers.image_classifier import IMAGENET_MEAN, IMAGENET_STD
from models.weights import transformers as hugging_face
from models.weights.checkpoint import Checkpoint, load_state, read_checkpoint

if TYPE_CHECKING:
    from models.segmenters.instance import InstanceSegmenter
    from models.segmenters.promptable import PromptableSegmenter

AnySegmenter: TypeAlias = Union["Segmenter", "InstanceSegmenter", "PromptableSegmenter"]
"""What `load_segmenter` returns. ``prompted`` tells whether it is asked for a place, or for a class."""

_WAYS = "pass --segmenter-weights FILE"
_HUB = "hf:"
_NOTHING = ("background", "unlabeled", "other")
_HEADS = ("classifier.4.weight", "classifier.high_classifier.weight")  # deeplabv3 and fcn, lraspp


class Segmenter(nn.Module):
    """A network with its own eye: resize, normalize, segment, and resize the logits back.

    The images are resized (antialiased) to ``resize``: a number is the length of their short side, the long
    one rounded as torchvision does; a pair is (height, width); ``None`` leaves them as they are.

    Attributes:
        labels: The names of the classes.
        background: The class that means "nothing"; ``None`` if the network has none.
        prompted: It finds classes, and needs no prompt.

    Raises:
        ValueError: If there are fewer than two classes, the background is none of them, or the images cannot
            be resized or normalized like that.
    """

    prompted: Literal[False] = False

    def __init__(
        self,
        network: nn.Module,
        labels: Sequence[str],
        background: int | None = None,
        resize: int | tuple[int, int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__()
        if len(labels) < 2:
            raise ValueError(f"labels: expected two classes or more, got {list(labels)}")
        if background is not None and not 0 <= background < len(labels):
            raise ValueError(f"background: expected None or one of {len(labels)} classes, got {background}")
        if interpolation not in ("bilinear", "bicubic"):
            raise ValueError(f"interpolation: expected 'bilinear' or 'bicubic', got {interpolation!r}")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"mean and std: expected one of each a channel, std > 0, got {mean} and {std}")
        self.network = network
        self.labels, self.background = tuple(labels), background
        self.resize, self.interpolation = resize, interpolation
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Int[Tensor, "n h w"]:
        """Return the class of each pixel of images in [0, 1]."""
        with torch.no_grad():
            classes: Tensor = self.logits(images).argmax(1)
        return classes

    def logits(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k h w"]:
        """Return the logits of each pixel, resized bilinearly to the images' own size."""
        logits = self.network((self._see(images) - self.mean) / self.std)
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)

    def silhouette(self, images: Float[Tensor, "n 3 h w"], label: str | None = None) -> Bool[Tensor, "n h w"]:
        """Return the pixels of the class ``label``, which may be none.

        Without a label, they are those of each image's own class: the one that covers most pixels apart
        from the background, and the first of several that cover as many.

        Raises:
            ValueError: If the network has no such label.
        """
        if label is not None:
            return torch.eq(self(images), class_index(label, self.labels))
        classes = self(images)
        pixels = torch.stack([one.flatten().bincount(minlength=len(self.labels)) for one in classes])
        if self.background is not None:
            pixels[:, self.background] = -1
        return torch.eq(classes, pixels.argmax(1)[:, None, None])

    def _see(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 tall wide"]:
        height, width = images.shape[-2:]
        if isinstance(self.resize, int):
            long = int(self.resize * max(height, width) / min(height, width))
            size = (self.resize, long) if height <= width else (long, self.resize)
        else:
            size = self.resize or (height, width)
        if size == (height, width):
            return images
        # The clamp is for bicubic, which overshoots.
        return F.interpolate(images, size=size, mode=self.interpolation, antialias=True).clamp(0, 1)


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


def load_segmenter(name: str, weights: Path | None = None) -> AnySegmenter:
    """Return the segmenter of this name, frozen and in evaluation mode.

    ``hf:FOLDER`` and ``hf:ID`` are transformers' models, in a folder or on the Hugging Face hub. The
    ``model_type`` in their ``config.json`` says whether they are for semantic segmentation, for instances
    (MaskFormer, Mask2Former, ...; `models.segmenters.instance`) or promptable (SAM, ...;
    `models.segmenters.promptable`). The images of semantic ones are resized and normalized as their image
    processor says, but not cropped: every pixel gets a class. All other names are torchvision's. Their
    weights are torchvision's own, or those in the file ``weights``, which may have another number of classes;
    a safetensors file may name them in its metadata (``labels``, a JSON list). Where they have no names, the
    first is the background.

    Raises:
        ValueError: If the name is unknown, or the weights cannot be had or do not fit.
    """
    segmenter: AnySegmenter
    if name.startswith(_HUB) and name != _HUB:
        eyes.refuse_weights(weights, name)
        segmenter = _transformers(name.removeprefix(_HUB))
    elif name in names():
        segmenter = _torchvision(
            name, architectures.own(name, _WAYS) if weights is None else read_checkpoint(weights)
        )
    else:
        known = ", ".join(names())
        raise ValueError(f"segmenter: expected hf:FOLDER, hf:ID or one of {known}; got {name!r}")
    return segmenter.eval().requires_grad_(False)


def class_index(label: str, labels: Sequence[str]) -> int:
    """Return which class has this name.

    Raises:
        ValueError: If none has; the nearest is suggested.
    """
    if label in labels:
        return labels.index(label)
    folded = [known.casefold() for known in labels]
    near = difflib.get_close_matches(label.casefold(), folded, n=1, cutoff=0)[0]
    nearest = labels[folded.index(near)]
    expected = f"expected one of the segmenter's {len(folded)} classes, got {label!r}"
    raise ValueError(f"label: {expected}; did you mean {nearest!r}?")


def _transformers(place: str) -> AnySegmenter:
    from models.segmenters import instance as instance_segmenters
    from models.segmenters import promptable as promptable_segmenters

    folder, said, semantic = hugging_face.family(place)
    if said in instance_segmenters.TYPES:
        return instance_segmenters.load(place, folder)
    if said in promptable_segmenters.TYPES:
        return promptable_segmenters.load(place, folder)
    if said not in semantic:
        classes, instances = ", ".join(semantic), ", ".join(instance_segmenters.TYPES)
        places = ", ".join(promptable_segmenters.TYPES)
        known = f"for semantic segmentation ({classes}), instances ({instances}), or promptable ({places})"
        hint = "; OneFormer must also be told its task in words" if said == "oneformer" else ""
        raise ValueError(f"segmenter: {_HUB}{place} is of type {said!r}; expected a model {known}{hint}")
    network, labels, eye = hugging_face.load(place, folder)
    return Segmenter(network, labels, background_of(labels), *astuple(eye))


def _torchvision(name: str, checkpoint: Checkpoint) -> Segmenter:
    import torchvision

    said = checkpoint.metadata.get("arch", name).removeprefix("torchvision.")
    if said != name:
        raise ValueError(f"weights: {checkpoint.path} is for {said}, not for {name}")
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
    known = like.transforms()
    view = (known.resize_size[0], known.mean, known.std, known.interpolation.value)
    return Segmenter(_Out(network), labels, background, *view)


def _classes(
    checkpoint: Checkpoint, count: int, known: tuple[str, ...]
) -> tuple[tuple[str, ...], int | None]:
    """Return what the classes are called, and which of them is the background."""
    text = checkpoint.metadata.get("labels")
    if text is None and count != len(known):
        # Torchvision's networks count the background as the first class.
        return tuple(f"class {index}" for index in range(count)), 0
    try:
        said = known if text is None else json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, (list, tuple)):
        raise ValueError(f"weights: {checkpoint.path}: cannot understand labels = {text!r}")
    if len(said) != count:
        raise ValueError(f"weights: {checkpoint.path} has {count} classes, but names {len(said)}")
    labels = tuple(str(label) for label in said)
    return labels, background_of(labels)


def background_of(labels: Sequence[str]) -> int | None:
    """Return the class that means "nothing": the first one if its name says so, else the plainest name."""
    plain = [label.strip("_ ").casefold() for label in labels]
    if plain[:1] and plain[0] in _NOTHING:
        return 0
    return next((plain.index(name) for name in _NOTHING if name in plain), None)
