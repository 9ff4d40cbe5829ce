"""The library transformers' object detectors."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.weights import transformers as hugging_face
from models.weights.libraries import one_line, quiet

FAMILY = hugging_face.ModelFamily("AutoModelForObjectDetection", "object detector", "classifier", "hf:")
_PROBE = (60, 80)
_CLOSE = 0.05


class TransformersDetector(nn.Module):
    """An object detector, which finds something with each of its queries.

    Images are resized to what its image processor resizes them to. Networks with a logit for "nothing" (DETR,
    YOLOS) give softmax probabilities, and their objectness is 1 minus that of nothing. Others give each class
    a probability of its own (Deformable DETR, RT-DETR), the largest of which stands for the objectness.
    """

    joint = True

    def __init__(self, network: nn.Module, processor: Any, labels: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.processor, self.labels = network, processor, labels
        settings = processor.to_dict()
        mean, std = hugging_face.normalization(settings)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self._mode = hugging_face.RESAMPLING[settings["resample"]] if settings.get("do_resize") else ""
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {}

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return what each query finds in each image: boxes, class probabilities, objectness."""
        answer = self.network(pixel_values=self.shown(images))
        probabilities, objectness = self._classes(answer.logits)
        height, width = images.shape[2:]
        middle, half = answer.pred_boxes[..., :2], answer.pred_boxes[..., 2:] / 2
        boxes = torch.cat([middle - half, middle + half], dim=-1)
        boxes = boxes * boxes.new_tensor([width, height, width, height])
        return list(zip(boxes, probabilities, objectness, strict=True))

    def shown(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 y x"]:
        """Return what the network is given."""
        size = (images.shape[2], images.shape[3])
        if self._mode:
            resized = self._resized(size)
            # In float32: antialiasing has no derivative in bfloat16.
            larger = F.interpolate(images.float(), size=resized, mode=self._mode, antialias=True)
            images = larger.clamp(0, 1).to(images.dtype)
        return (images - self.mean) / self.std

    def _classes(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        if logits.shape[-1] == len(self.labels) + 1:
            probabilities = logits.softmax(-1)
            return probabilities[..., :-1], 1 - probabilities[..., -1]
        probabilities = logits.sigmoid()
        return probabilities, probabilities.amax(-1)

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) to which the image processor resizes."""
        if size not in self._sizes:
            shape = self.processed(torch.zeros(3, *size)).shape
            self._sizes[size] = (int(shape[1]), int(shape[2]))
        return self._sizes[size]

    def processed(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 y x"]:
        """Return what the image processor makes of an image."""
        with quiet("transformers"):
            inputs: Mapping[str, Any] = self.processor(
                images=hugging_face.in_bytes(image), return_tensors="pt", input_data_format="channels_first"
            )
        return torch.as_tensor(inputs["pixel_values"])[0]


def load(place: str) -> TransformersDetector:
    """Return the object detector in a folder, or of this id on the Hugging Face hub.

    Raises:
        ValueError: If it cannot be had, or what its image processor does cannot be followed.
    """
    network, processor = hugging_face.with_processor(place, FAMILY)
    try:
        detector = TransformersDetector(network, processor, hugging_face.labels_of(network.config))
        down, across = torch.linspace(0.1, 0.9, _PROBE[0])[:, None], torch.linspace(0.1, 0.9, _PROBE[1])
        image = torch.stack([down + 0 * across, across + 0 * down, (down + across) / 2])
        theirs, ours = detector.processed(image), detector.shown(image[None])[0]
        if theirs.shape != ours.shape or float(((theirs - ours) * detector.std).abs().max()) > _CLOSE:
            raise ValueError(f"{type(processor).__name__} does more than it says")
    except Exception as error:  # there are many processors, and each fails in its own ways
        reason = f"cannot follow its image processor: {one_line(error)}"
        raise ValueError(f"{FAMILY.named(place)}: {reason}") from error
    return detector
