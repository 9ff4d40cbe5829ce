"""Networks that are shown a place, and find what is there: SAM and its successors (Kirillov et al. 2023)."""

from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.weights import transformers as hugging_face
from models.weights.libraries import one_line, quiet

TYPES = {
    "sam": "SamProcessor",
    "sam2": "Sam2Processor",
    "sam2_video": "Sam2Processor",  # what SAM 2's checkpoints are published as
    "sam_hq": "SamHQProcessor",
}
"""The models of transformers that are understood, as their ``config.json`` calls them: what reads prompts."""

_PROBE = (40, 60)
_INPUTS = ("pixel_values", "input_points", "input_labels", "input_boxes")


class PromptableSegmenter(nn.Module):
    """A network that finds the object at a point, or in a box.

    Coordinates are in pixels of the image and continuous: pixel ``j`` covers ``[j, j + 1)``. A place may be a
    part, the whole or a group, so the network proposes several silhouettes: the one that it rates best (the
    highest predicted IoU, section 3) is taken. Seeing, and bringing the logits back to the image's own size,
    are done by transformers. Images are seen one by one, so that nothing depends on the batch.

    Attributes:
        labels: None; it knows no classes.
        background: None.
        prompted: It must be shown a place.
    """

    prompted: Literal[True] = True

    def __init__(self, network: nn.Module, processor: Any) -> None:
        super().__init__()
        self.network, self.processor = network, processor
        self.labels: tuple[str, ...] = ()
        self.background: int | None = None

    def silhouette(
        self,
        images: Float[Tensor, "n 3 h w"],
        points: Float[Tensor, "n p 2"] | None = None,
        boxes: Float[Tensor, "n 4"] | None = None,
    ) -> Bool[Tensor, "n h w"]:
        """Return the pixels of one object an image: the one at its points (x, y), or in its box.

        All of an image's points are on the same object. A box is (left, top, right, bottom).

        Raises:
            ValueError: If there are both points and boxes, or neither, or they are not inside of the image.
        """
        if points is not None and boxes is None:
            _check_points(points, images)
            return torch.stack([self._at(image, one) for image, one in zip(images, points, strict=True)])
        if boxes is None or points is not None:
            given = "neither" if boxes is None else "both"
            raise ValueError(f"points and boxes: expected one of the two, got {given}")
        return torch.stack([self.union(image, one[None]) for image, one in zip(images, boxes, strict=True)])

    def union(self, image: Float[Tensor, "3 h w"], boxes: Float[Tensor, "b 4"]) -> Bool[Tensor, "h w"]:
        """Return the pixels of the objects in the boxes of one image, which is seen once.

        Raises:
            ValueError: If there is no box, or one is empty or not inside of the image.
        """
        _check_boxes(boxes, image)
        return self._silhouettes(image, input_boxes=[_centered(boxes)]).any(0)

    def _at(self, image: Float[Tensor, "3 h w"], points: Float[Tensor, "p 2"]) -> Bool[Tensor, "h w"]:
        foreground = [1] * len(points)
        return self._silhouettes(image, input_points=[[_centered(points)]], input_labels=[[foreground]])[0]

    def _silhouettes(self, image: Float[Tensor, "3 h w"], **prompts: Any) -> Bool[Tensor, "m h w"]:
        """Return what is found for each prompt."""
        with quiet("transformers"), torch.no_grad():
            inputs = self._inputs(image, **prompts)
            known = {key: inputs[key].to(image.device) for key in _INPUTS if key in inputs}
            proposed = self.network(**known)
            best = proposed.iou_scores[0].argmax(-1)
            logits = proposed.pred_masks[0][torch.arange(len(best), device=best.device), best]
            sizes = [inputs[key] for key in ("original_sizes", "reshaped_input_sizes") if key in inputs]
            (masks,) = self.processor.post_process_masks(logits[None, :, None], *sizes)
        silhouettes: Tensor = masks[:, 0]
        return silhouettes

    def _inputs(self, image: Float[Tensor, "3 h w"], **prompts: Any) -> Any:
        return self.processor(
            images=hugging_face.in_bytes(image),
            return_tensors="pt",
            input_data_format="channels_first",
            **prompts,
        )


def load(place: str, folder: Path) -> PromptableSegmenter:
    """Return the model in a folder; ``place`` is what the user calls it.

    Raises:
        ValueError: If it cannot be had, or its image processor is not one for it.
    """
    network, processor = hugging_face.with_processor(place, hugging_face.PROMPTED, folder)
    import transformers

    try:
        with quiet("transformers"):
            reader = getattr(transformers, TYPES[network.config.model_type])
            segmenter = PromptableSegmenter(network, reader(processor))
            inputs = segmenter._inputs(torch.zeros(3, *_PROBE), input_boxes=[[[0.0, 0.0, 1.0, 1.0]]])
        side, shape = network.config.prompt_encoder_config.image_size, inputs["pixel_values"].shape
        if tuple(shape[-2:]) != (side, side):
            raise ValueError(f"expected images of {side} x {side}, got {tuple(shape[-2:])}")
    except Exception as error:  # there are many processors, and each fails in its own ways
        raise ValueError(
            f"segmenter: cannot follow the image processor of hf:{place}: {one_line(error)}"
        ) from error
    return segmenter


def _centered(places: Tensor) -> list[list[float]]:
    """Return coordinates as the networks count them: 0 is the middle of the first pixel."""
    shifted: list[list[float]] = (places.double() - 0.5).tolist()
    return shifted


def _check_points(points: Tensor, images: Tensor) -> None:
    sides = points.new_tensor([images.shape[-1], images.shape[-2]])
    if not points.shape[1] or not ((points >= 0) & (points <= sides)).all():
        width, height = sides.int().tolist()
        raise ValueError(f"points: expected some (x, y) in {width} x {height} pixels, got {points.tolist()}")


def _check_boxes(boxes: Tensor, image: Tensor) -> None:
    sides = boxes.new_tensor([image.shape[-1], image.shape[-2]])
    low, high = boxes[:, :2], boxes[:, 2:]
    if not len(boxes) or not ((low >= 0) & (low < high) & (high <= sides)).all():
        width, height = sides.int().tolist()
        rule = f"(left, top, right, bottom) in {width} x {height} pixels"
        raise ValueError(f"boxes: expected some {rule}, got {boxes.tolist()}")
