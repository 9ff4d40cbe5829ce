"""Contrastive Grad-CAM, through pytorch-grad-cam: why the class that is seen rather than another one."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from attribution.engine.link import Against, Logits, Scores, Targets
from attribution.explainer import Attribution
from attribution.integrations.cam import LIBRARY, mapped, opened
from attribution.integrations.maps import AUTO, layer_of
from attribution.integrations.scalar import ByLibrary, Images, Looks, Map, Scalar, leaf
from attribution.score import MaskedScore
from infill.validate import require


@dataclass(frozen=True)
class ContrastiveGradCam(ByLibrary):
    """A layer's maps, each weighed by what it adds to the loss of another class (Prabhushankar et al. 2020).

    Why P, rather than Q? The weights are the mean gradients of ``J(P, Q)``, the cross-entropy between what
    the classifier predicts and class Q; all else is Grad-CAM. The gradient of that loss is the sum of all
    logits' gradients, each times its probability, less that of Q's logit: with a sure prediction, that of
    ``P - Q``. P has no other part in it, so it must be the class that is seen. For another one, take
    `attribution.ClassActivationMap` with the score of P against Q, which follows the difference of their
    logits. The probabilities are a softmax's, even if classes do not exclude each other.

    Attributes:
        layer: As for `attribution.integrations.cam.ClassActivationMap`.

    Raises:
        ValueError: If a setting is unknown, or grad-cam is not installed.
    """

    layer: str = AUTO
    library: ClassVar[str] = LIBRARY

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score, whose link is `attribution.Against`.

        Raises:
            ValueError: If the score compares no two classes, the target is not what the classifier sees
                first, there is no such layer, or the classifier has no convolutions.
        """
        rule = "Against(Q), which names the class to compare with (--against Q on the command line)"
        name = getattr(score.link, "__name__", type(score.link).__name__)
        require(isinstance(score.link, Against), "link", rule, name)
        _require_prediction(score)
        with Looks(replace(score, link=Loss(score.link.other)), "score") as looks:  # type: ignore[attr-defined]
            for network, image, _ in looks:
                looks.take(self._of_one(network, image))
        return looks.attribution()

    def _of_one(self, network: Scalar, image: Images) -> Map:
        from pytorch_grad_cam import GradCAM

        layer: nn.Module = layer_of(network, image, self.layer)
        with opened(GradCAM, network, [layer]) as cam:
            return mapped(cam, leaf(image))


@dataclass(frozen=True)
class Loss:
    """The cross-entropy between what is predicted and a class; the target has no part in it.

    Attributes:
        other: The class.
    """

    other: int

    def __call__(self, logits: Logits, target: Targets) -> Scores:
        """Return the loss of each image."""
        return F.cross_entropy(logits, torch.full_like(target, self.other), reduction="none")


def _require_prediction(score: MaskedScore) -> None:
    """Check that what is explained is what the classifier sees, and not the class that it is compared with.

    Raises:
        ValueError: If it is not.
    """
    score.clean  # noqa: B018  (a wrong class is told here)
    seen, target = score.clean_logits.argmax(dim=1), torch.as_tensor(score.target)
    others = [f"{a} where {b} is seen" for a, b in zip(target.tolist(), seen.tolist(), strict=True) if a != b]
    rule = "the class that the classifier sees first, whose loss it is (gradcam compares any two)"
    require(not others, "target", rule, ", ".join(others[:3]))
