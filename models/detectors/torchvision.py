"""Torchvision's object detectors."""

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.weights.checkpoint import Checkpoint, load_state, read_checkpoint, renamed
from models.weights.files import sha256_of
from models.weights.torchvision import published_checkpoint

_WAYS = "pass --weights FILE"
_OLD = {
    r"((?:inner|layer)_blocks\.\d+)\.(weight|bias)$": r"\1.0.\2",
    r"(rpn\.head\.conv)\.(weight|bias)$": r"\1.0.0.\2",
    **{rf"mask_head\.mask_fcn{i + 1}\.": f"mask_head.{i}.0." for i in range(4)},
}
"""What torchvision's published files call tensors, and what today's networks do."""
_OLD_HEADS = {rf"(_head\.conv)\.{2 * i}\.(weight|bias)$": rf"\1.{i}.0.\2" for i in range(4)}
"""The same of RetinaNet's heads; in others' there are numbers like these that are meant."""
_WITHOUT_EPSILON = (
    "fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn", "retinanet_resnet50_fpn",
)  # fmt: skip
"""Networks whose published weights were trained with batch norms without an epsilon."""


class TorchvisionDetector(nn.Module):
    """A detector of torchvision, which resizes and normalizes images itself.

    It tells of what it finds one class and one score. For the similarity of detections the rest of the score
    is shared by all other classes, and the score stands for the objectness, too.
    """

    joint = True

    def __init__(self, network: nn.Module, labels: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.labels = network, labels

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return what is found in each image: boxes, class probabilities, objectness."""
        return [self._shared(found) for found in self.network(list(images))]

    def _shared(self, found: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        scores, count = found["scores"], len(self.labels)
        rest = ((1 - scores) / (count - 1))[:, None].expand(-1, count)
        probabilities = rest.scatter(1, found["labels"][:, None], scores[:, None])
        return found["boxes"], probabilities, scores


def names() -> tuple[str, ...]:
    """Return the names of torchvision's detectors."""
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models.detection))


def load(name: str, weights: Path | None = None) -> TorchvisionDetector:
    """Return torchvision's network of this name, with its own weights or those in a file.

    Raises:
        ValueError: If the weights cannot be had, do not fit, or are of another network.
    """
    import torchvision

    checkpoint = published_checkpoint(name, _WAYS) if weights is None else read_checkpoint(weights)
    arch = checkpoint.metadata.get("arch", name).removeprefix("torchvision.")
    if arch != name:
        raise ValueError(f"weights: {checkpoint.path} is for {arch}, not for {name}")
    entry: Any = torchvision.models.get_model_weights(name).DEFAULT
    labels = _labels(checkpoint, tuple(entry.meta["categories"]))
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        network = torchvision.models.get_model(
            name, weights=None, weights_backbone=None, num_classes=len(labels)
        )
    heads = _OLD_HEADS if name.startswith("retinanet") else {}
    load_state(network, renamed(checkpoint, {**_OLD, **heads}), name)
    if name in _WITHOUT_EPSILON and _is_published(checkpoint.path, entry.url):
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    return TorchvisionDetector(network, labels)


def _is_published(path: Path, url: str) -> bool:
    """Whether a file, whatever it is called, is that of a URL, which ends in the first digits of its hash."""
    name = url.rsplit("/", 1)[-1]
    if path.name == name or not path.is_file():
        return path.name == name
    return sha256_of(path).startswith(name.rpartition("-")[2].partition(".")[0])


def _labels(checkpoint: Checkpoint, known: tuple[str, ...]) -> tuple[str, ...]:
    text = checkpoint.metadata.get("labels")
    if text is None:
        return known
    try:
        labels = tuple(str(label) for label in json.loads(text))
    except (ValueError, TypeError) as error:
        raise ValueError(f"weights: {checkpoint.path}: cannot understand labels = {text!r}") from error
    if len(labels) < 2:
        raise ValueError(f"weights: {checkpoint.path}: expected a background and classes, got {labels}")
    return labels
