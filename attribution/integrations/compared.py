"""Methods that compare the image with a baseline, through captum; the score's filler makes it."""

from dataclasses import dataclass
from typing import ClassVar, cast

from torch import Tensor

from attribution.explainer import Attribution
from attribution.integrations.activations import NONLINEAR, Routed
from attribution.integrations.scalar import ByLibrary, Explained, Looks, leaf
from attribution.score import MaskedScore
from infill.validate import Count, Length, require

LIBRARY = "captum"


@dataclass(frozen=True)
class IntegratedGradients(ByLibrary):
    """Derivatives summed up on the straight way from a baseline to the image (Sundararajan et al. 2017).

    The baseline is what the score's filler leaves where everything is removed
    (`attribution.baseline.baselines`): constant fillers give the classic ones, an inpainter an image that
    is plausible piece by piece. Over several fills (a stochastic filler, with the score's samples) these
    are expected gradients (Erion et al. 2021). Channels are added, so the heatmap sums up to the logit of
    the image minus that of the baseline, as far as the sum over ``steps`` is the integral.

    Attributes:
        steps: Points on the way (Gauss-Legendre).
        blocks: Squares along each side of the chessboard by which fillers fill that look around the hole.
        explained: Whose derivative, as for `attribution.integrations.gradients.Gradient`.

    Raises:
        ValueError: If a setting is out of range or unknown, or captum is not installed.
    """

    steps: Count = 50
    blocks: Length = 4
    explained: Explained = "logit"
    library: ClassVar[str] = LIBRARY
    fills: ClassVar[bool] = True

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score, with its baselines.

        Raises:
            ValueError: If the classifier has no gradient, or as for the filler.
        """
        from captum.attr import IntegratedGradients as Library

        size = score.execution.batch_size
        with Looks(score, self.explained, self.blocks) as looks:
            for network, image, start in looks:
                found = Library(network).attribute(image, start, n_steps=self.steps, internal_batch_size=size)
                looks.take(found[0].sum(dim=0))
        return looks.attribution()


@dataclass(frozen=True)
class DeepLift(ByLibrary):
    """Differences from a baseline, handed back layer by layer (Shrikumar et al. 2017, the rescale rule).

    Baselines are those of `IntegratedGradients`. The heatmap sums up to the logit of the image minus that
    of the baseline. captum knows ReLUs and a few more activations; max pooling and ReLU6 are put together
    from ReLUs.

    Attributes:
        blocks: As for `IntegratedGradients`.

    Raises:
        ValueError: If a setting is out of range, or captum is not installed.
    """

    blocks: Length = 4
    library: ClassVar[str] = LIBRARY
    fills: ClassVar[bool] = True

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score, with its baselines.

        Raises:
            ValueError: If contributions do not add up, as with activations or products that captum's rule
                does not know, or as for `IntegratedGradients`.
        """
        from captum.attr import DeepLift as Library

        with Looks(score, "logit", self.blocks) as looks:
            for network, image, start in looks:
                rescaled = Library(Routed(network, image, NONLINEAR)).attribute(leaf(image), start)
                looks.take(rescaled[0].sum(dim=0))
        found = looks.attribution()
        _require_complete(found)
        return found


def _require_complete(found: Attribution) -> None:
    """Check that contributions add up to the change from the baselines.

    Raises:
        ValueError: If they do not.
    """
    change = cast(Tensor, found.change)
    lost = (found.heatmap.sum(dim=(1, 2)) - change).abs()
    wrong = lost > 0.01 * change.abs() + 1e-3 * found.heatmap.abs().sum(dim=(1, 2))
    rule = "one whose activations captum's DeepLIFT knows (not SiLU, GELU or gates: take integrated)"
    require(not wrong.any(), "classifier", rule, f"contributions that miss {float(lost.max()):.3g}")
