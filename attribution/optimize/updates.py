"""The change of its pixels that a classifier suggests to see a class better: of first or of second order."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from attribution.engine.link import Against, Logits, Targets, log_odds, logit, probability, sigmoid
from attribution.engine.precision import PreparedClassifier
from attribution.engine.slopes import Loss, slopes
from attribution.score import MaskedScore
from infill.validate import Count, require, require_settings

Order = Literal["first", "bfgs", "l-bfgs"]
Asked: TypeAlias = Callable[[Tensor], tuple[float, Tensor]]
"""What returns the loss of an image "c h w" and its gradient."""
ROUNDING = 1e-6
"""By so much a loss (in nats) may seem to rise by rounding alone."""
LARGEST = 4096
"""How many values an image may have for BFGS, which keeps a matrix of their square."""


@dataclass(frozen=True, eq=False)
class Suggestion:
    """What a classifier sees in images, and how it would change them.

    Attributes:
        logits: Of each image.
        right: Whether it sees the target.
        update: Of the images that were asked about, in their order.
    """

    logits: Logits
    right: Bool[Tensor, " n"]
    update: Float[Tensor, "m c h w"]


@dataclass(frozen=True)
class Descent:
    """Which way down the loss a classifier suggests (Deelaka et al. 2024, eq. 2 and sec. 4.5).

    The loss is the cross-entropy of the target, ``-log p`` (compared with another class,
    ``-log (p / (p + q))``), computed from log-odds: no digit of it is lost where p is near 1.

    Attributes:
        update: ``"first"``: the negative gradient, with a step size of 1. ``"bfgs"``: the direction p that
            solves ``B p = -gradient`` where scipy's BFGS has come to after so many steps (for images of up to
            4096 values); ``"l-bfgs"``: the same by torch's L-BFGS, which keeps no matrix.
        steps: Of BFGS; at most, as it ends where the gradient is 0.
    """

    update: Order = "first"
    steps: Count = 10

    def __post_init__(self) -> None:
        require_settings(self)

    def suggested(
        self, score: MaskedScore, images: Float[Tensor, "n c h w"], target: Targets, every: bool = False
    ) -> Suggestion:
        """Return what the classifier sees in images, and how it would change them.

        Args:
            score: Whose classifier is asked, in batches of its size, and whose link says what a class is.
            images: As the classifier is to see them.
            target: The class of each.
            every: Whether updates are wanted of all images, not of those alone that show their target.

        Raises:
            ValueError: If the score is not one of a class, BFGS diverges or the images are too large for it,
                or as for `attribution.engine.slopes.slopes`.
        """
        loss, seen = _of_class(score)
        ask = partial(slopes, cast(PreparedClassifier, score.classifier), loss)
        logits, _, gradient = ask(images, target, score.execution.batch_size)
        right = seen(logits, target)
        wanted = torch.ones_like(right) if every else right
        if self.update == "first":
            return Suggestion(logits, right, -gradient[wanted])
        if self.update == "bfgs":
            rule = f"'first' or 'l-bfgs' for images of more than {LARGEST} values"
            require(images[0].numel() <= LARGEST, "update", rule, f"'bfgs' for {images[0].numel()}")

        def one(image: Tensor, which: Tensor) -> Tensor:
            def asked(pixels: Tensor) -> tuple[float, Tensor]:
                _, value, slope = ask(pixels[None], which[None], 1)
                return float(value), slope[0]

            return self.second_order(asked, image)

        found = [one(image, which) for image, which in zip(images[wanted], target[wanted], strict=True)]
        return Suggestion(logits, right, torch.stack(found) if found else gradient[:0])

    def second_order(self, loss: Asked, image: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
        """Return BFGS's direction where it is after its steps from an image.

        Args:
            loss: Returns the loss of an image and its gradient.
            image: Where to start.

        Raises:
            ValueError: If it diverges: something is not finite, or the loss is larger than at the start.
        """
        before, _ = loss(image)
        direction, after = (_bfgs if self.update == "bfgs" else _l_bfgs)(loss, image, self.steps)
        finite = bool(direction.isfinite().all()) and math.isfinite(after)
        if not finite or after > before + ROUNDING:
            way = f"{before:.4g} to {after:.4g} in {self.steps} steps"
            raise ValueError(
                f"{self.update} diverges: the loss goes from {way}, "
                f"and its direction is {direction.abs().max():.3g} long; take update=first or fewer steps"
            )
        return direction


def _bfgs(loss: Asked, image: Tensor, steps: int) -> tuple[Tensor, float]:
    """Return scipy's direction after so many steps, and the loss there."""
    from scipy.optimize import minimize

    def asked(pixels: ndarray) -> tuple[float, ndarray]:
        value, slope = loss(torch.from_numpy(pixels).to(image).view_as(image))
        return value, slope.flatten().cpu().double().numpy()

    start = image.flatten().cpu().double().numpy()
    with np.errstate(all="ignore"):  # what overflows is told by what comes out
        end = minimize(asked, start, jac=True, method="BFGS", options={"maxiter": steps, "gtol": 0.0})
        direction = -(end.hess_inv @ end.jac)
    return torch.from_numpy(direction).to(image).view_as(image), float(end.fun)


def _l_bfgs(loss: Asked, image: Tensor, steps: int) -> tuple[Tensor, float]:
    """Return torch's direction after so many steps, and the loss where it leads."""
    with torch.inference_mode(False), torch.enable_grad():
        pixels = image.detach().clone(memory_format=torch.contiguous_format).requires_grad_()

    def asked() -> float:
        value, slope = loss(pixels.detach().clone())
        pixels.grad = slope.contiguous()  # torch's search looks at it as one row
        return value

    # A step more: the direction is known once it has been followed.
    search = torch.optim.LBFGS(
        [pixels],
        max_iter=steps + 1,
        max_eval=25 * (steps + 1),
        tolerance_grad=0.0,
        tolerance_change=0.0,
        history_size=steps + 1,
        line_search_fn="strong_wolfe",
    )
    search.step(asked)  # type: ignore[no-untyped-call]
    return search.state[pixels].get("d", torch.zeros_like(image)).view_as(image), asked()


def _of_class(score: MaskedScore) -> tuple[Loss, Callable[[Tensor, Tensor], Tensor]]:
    """Return the cross-entropy of a target, and whether a classifier's decision is for it."""
    link = score.link
    alone = link in (probability, log_odds, logit) and score.clean_logits.shape[1] == 1
    rule = "sigmoid for one logit, whose softmax is always 1 (--multi-label on the command line)"
    require(not alone, "link", rule, getattr(link, "__name__", link))
    if link in (probability, log_odds, logit):
        return (lambda z, target: F.softplus(-log_odds(z, target))), (lambda z, target: z.argmax(1) == target)
    rule = "a class's (probability, log_odds, logit, sigmoid or Against): masks count whose class is seen"
    known = link is sigmoid or isinstance(link, Against)
    require(known, "link", rule, getattr(link, "__name__", link))
    odds = link if isinstance(link, Against) else logit
    return (lambda z, target: F.softplus(-odds(z, target))), (lambda z, target: odds(z, target) > 0)
