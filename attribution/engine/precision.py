"""A classifier made fast: a private copy, folded, cast and laid out for the hardware."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attribution.engine.folding import fold_batch_norm
from infill.network import Precision, fast_dtype, last_layer

Classifier: TypeAlias = Callable[..., Any]
"""Maps [0, 1] images "n c h w" to logits "n k", or to an object that has them as ``.logits``."""


@dataclass(frozen=True, eq=False)
class PreparedClassifier:
    """A classifier ready to be run many times; made by `prepare`.

    Attributes:
        source: What the caller gave, never run and never changed.
        network: What is run instead: a private copy of a module, or the plain callable itself.
        precision: The precision that `prepare` was called with.
        dtype: The dtype in which images are best handed over.
        memory_format: The layout in which images are best handed over.
        autocast: Whether the network runs under ``torch.autocast`` in bfloat16.
        folded: How many batch normalizations were folded into convolutions.
    """

    source: Classifier
    network: Classifier
    precision: Precision
    dtype: torch.dtype = torch.float32
    memory_format: torch.memory_format = torch.contiguous_format
    autocast: bool = False
    folded: int = 0

    @property
    def exact(self) -> bool:
        """Whether everything is computed in float32."""
        return self.dtype is torch.float32 and not self.autocast

    @property
    def mode(self) -> str:
        """The path that is used, in words: ``bfloat16, channels_last, 53 batch norms folded``."""
        kind = "float32" if self.exact else "autocast" if self.autocast else "bfloat16"
        layout = "channels_last" if self.memory_format is torch.channels_last else "contiguous"
        copied = f"{self.folded} batch norms folded" if isinstance(self.network, nn.Module) else "as it is"
        return f"{kind}, {layout}, {copied}"

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits in float32.

        Raises:
            ValueError: If the classifier's output is not one row of logits per image.
        """
        images = images.to(self.dtype, memory_format=self.memory_format)
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            answer = self.network(images)
        logits = getattr(answer, "logits", answer)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
            came = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(
                f"classifier must return logits of shape (images, classes), got {came} for {len(images)}"
            )
        return logits.float()


def prepare(
    classifier: Classifier, precision: Precision, example: Float[Tensor, "1 c h w"]
) -> PreparedClassifier:
    """Return the classifier ready to be run in the given precision.

    A module is copied, set to evaluation mode and freed of gradients; batch normalization is
    folded, the memory format is channels_last. In bfloat16 the weights are cast, except those of
    the last linear or convolutional layer: logits rounded to bfloat16 come in steps of 0.06. Each
    of these is given up, in the order of `_recipes`, when the module does not run with it or no
    longer gives the same logits for ``example``; `PreparedClassifier.mode` names what was used. The caller's
    module is left as it is.

    ``auto`` takes no bfloat16 that rounds the logits. A plain callable is called as it is, under
    ``torch.autocast`` if the precision is bfloat16; as that would round its logits, ``auto`` means
    float32 for it.

    Raises:
        ValueError: If ``precision`` is unknown, the module lives on another device than the
            image or cannot be copied, or its logits for ``example`` are not a number.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    if isinstance(classifier, PreparedClassifier):
        if classifier.precision == precision:
            return classifier
        classifier = classifier.source
    if not isinstance(classifier, nn.Module):
        return PreparedClassifier(classifier, classifier, precision, autocast=precision == "bfloat16")
    with torch.no_grad():
        return _prepare_module(classifier, precision, example)


def _prepare_module(source: nn.Module, precision: Precision, example: Tensor) -> PreparedClassifier:
    network = _private_copy(source, example.device)
    reference = PreparedClassifier(source, network, precision)
    truth = reference(example)
    if truth.isnan().any():
        raise ValueError("classifier must return numbers, got NaN logits for the first image")
    for recipe in _recipes(precision, example.device):
        try:
            candidate = replace(reference, **_cook(copy.deepcopy(network), example, *recipe))
            logits = candidate(example)
        except Exception:  # foreign code may fail in any way; the last recipe is the reference itself
            continue
        unsure = precision == "auto" and _coarse(logits) and not _coarse(truth)
        if not unsure and _agree(logits, truth, 1e-3 if candidate.exact else 0.1):
            return candidate
    if precision == "bfloat16":
        raise ValueError('classifier does not give the same logits in bfloat16: use precision="float32"')
    return reference


def _recipes(
    precision: Precision, device: torch.device
) -> Iterator[tuple[torch.dtype, bool, torch.memory_format]]:
    """Yield (dtype of the weights, autocast, layout) from the fastest to the most cautious."""
    layouts = (torch.channels_last, torch.contiguous_format)
    if precision == "bfloat16" or (precision == "auto" and _native_bfloat16(device)):
        yield from ((torch.bfloat16, False, layout) for layout in layouts)
        yield from ((torch.float32, True, layout) for layout in layouts)
    if precision != "bfloat16":
        yield from ((torch.float32, False, layout) for layout in layouts)


def _native_bfloat16(device: torch.device) -> bool:
    return fast_dtype(device) is torch.bfloat16


def _private_copy(source: nn.Module, device: torch.device) -> nn.Module:
    elsewhere = {str(tensor.device) for tensor in source.parameters() if tensor.device != device}
    if elsewhere:
        raise ValueError(
            f"classifier must be on the image's device {device}, got {', '.join(sorted(elsewhere))}"
        )
    try:
        network = copy.deepcopy(source)
    except Exception as reason:  # whatever the module holds may refuse to be copied
        raise ValueError(
            f"classifier cannot be copied ({reason}): give a function that calls it instead"
        ) from reason
    return network.eval().requires_grad_(False).float()


def _cook(
    network: nn.Module, example: Tensor, dtype: torch.dtype, autocast: bool, layout: torch.memory_format
) -> dict[str, Any]:
    """Fold, cast and lay out the network in place, and return the fields of its `PreparedClassifier`."""
    folded = fold_batch_norm(network)
    head = last_layer(network, partial(network, example))
    network.to(dtype=dtype, memory_format=layout)  # type: ignore[call-overload]
    if head is not None and (autocast or dtype is not torch.float32):
        # Replaced on the instance, so that whoever calls the layer by any name gets float32.
        head.forward = partial(_in_float32, head.float().forward)
    return {
        "network": network,
        "dtype": dtype,
        "memory_format": layout,
        "autocast": autocast,
        "folded": folded,
    }


def _in_float32(forward: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    with torch.autocast(features.device.type, enabled=False):
        return forward(features.float())


def _agree(logits: Tensor, truth: Tensor, tolerance: float) -> bool:
    """Whether logits differ by a small share of the largest; infinite ones must be equal."""
    scale = truth[truth.isfinite()].abs().amax() if truth.isfinite().any() else 0.0
    return torch.allclose(logits, truth, rtol=0, atol=tolerance * float(scale))


def _coarse(logits: Tensor) -> bool:
    """Whether logits have been rounded to bfloat16 on their way."""
    return torch.equal(logits, logits.bfloat16().float())
