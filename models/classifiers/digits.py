"""``digits:FILE``: a small network for images of 28 x 28 of one thing on black, such as a digit."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.classifiers import metadata
from models.classifiers.image_classifier import ImageClassifier
from models.preprocessing import Preprocessing
from models.weights.checkpoint import load_state, read_checkpoint, refuse_weights
from models.weights.environment import expanded

SIDE = 28
PREPROCESSING = Preprocessing(crop=SIDE, resize=SIDE, mean=(0.0,), std=(1.0,))
ARCH = "digits"


class DigitClassifier(nn.Module):
    """Two convolutions and a linear layer; what it is shown counts as gray, in one channel or in three.

    It averages where others take maxima or skip pixels: then the slopes of neighboring pixels are alike, and
    what an update draws can be seen.
    """

    def __init__(self, classes: int = 10, dropout: float = 0.2) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(8, 16, 5, padding=2),
            nn.ReLU(),
            nn.AvgPool2d(2),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(16 * (SIDE // 4) ** 2, classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits of images of 28 x 28."""
        features = self.features(images.mean(1, keepdim=True))
        logits: Tensor = self.head(self.dropout(features.flatten(1)))
        return logits


def classifier(network: DigitClassifier, labels: Sequence[str]) -> ImageClassifier:
    """Return the network as a classifier of images of any size, in evaluation mode."""
    return ImageClassifier(network, PREPROCESSING, labels).eval()


def load(place: str, weights: Path | None = None) -> ImageClassifier:
    """Return the classifier in a file, as `infill fill-blanks` keeps it.

    Raises:
        ValueError: If there is no such file, or it holds another network.
    """
    refuse_weights(weights, f"digits:{place}")
    path = expanded(place)
    checkpoint = read_checkpoint(path)
    arch, labels = checkpoint.metadata.get("arch"), metadata.from_texts(checkpoint.metadata, path).labels
    if arch != ARCH or not labels:
        raise ValueError(f"weights: {place} holds no network of `infill fill-blanks`: it is for {arch!r}")
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        network = DigitClassifier(len(labels))
    load_state(network, checkpoint, f"digits:{place}")
    return classifier(network.float(), labels)
