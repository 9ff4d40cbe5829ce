"""What the fronts for users of other libraries share: inputs become images, keywords become a score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attribution.engine.checks import ROUNDING
from attribution.engine.execution import Execution, ProgressCallback
from attribution.engine.link import Link
from attribution.engine.precision import Classifier
from attribution.engine.sampling import Sampling
from attribution.score import MaskedScore
from infill.filler import Filler
from infill.network import Precision
from infill.validate import require

MeanStd: TypeAlias = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation per channel with which inputs were normalized."""


class ScoreOptions(TypedDict, total=False):
    """Keyword arguments that a front hands on to `attribution.MaskedScore`, flat as its users know them."""

    filler: Filler
    link: Link
    batch_size: int
    precision: Precision
    deterministic: bool
    seed: int
    progress: ProgressCallback


def build_score(
    images: Float[Tensor, "b c h w"],
    target: int | Sequence[int] | Int[Tensor, "..."],
    classifier: Classifier,
    options: ScoreOptions,
) -> MaskedScore:
    """Return the score with these options.

    Raises:
        ValueError: As for `attribution.MaskedScore`.
        TypeError: If an option is unknown.
    """
    rest: dict[str, Any] = dict(options)
    execution, sampling = (
        {name: rest.pop(name) for name in group.__dataclass_fields__ if name in rest}
        for group in (Execution, Sampling)
    )
    return MaskedScore(
        images,
        target,
        classifier,
        execution=Execution(**execution),
        sampling=Sampling(**sampling),
        **rest,
    )


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
        if self.denormalize is None:
            return
        rule = "(mean, std), positive std, one each per channel"
        try:
            mean, std = (tuple(float(value) for value in values) for values in self.denormalize)
        except (TypeError, ValueError):
            mean, std = (), ()
        valid = len(mean) == len(std) > 0 and all(value > 0 for value in std)
        require(valid, "denormalize", rule, self.denormalize)
        object.__setattr__(self, "denormalize", (mean, std))

    def images(self, inputs: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the inputs as images in [0, 1]."""
        images = inputs.detach()
        if self.denormalize is not None:
            mean, std = (inputs.new_tensor(values)[:, None, None] for values in self.denormalize)
            channels = images.shape[1] if images.ndim == 4 else len(mean)
            require(channels == len(mean), "inputs", f"of {len(mean)} channels, as denormalize has", channels)
            images = images * std + mean
        images = images.clamp(0, 1) if self.clip else images
        if self.denormalize is None and images.is_floating_point() and images.numel():
            low, high = (float(end) for end in images.aminmax())
            rule = "in [0, 1], or normalized and denormalize=(mean, std) given"
            beyond = low < -ROUNDING or high > 1 + ROUNDING  # NaN is told with the images
            require(not beyond, "inputs", rule, f"values in [{low:.4g}, {high:.4g}]")
        return images

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
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None])
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None, None])

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalize the images."""
        return (images - self.mean) / self.std
