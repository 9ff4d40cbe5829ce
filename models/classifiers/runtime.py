"""Classifiers run by OpenVINO: on processors often two to three times as fast as by torch."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.classifiers.image_classifier import ImageClassifier
from models.weights.libraries import import_library

TOLERANCE = 1e-4
"""By how much logits may differ, as a share of the largest one where that is more than 1."""


class Converted(nn.Module):
    """A network that OpenVINO runs: in float32, on the processor, without gradients."""

    def __init__(self, compiled: Any) -> None:
        super().__init__()
        self._compiled = compiled

    def __deepcopy__(self, memo: dict[int, Any]) -> Converted:
        return self  # what is compiled can neither be copied nor changed

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return what the network returns.

        Raises:
            RuntimeError: If a gradient is asked for.
        """
        if torch.is_grad_enabled() and images.requires_grad:
            raise RuntimeError("OpenVINO gives no gradients: take the runtime eager")
        (found,) = self._compiled(images.detach().float().contiguous().numpy()).values()
        return torch.from_numpy(found)


def converted(classifier: ImageClassifier) -> ImageClassifier:
    """Return the classifier with a network that OpenVINO runs, on as many threads as torch has now.

    The classifier itself is left as it is.

    Raises:
        ValueError: If OpenVINO is not installed, the classifier is not on the processor, its network cannot
            be converted, or its logits are then others.
    """
    device = classifier.mean.device
    if device.type != "cpu":
        raise ValueError(f"OpenVINO runs classifiers on the processor, and this one is on {device}")
    if not classifier.crop:
        raise ValueError(
            "OpenVINO needs a classifier that says the size of its images; give its preprocessing"
        )
    shape = (-1, len(classifier.mean), classifier.crop, classifier.crop)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, *shape[1:], generator=generator)
    network = copy.deepcopy(classifier.network).eval()
    fast = Converted(_compiled(network, images[:2], shape))
    with torch.no_grad():
        wanted, got = network(images), fast(images)
    if not isinstance(wanted, Tensor) or wanted.shape != got.shape:
        raise ValueError("OpenVINO needs a network that returns logits")
    apart = float((got - wanted).abs().max()) / max(1.0, float(wanted.abs().max()))
    if not apart <= TOLERANCE:
        raise ValueError(
            f"OpenVINO gives other logits, by {apart:.1g} of the largest (at most {TOLERANCE:g})"
        )
    return classifier.with_network(fast)


def _compiled(network: nn.Module, example: Tensor, shape: tuple[int, ...]) -> Any:
    openvino = import_library("openvino", "running a classifier by OpenVINO")
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing warns of everything that depends on sizes
            model = openvino.convert_model(network, example_input=example, input=[list(shape)])
            return openvino.Core().compile_model(model, "CPU", options)
    except Exception as error:  # whatever is beyond its converter
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"OpenVINO cannot convert the classifier: {reason[:200]}") from error
