"""Networks that find the instances in an image: [0, 1] images of any size in, a silhouette out."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.segmenters.labels import background_of, class_index
from models.weights import transformers as hugging_face
from models.weights.libraries import one_line, quiet

TYPES = ("maskformer", "mask2former", "detr", "eomt")
"""The models of transformers that are understood, as their ``config.json`` calls them."""

_INPUTS = ("pixel_values", "pixel_mask")
_MAPS = "return_binary_maps"
_PROBE = (40, 60)


class InstanceSegmenter(nn.Module):
    """A network that finds instances, each with its pixels and its class.

    Both the preprocessing and the finding are those of transformers' image processor: its instance
    segmentation with its own thresholds. A network that was trained on panoptic annotation also finds walls
    and skies, which count as instances. Images are shown one by one, so that nothing depends on the batch.

    Attributes:
        labels: The names of the classes.
        background: The class that means "nothing"; ``None`` if the network has none.
        prompted: It finds classes, and needs no prompt.
    """

    prompted: Literal[False] = False

    def __init__(
        self, network: nn.Module, processor: Any, labels: Sequence[str], background: int | None = None
    ) -> None:
        super().__init__()
        self.network, self.processor = network, processor
        self.labels, self.background = tuple(labels), background

    def instances(self, image: Float[Tensor, "3 h w"]) -> tuple[Bool[Tensor, "m h w"], list[int]]:
        """Return the pixels of each instance, and its class.

        Instances may overlap where the image processor says so; else a pixel is of one at most.

        Raises:
            ValueError: If the image processor pads images, or cuts them into several.
        """
        size = (image.shape[1], image.shape[2])
        find = self.processor.post_process_instance_segmentation
        # Without this, instances found later hide others.
        maps = {_MAPS: True} if _MAPS in inspect.signature(find).parameters else {}
        with quiet("transformers"), torch.no_grad():
            inputs = {key: value.to(image.device) for key, value in self._inputs(image).items()}
            answer = vars(self.network(**inputs)).items()
            # Image processors paint on the CPU.
            logits = SimpleNamespace(
                **{key: value.cpu() for key, value in answer if isinstance(value, Tensor)}
            )
            (result,) = find(logits, target_sizes=[size], **maps)
        each, pixels = result["segments_info"], result["segmentation"].to(image.device)
        if not each:
            return torch.zeros(0, *size, dtype=torch.bool, device=image.device), []
        if pixels.ndim == 2:
            pixels = torch.stack([pixels == one["id"] for one in each])
        return pixels > 0, [int(one["label_id"]) for one in each]

    def silhouette(self, images: Float[Tensor, "n 3 h w"], label: str | None = None) -> Bool[Tensor, "n h w"]:
        """Return the pixels of all instances of the class ``label``, which may be none.

        Without a label, they are those of each image's largest instance of any class apart from the
        background (of one of several that are as large); none if nothing is found.

        Raises:
            ValueError: If the network has no such label.
        """
        wanted = None if label is None else class_index(label, self.labels)
        return torch.stack([self._silhouette(image, wanted) for image in images])

    def _silhouette(self, image: Float[Tensor, "3 h w"], wanted: int | None) -> Bool[Tensor, "h w"]:
        pixels, classes = self.instances(image)
        if wanted is not None:
            return pixels[[index == wanted for index in classes]].any(0)
        pixels = pixels[[index != self.background for index in classes]]
        if not len(pixels):
            return pixels.any(0)
        return pixels[pixels.sum((1, 2)).argmax()]

    def _inputs(self, image: Float[Tensor, "3 h w"]) -> dict[str, Tensor]:
        inputs = self.processor(
            images=hugging_face.in_bytes(image), return_tensors="pt", input_data_format="channels_first"
        )
        if len(inputs["pixel_values"]) != 1 or not torch.as_tensor(inputs.get("pixel_mask", 1)).all():
            # The instances of padded images would be stretched.
            raise ValueError("segmenter: expected an image processor that neither pads nor splits images")
        return {key: inputs[key] for key in _INPUTS if key in inputs}


def load(place: str, folder: Path) -> InstanceSegmenter:
    """Return the model in a folder; ``place`` is what the user calls it.

    Raises:
        ValueError: If it cannot be had, or its image processor pads images or fails.
    """
    network, processor = hugging_face.with_processor(place, hugging_face.INSTANCES, folder)
    labels = hugging_face.labels_of(network.config)
    segmenter = InstanceSegmenter(network, processor, labels, background_of(labels))
    try:
        with quiet("transformers"):
            segmenter._inputs(torch.zeros(3, *_PROBE))
    except Exception as error:  # there are many processors, and each fails in its own ways
        raise ValueError(
            f"segmenter: cannot follow the image processor of hf:{place}: {one_line(error)}"
        ) from error
    return segmenter
