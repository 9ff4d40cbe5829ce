"""Methods of gradients, through captum: the score's classifier is differentiated, not asked about holes."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor

from attribution.explainer import Attribution
from attribution.integrations.activations import RECTIFIERS, Routed
from attribution.integrations.maps import AUTO, layer_of
from attribution.integrations.scalar import (
    ByLibrary,
    Explained,
    Images,
    Looks,
    Map,
    Scalar,
    leaf,
)
from attribution.score import MaskedScore
from infill.validate import Range, Seed, require

LIBRARY = "captum"


@dataclass(frozen=True)
class Gradient(ByLibrary):
    """The derivative of the logit with respect to each pixel, by its size.

    A pixel's value is the largest absolute one among its channels (Simonyan et al. 2014, sec. 3.1). Two more
    kinds change how derivatives go back through ReLUs; whether these are modules or functions does not
    matter.

    Attributes:
        kind: ``"plain"``; ``"deconvnet"`` (Zeiler & Fergus 2014): a ReLU lets positive derivatives through,
            whatever its input was; ``"guided"`` (Springenberg et al. 2015): positive ones, where its input
            was.
        explained: Whose derivative: the target's ``"logit"``, as published, its ``"log-odds"`` among all
            classes, or the ``"score"``, a probability unless the score has another link.

    Raises:
        ValueError: If a setting is unknown, or captum is not installed.
    """

    kind: Literal["plain", "deconvnet", "guided"] = "plain"
    explained: Explained = "logit"
    library: ClassVar[str] = LIBRARY

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score.

        Raises:
            ValueError: If the classifier has no gradient or, for ``deconvnet`` and ``guided``, no ReLU.
        """
        from captum.attr import Deconvolution, GuidedBackprop, Saliency

        kinds = {"plain": Saliency, "guided": GuidedBackprop, "deconvnet": Deconvolution}
        with Looks(score, self.explained) as looks:
            for network, image, _ in looks:
                plain = self.kind == "plain"
                model = network if plain else _with_rectifiers(Routed(network, image, RECTIFIERS))
                looks.take(_largest(kinds[self.kind](model).attribute(leaf(image))))
        return looks.attribution()


@dataclass(frozen=True)
class NoisyGradient(ByLibrary):
    """Derivatives of noisy copies of the image: their mean, or their variance.

    Noise may leave [0, 1], as published.

    Attributes:
        kind: ``"mean"``: SmoothGrad (Smilkov et al. 2017), by its size; ``"variance"``: VarGrad (Adebayo et
            al. 2018). Either way a pixel's value is the largest among its channels.
        samples: Noisy copies.
        std: Standard deviation of the noise as a share of the range of pixel values, which is 1.
        seed: Of the noise, which is the same for every image of that size.
        explained: As for `Gradient`.

    Raises:
        ValueError: If a setting is out of range or unknown, or captum is not installed.
    """

    kind: Literal["mean", "variance"] = "mean"
    samples: Annotated[int, Range(2, 10**6)] = 50
    std: Annotated[float, Range(0, 10, open_low=True)] = 0.15
    seed: Seed = 0
    explained: Explained = "logit"
    library: ClassVar[str] = LIBRARY

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score.

        Raises:
            ValueError: If the classifier has no gradient.
        """
        with Looks(score, self.explained) as looks:
            for network, image, _ in looks:
                looks.take(self._of_one(network, image, score.execution.batch_size))
        return looks.attribution()

    def _of_one(self, network: Scalar, image: Images, batch_size: int) -> Map:
        from captum.attr import Saliency

        # captum's tunnel draws from the global generator: noise is drawn here, and the tunnel's sums made.
        generator = torch.Generator().manual_seed(self.seed)
        total, squares, first = torch.zeros_like(image[0]), torch.zeros_like(image[0]), torch.zeros(0)
        for start in range(0, self.samples, batch_size):
            count = min(batch_size, self.samples - start)
            noise = torch.stack(
                [
                    torch.randn(image.shape[1:], generator=generator, device="cpu", dtype=torch.float32)
                    for _ in range(count)
                ]
            )
            noisy = image + self.std * noise.to(image)
            found = Saliency(network).attribute(leaf(noisy), abs=False)
            first = found[0] if start == 0 else first
            found = found - first  # so that gradients that are all alike vary by 0, not by rounding
            total, squares = total + found.sum(dim=0), squares + found.square().sum(dim=0)
        off = total / self.samples
        spread = (squares / self.samples - off.square()).clamp_min(0)
        return _largest((first + off if self.kind == "mean" else spread)[None])


@dataclass(frozen=True)
class GuidedGradCam(ByLibrary):
    """Guided backpropagation times Grad-CAM, by its size (Selvaraju et al. 2017, sec. 3.2).

    Attributes:
        layer: Whose maps Grad-CAM takes; ``auto``: the last ones before the pooling.
        explained: As for `Gradient`.

    Raises:
        ValueError: If a setting is unknown, or captum is not installed.
    """

    layer: str = AUTO
    explained: Explained = "logit"
    library: ClassVar[str] = LIBRARY

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score.

        Raises:
            ValueError: If there is no such layer, or the classifier has no convolutions or no ReLU.
        """
        from captum.attr import GuidedGradCam as Library

        with Looks(score, self.explained) as looks:
            for network, image, _ in looks:
                layer = layer_of(network, image, self.layer)
                method = Library(_with_rectifiers(Routed(network, image, RECTIFIERS)), layer)
                looks.take(_largest(method.attribute(leaf(image), interpolate_mode="bilinear")))
        return looks.attribution()


def _largest(found: Any) -> Map:
    """Return the largest size among the channels of the only image."""
    sizes: Tensor = found[0].abs().amax(dim=0)
    return sizes


def _with_rectifiers(routed: Routed) -> Routed:
    """Return the network, if it has ReLUs.

    Raises:
        ValueError: If it has none.
    """
    require(len(routed.made) > 0, "classifier", "one with ReLUs, whose derivative is changed", "none")
    return routed
