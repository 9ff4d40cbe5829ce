"""Segmenters by name."""

from pathlib import Path
from typing import TypeAlias

from models.segmenters import instance, promptable
from models.segmenters import torchvision as architectures
from models.segmenters.instance import InstanceSegmenter
from models.segmenters.labels import background_of
from models.segmenters.promptable import PromptableSegmenter
from models.segmenters.semantic import Segmenter
from models.spelling import suggestion
from models.weights import transformers as hugging_face
from models.weights.checkpoint import refuse_weights

AnySegmenter: TypeAlias = Segmenter | InstanceSegmenter | PromptableSegmenter
"""What `load_segmenter` returns. ``prompted`` tells whether it is asked for a place, or for a class."""


_HUB = "hf:"


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
        refuse_weights(weights, name)
        segmenter = _transformers(name.removeprefix(_HUB))
    elif name in architectures.names():
        segmenter = architectures.load(name, weights)
    else:
        known = architectures.names()
        expected = f"expected hf:FOLDER, hf:ID or one of {', '.join(known)}; got {name!r}"
        raise ValueError(f"segmenter: {expected}{suggestion(name, known)}")
    return segmenter.eval().requires_grad_(False)


def _transformers(place: str) -> AnySegmenter:
    """Return the model in a folder or of this id on the hub, by its type."""
    folder, model_type, semantic = hugging_face.locate_segmenter(place)
    if model_type in instance.TYPES:
        return instance.load(place, folder)
    if model_type in promptable.TYPES:
        return promptable.load(place, folder)
    if model_type not in semantic:
        classes, instances = ", ".join(semantic), ", ".join(instance.TYPES)
        places = ", ".join(promptable.TYPES)
        known = f"for semantic segmentation ({classes}), instances ({instances}), or promptable ({places})"
        hint = "; OneFormer must also be told its task in words" if model_type == "oneformer" else ""
        raise ValueError(
            f"segmenter: {_HUB}{place} is of type {model_type!r}; expected a model {known}{hint}"
        )
    network, labels, preprocessing = hugging_face.load(place, folder)
    return Segmenter(network, labels, background_of(labels), preprocessing)
