"""The slope of a loss in the pixels of images, batch by batch."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.engine.derivatives import follows
from attribution.engine.link import Logits, Targets
from attribution.engine.precision import PreparedClassifier
from infill.validate import require

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""``(logits "n k", target "n") -> "n"``: large where the classifier does not see the target."""


def slopes(
    classifier: PreparedClassifier,
    loss: Loss,
    images: Float[Tensor, "n c h w"],
    target: Targets,
    batch_size: int,
) -> tuple[Logits, Float[Tensor, " n"], Float[Tensor, "n c h w"]]:
    """Return logits, losses and each loss's derivative with respect to the pixels of its image.

    Raises:
        ValueError: If the classifier returns NaN, or lets no gradient through.
    """
    parts = [
        _slopes(classifier, loss, some, which)
        for some, which in zip(torch.split(images, batch_size), torch.split(target, batch_size), strict=True)
    ]
    logits, losses, gradients = (torch.cat(part) for part in zip(*parts, strict=True))
    return logits, losses, gradients


def _slopes(
    classifier: PreparedClassifier, loss: Loss, images: Tensor, target: Int[Tensor, " n"]
) -> tuple[Tensor, Tensor, Tensor]:
    with torch.inference_mode(False), torch.enable_grad():
        leaf, target = images.detach().clone().requires_grad_(), target.clone()
        logits = classifier(leaf)
        require(not bool(logits.isnan().any()), "classifier", "one that returns numbers", "NaN logits")
        rule = f"below the classifier's {logits.shape[1]} classes"
        require(int(target.max()) < logits.shape[1], "target", rule, int(target.max()))
        losses = loss(logits, target)
        rule = "one that lets gradients through to its images"
        require(follows(losses, leaf), "classifier", rule, "logits without a gradient")
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        finite = bool(gradient.isfinite().all())
        require(finite, "classifier", "one with finite derivatives", "NaN or infinite ones")
    return logits.detach(), losses.detach(), gradient
