"""Classifiers whose evidence is known, and fillers to go with them, for tests of attribution."""

from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from attribution import MaskedScore
from infill import Gray

BLACK = Gray((0.0, 0.0, 0.0))


class Linear(nn.Module):
    """Logits that are linear in the pixels."""

    def __init__(self, channels: int = 3, height: int = 24, width: int = 32, classes: int = 3, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        pixels = channels * height * width
        self.weight = nn.Parameter(torch.randn(classes, channels, height, width, generator=generator))
        self.weight.data /= pixels**0.5
        self.bias = nn.Parameter(torch.randn(classes, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", images, self.weight) + self.bias


class BrightSquare(nn.Module):
    """Class 1 is seen where an 8 x 8 square is bright; class 0 is seen with constant strength."""

    def __init__(self):
        super().__init__()
        self.average = nn.AvgPool2d(8, stride=1)

    def forward(self, images: Tensor) -> Tensor:
        brightest = self.average(images.mean(dim=1, keepdim=True)).amax(dim=(1, 2, 3))
        return torch.stack([torch.full_like(brightest, 5.0), 10 * brightest], dim=1)


class Network(nn.Module):
    """A small convolutional network with lively batch normalization and dropout."""

    def __init__(self, classes: int = 5, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.features = nn.Sequential(
                nn.Conv2d(3, 16, 3, padding=1, bias=False),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.Conv2d(16, 16, 3, stride=2),
                nn.BatchNorm2d(16),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(2),
                nn.Flatten(),
                nn.Dropout(),
            )
            self.head = nn.Linear(64, classes)
            liven(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class Around:
    """Fills a hole with the mean color of what is left."""

    per_hole = True
    sees_hidden = False
    stochastic = False

    def __call__(self, image: Tensor, hole: Tensor, generator: Generator | None = None) -> Tensor:
        left = ((1 - hole) * image).sum(dim=(2, 3), keepdim=True)
        return (left / (1 - hole).sum(dim=(2, 3), keepdim=True).clamp_min(1)).expand(-1, *image.shape[1:])


@dataclass(eq=False)
class Recorder:
    """A filler that remembers what it was asked."""

    per_hole: bool = False
    sees_hidden: bool = False
    stochastic: bool = False
    outside: float = 0.3

    def __post_init__(self):
        self.asked = []

    def __call__(self, image: Tensor, hole: Tensor, generator: Generator | None = None) -> Tensor:
        self.asked.append((len(image), len(hole)))
        fill = torch.full_like(image, 0.3).expand(len(hole), -1, -1, -1)
        return torch.where(hole > 0, fill, torch.full_like(fill, self.outside)) if self.per_hole else fill


@dataclass(eq=False)
class Counting:
    """A filler that depends on the hole and counts what it is asked."""

    filler: object = field(default_factory=Around)
    per_hole: bool = True
    sees_hidden: bool = False
    stochastic: bool = False
    asked: int = 0
    holes: list[Tensor] = field(default_factory=list)

    def __call__(self, image: Tensor, hole: Tensor, generator: Generator | None = None) -> Tensor:
        self.asked += len(hole)
        self.holes += list(hole)
        return self.filler(image, hole, generator)


def flat(images: Tensor) -> Tensor:
    """Logits that are the same for all images, though they have a derivative: class 1 is seen."""
    return 0 * images.mean(dim=(2, 3))[:, :2] + torch.tensor([0.0, 1.0])


def likeliest(classifier: nn.Module, images: Tensor) -> list[int]:
    """The class that a classifier sees in each image: one that is above chance."""
    with torch.no_grad():
        return [int(target) for target in deepcopy(classifier).eval()(images).argmax(dim=1)]


def scored(images: Tensor, filler=BLACK, network: nn.Module | None = None, **settings) -> MaskedScore:
    """The score of the likeliest class of each image."""
    network = network or Network()
    targets = likeliest(Network(), images)
    return MaskedScore(images, targets, network, filler, **settings)


def liven(network: nn.Module) -> None:
    """Give batch normalization statistics and weights as after training, from the global generator."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.normal_(norm.bias, std=0.5)
            norm.running_mean.normal_(std=0.2)
            norm.running_var.uniform_(0.3, 2)


def square_image(height: int = 40, width: int = 48, top: int = 20, left: int = 30) -> Tensor:
    """A dark image "1 3 h w" with a bright 8 x 8 square."""
    generator = torch.Generator().manual_seed(0)
    image = 0.2 * torch.rand(1, 3, height, width, generator=generator)
    image[:, :, top : top + 8, left : left + 8] += 0.8
    return image
