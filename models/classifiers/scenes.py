"""The classifier that ships with the package: a small residual network that names the objects of scenes."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.scenes.draw import CLASSES
from models.scenes.textures import SIDE
from models.weights.checkpoint import SHIPPED, load_state, read_checkpoint

FILE: Path = SHIPPED / "scene_classifier.safetensors"
PREPROCESSING = Preprocessing(crop=SIDE, resize=SIDE)


def _conv(inward: int, outward: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inward, outward, 3, stride, 1, bias=False), nn.BatchNorm2d(outward))


class Block(nn.Module):
    """Two convolutions beside an identity (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _conv(width, width), _conv(width, width)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Apply the block."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class SceneClassifier(nn.Module):
    """Normalized images in, one logit for every class of scenes out."""

    def __init__(
        self, width: tuple[int, ...] = (16, 32, 64, 128), blocks: tuple[int, ...] = (0, 0, 1, 2)
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inward = 3
        for outward, count in zip(width, blocks, strict=True):
            layers += [_conv(inward, outward, 2), nn.ReLU(), *[Block(outward) for _ in range(count)]]
            inward = outward
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(inward, len(CLASSES))

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of a batch; any size of 32 px or more."""
        return self.head(self.features(x).mean((2, 3)))


def load(path: Path = FILE) -> SceneClassifier:
    """The trained network, in evaluation mode; its input is wanted as `PREPROCESSING` has it.

    Raises:
        ValueError: If the file is missing or holds another network.
    """
    network = untrained()
    load_state(network, read_checkpoint(path), "the classifier of scenes")
    return network.eval()


def untrained() -> SceneClassifier:
    """A network that weights are loaded into."""
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        return SceneClassifier()
