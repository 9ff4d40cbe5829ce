"""A classifier made fast: a private copy, folded, cast and laid out for the hardware."""

import copy
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType
from typing import Any, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attribution.engine.answers import logits_of, warn_unless_alone, warn_unless_same
from attribution.engine.folding import fold_batch_norm
from infill.network import Precision, at_once, fast_dtype, last_layer

Classifier: TypeAlias = Callable[..., Any]
"""Maps [0, 1] images "n c h w" to logits "n k", or to what `answers.logits_of` finds them in."""


@dataclass(frozen=True, eq=False)
class PreparedClassifier:
    """A classifier ready to be run many times; made by `prepare`.

    Attributes:
        source: What the caller gave, never changed; nor run, but where it cannot be copied.
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
        count = len(images)
        if not (torch.is_grad_enabled() and images.requires_grad):  # what a gradient needs is kept anyway
            count = at_once(self.network, images.device, (images.shape[2], images.shape[3]), count)
        found = []
        for portion in torch.split(images, max(1, count)):
            # Copied in any case: it may change what it is given in place.
            own = portion.to(self.dtype, memory_format=self.memory_format, copy=True)
            with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.autocast):
                answer = self.network(own)
            found.append(logits_of(answer, len(portion)))
        return found[0] if len(found) == 1 else torch.cat(found)


def prepare(
    classifier: Classifier,
    precision: Precision,
    example: Float[Tensor, "1 c h w"],
    deterministic: bool = True,
    beside: bool = True,
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
    float32 for it. So is a module that cannot be copied, in evaluation mode for as long as it runs.

    Warns where ``example`` has other logits when asked about twice, or ``beside`` another image (which is not
    tried unless several are ever given at once), unless told that it is not ``deterministic``.

    Raises:
        ValueError: If ``precision`` is unknown, the module lives on another device than the
            image, it fails for ``example``, or its logits for it are not a number.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    if isinstance(classifier, PreparedClassifier):
        if classifier.precision == precision:
            return classifier
        classifier = classifier.source
    with torch.no_grad():
        network = private(classifier, example.device)
        reference = PreparedClassifier(classifier, network, precision)
        truth = _asked(reference, example)
        if deterministic:
            steady = warn_unless_same(truth, reference(example))
            if steady and beside:
                warn_unless_alone(truth, reference, example)
        if not isinstance(network, nn.Module):
            return replace(reference, autocast=precision == "bfloat16")
        return _fastest(reference, network, example, truth)


def _asked(classifier: PreparedClassifier, example: Tensor) -> Tensor:
    """Return the logits of the first image; whatever is wrong with the classifier is told here."""
    try:
        logits = classifier(example)
    except RuntimeError as error:
        given = f"{tuple(example.shape)}, {example.dtype} on {example.device}"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = (
            "another dtype or device, give lambda x: model(x.half().to(device))"
            if re.search(r"type|device|Half|cuda|cpu|mps", reason)
            else "another size or number of channels, give it a preprocessing (models.preprocessing), as "
            "Preprocessing(crop=32, resize=32); of one channel with one mean and one std"
        )
        raise ValueError(
            f"classifier must take images of shape {given}; it fails for the first: {reason}. If it wants "
            f"{remedy}"
        ) from error
    if logits.isnan().any():
        raise ValueError("classifier must return numbers, got NaN logits for the first image")
    return logits


def _fastest(
    reference: PreparedClassifier, network: nn.Module, example: Tensor, truth: Tensor
) -> PreparedClassifier:
    """Return the first of the recipes with which a network gives the same logits."""
    precision = reference.precision
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


_LENDING = threading.RLock()
"""Of two threads that borrow a module at once, each would give back what the other has made of it."""


@contextmanager
def lent(module: nn.Module) -> Iterator[None]:
    """Have a module in evaluation mode and without gradients of its own, and leave it as it was."""
    with _LENDING:
        modes = [(part, part.training) for part in module.modules()]
        wanted = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
        try:
            for part, _ in modes:
                part.training = False
            for parameter, _ in wanted:
                parameter.requires_grad_(False)
            yield
        finally:
            for part, training in modes:
                part.training = training
            for parameter, wants in wanted:
                parameter.requires_grad_(wants)


@dataclass(frozen=True, eq=False)
class Lent:
    """A module that cannot be copied, as `lent` while it runs."""

    module: nn.Module

    def __call__(self, images: Tensor) -> Any:
        """Run the module."""
        with lent(self.module):
            return self.module(images)


def private(source: Classifier, device: torch.device) -> Classifier:
    """Return a private copy of a module; a plain callable, and what cannot be copied, is run as it is.

    The copy is in evaluation mode, in float32 and without gradients of its own; nothing in it is folded.

    Raises:
        ValueError: If the module lives on another device.
    """
    if not isinstance(source, nn.Module):
        return source
    tensors = (*source.parameters(), *source.buffers())
    elsewhere = {str(tensor.device) for tensor in tensors if tensor.device != device}
    if elsewhere:
        raise ValueError(
            f"classifier must be on the image's device {device}, got {', '.join(sorted(elsewhere))}"
        )
    # A compiled module would be compiled anew for each batch size; what it was made of gives the same logits.
    original: nn.Module = getattr(source, "_orig_mod", source)
    # A function in place of a method is not copied: the copy would run the caller's own module.
    if any(isinstance(vars(part).get("forward"), FunctionType) for part in original.modules()):
        return Lent(original)
    try:
        network = copy.deepcopy(original)
        with suppress(NotImplementedError):  # exported programs keep the mode in which they were exported
            network.eval()
        return network.requires_grad_(False).float()
    except Exception:  # whatever the module holds may refuse to be copied
        return Lent(original)


def _cook(
    network: nn.Module, example: Tensor, dtype: torch.dtype, autocast: bool, layout: torch.memory_format
) -> dict[str, Any]:
    """Fold, cast and lay out the network in place, and return the fields of its `PreparedClassifier`."""
    folded = fold_batch_norm(network)
    head = last_layer(network, partial(network, example.clone()))
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
