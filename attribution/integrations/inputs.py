"""What the ways in for users of other libraries share: their inputs, our images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attribution.engine.link import Link
from attribution.engine.precision import Classifier, Precision
from attribution.score import Progress
from infill.filler import Filler
from infill.validate import require

MeanStd: TypeAlias = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation per channel with which inputs were normalized."""


class Settings(TypedDict, total=False):
    """What a front hands on to `attribution.MaskedScore`."""

    filler: Filler
    link: Link
    batch_size: int
    precision: Precision
    seed: int
    progress: Progress


@dataclass(frozen=True)
class Inputs:
    """How the inputs of a classifier relate to images in [0, 1].

    Attributes:
        denormalize: Mean and std of inputs that were normalized, as the classifier expects them; ``None``
            if it takes inputs in [0, 1].
        clip: Cut images off at 0 and 1 instead of refusing them, for metrics that add noise to inputs.

    Raises:
        ValueError: If mean and std do not fit together or a std is not positive.
    """

    denormalize: MeanStd | None = None
    clip: bool = False

    def __post_init__(self) -> None:
        if self.denormalize is not None:
            mean, std = self.denormalize
            valid = len(mean) == len(std) and all(value > 0 for value in std)
            require(valid, "denormalize", "(mean, std), positive std, one each per channel", self.denormalize)

    def images(self, inputs: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the inputs as images in [0, 1]."""
        images = inputs.detach()
        if self.denormalize is not None:
            mean, std = (inputs.new_tensor(values)[:, None, None] for values in self.denormalize)
            images = images * std + mean
        return images.clamp(0, 1) if self.clip else images

    def classifier(self, model: Classifier, images: Float[Tensor, "b c h w"]) -> Classifier:
        """Return the model as a function of images on the device of ``images``."""
        if self.denormalize is None:
            return model
        first = Normalize(*self.denormalize).to(images.device)
        if isinstance(model, nn.Module):
            return nn.Sequential(first, model)
        return lambda some: model(first(some))


class Normalize(nn.Module):
    """Subtracts the mean of each channel and divides by its standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalize the images."""
        return (images - self.mean) / self.std
