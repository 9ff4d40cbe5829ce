"""A small network for methods that look into it, and what the libraries themselves make of it."""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from planted import liven
from torch import Tensor, nn


class Tiny(nn.Module):
    """Convolutions, an activation in place, pooling and one linear layer; every activation is a module."""

    def __init__(self, classes: int = 4, seed: int = 3) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.features = nn.Sequential(
                nn.Conv2d(3, 6, 3, padding=1),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Conv2d(6, 8, 3, stride=2),
                nn.ReLU(inplace=True),
            )
            self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(8, classes)
            liven(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(self.features(images)).flatten(1))


class Functional(nn.Module):
    """The same as `Tiny`, but its activations are functions, or one module that runs twice."""

    def __init__(self, tiny: Tiny, how: str) -> None:
        super().__init__()
        self.first, self.norm, _, self.second, _ = tiny.features
        self.head, self.relu = tiny.head, nn.ReLU()
        self.act: Callable[[Tensor], Tensor] = {
            "function": torch.relu,
            "method": lambda x: x.relu(),
            "in place": torch.relu_,
            "twice": self.relu,
        }[how]

    def forward(self, images: Tensor) -> Tensor:
        found = self.act(self.second(self.act(self.norm(self.first(images)))))
        return self.head(found.mean(dim=(2, 3)))


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' advice and bars."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def largest(found: Tensor) -> Tensor:
    return found.detach().abs().amax(dim=1)


def cam_of(
    kind: str, network: nn.Module, layer: nn.Module, image: Tensor, target: int, **more: Any
) -> Tensor:
    """What pytorch-grad-cam gives for one image."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layers = [] if kind == "FullGrad" else [layer]
    with quiet():
        cam = getattr(pytorch_grad_cam, kind)(model=network, target_layers=layers, **more)
        found = cam(
            input_tensor=image.clone().requires_grad_(kind != "FullGrad"),
            targets=[ClassifierOutputTarget(target)],
        )
        cam.activations_and_grads.release()
    return torch.from_numpy(found)
