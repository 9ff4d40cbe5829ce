"""Images changed so that a classifier no longer sees their class, through captum."""

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from attribution.engine.answers import logits_of
from attribution.engine.derivatives import follows
from attribution.engine.precision import Classifier, private
from infill.extras import optional
from infill.filler import check_range
from infill.network import unrounded
from infill.validate import Count, Range, require, require_settings

Images = Float[Tensor, "n c h w"]
Epsilon = Annotated[float, Range(0, 1, open_low=True)]
"""How far a value of a pixel may be changed, where images are in [0, 1]."""


class Attack(ABC):
    """Changes images within ``epsilon`` of every value, so that a class's loss grows.

    The loss is the cross-entropy of the class: of the softmax, or of its own sigmoid where an image may be of
    several classes. Nothing is drawn by chance, and no image depends on its neighbors. What a classifier does
    not look at, such as what it crops away, stays as it is.

    Raises:
        ValueError: If a setting is out of range, or captum is not installed.
    """

    epsilon: Epsilon

    def __post_init__(self) -> None:
        require_settings(self)
        optional("captum.robust", type(self).__name__)

    def __call__(
        self, classifier: Classifier, images: Images, target: Int[Tensor, " n"], multi_label: bool = False
    ) -> Images:
        """Return the changed images, in [0, 1].

        Args:
            classifier: Maps images in [0, 1], of the size that they have here, to logits; a copy is run.
            images: In [0, 1].
            target: The class of each image that is no longer to be seen.
            multi_label: Whether classes do not exclude each other.

        Raises:
            ValueError: If the classifier has no gradient or no such class, there is not a target for each
                image, or images leave [0, 1].
        """
        count = len(images)
        require(target.shape == (count,), "target", f"one class for each of {count} images", target.tolist())
        check_range("images", images, "in [0, 1]")
        network: Any = private(classifier, images.device)
        of_several, target = multi_label, target.to(images.device)

        def logits(pixels: Tensor) -> Tensor:
            with unrounded():
                found = logits_of(network(pixels.clone()), len(pixels))
            fits = int(target.min()) >= 0 and int(target.max()) < found.shape[1]
            require(fits, "target", f"a class from 0 to {found.shape[1] - 1}", target.tolist())
            asked = torch.is_grad_enabled() and pixels.requires_grad
            differentiable = not asked or follows(found, pixels)
            require(differentiable, "classifier", "differentiable by torch", "logits without a gradient")
            return found

        def loss(found: Tensor, wanted: Tensor) -> Tensor:
            if of_several:
                return F.softplus(-found.gather(1, wanted[:, None])[:, 0])
            return F.cross_entropy(found, wanted, reduction="none")

        with torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # captum's advice to programmers
            start = images.detach().float().clone().requires_grad_()
            found: Tensor = self.perturbed(logits, loss, start, target)
        return found.detach().to(images)

    @abstractmethod
    def perturbed(self, logits: Any, loss: Any, images: Tensor, target: Tensor) -> Tensor:
        """Return what the library makes of the images."""


@dataclass(frozen=True)
class Fgsm(Attack):
    """One step of ``epsilon`` along the sign of the loss's gradient (Goodfellow et al. 2015).

    captum leaves pixels alone whose derivative is below 1e-6; here every one that is not 0 counts, as
    published, for where a network is sure of itself all of them are small.
    """

    epsilon: Epsilon = 0.01

    def perturbed(self, logits: Any, loss: Any, images: Tensor, target: Tensor) -> Tensor:
        """Return what captum makes of the images."""
        from captum.robust import FGSM

        attack = FGSM(logits, loss, lower_bound=0.0, upper_bound=1.0)
        attack.zero_thresh = 0.0
        found: Tensor = attack.perturb(images, self.epsilon, target)
        return found


@dataclass(frozen=True)
class Pgd(Attack):
    """Steps along the sign of the loss's gradient, never farther than ``epsilon`` (Madry et al. 2018).

    It starts from the image itself, not from a random place near it. A step is 2.5 epsilon / steps long, so
    that the bound can be reached from anywhere within it. Pixels count as for `Fgsm`.
    """

    epsilon: Epsilon = 0.01
    steps: Count = 10

    def perturbed(self, logits: Any, loss: Any, images: Tensor, target: Tensor) -> Tensor:
        """Return what captum makes of the images."""
        from captum.robust import PGD

        attack = PGD(logits, loss, lower_bound=0.0, upper_bound=1.0)
        attack.fgsm.zero_thresh = 0.0
        length = 2.5 * self.epsilon / self.steps
        found: Tensor = attack.perturb(images, self.epsilon, length, self.steps, target)
        return found
