"""Score-CAM through pytorch-grad-cam; what is not seen of the image, the score's filler makes."""

from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from attribution.explainer import Attribution
from attribution.integrations.cam import LIBRARY, mapped, opened
from attribution.integrations.maps import AUTO, layer_of
from attribution.integrations.scalar import ByLibrary, Explained, Images, Looks, Scalar
from attribution.score import MaskedScore
from infill.validate import Length


@dataclass(frozen=True)
class ScoreCam(ByLibrary):
    """A layer's maps, each weighed by what the classifier says of the image seen through it.

    Score-CAM (Wang et al. 2020). What is not seen shows a baseline, which the score's filler makes
    (`attribution.baseline.baselines`): with ``Gray``, the mean of normalized images, that is the paper's.
    The weights are a softmax over the maps.
    The library holds the image once for each map: 0.8 GB for the 1280 maps of MobileNetV2.

    Attributes:
        layer: As for `attribution.integrations.cam.ClassActivationMap`.
        explained: As for `attribution.integrations.cam.ClassActivationMap`.
        blocks: Squares along each side of the chessboard by which fillers fill that look around the hole.

    Raises:
        ValueError: If a setting is out of range or unknown, or grad-cam is not installed.
    """

    layer: str = AUTO
    explained: Explained = "logit"
    blocks: Length = 4
    library: ClassVar[str] = LIBRARY
    fills: ClassVar[bool] = True

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score, with its baselines.

        Raises:
            ValueError: If there is no such layer, the classifier has no convolutions, or as for the filler.
        """
        from pytorch_grad_cam import ScoreCAM

        with Looks(score, self.explained, self.blocks) as looks:
            for network, image, start in looks:
                layer = layer_of(network, image, self.layer)
                with opened(ScoreCAM, Beyond(network, start), [layer]) as cam:
                    cam.batch_size = score.execution.batch_size
                    looks.take(mapped(cam, image - start))
        return replace(looks.attribution(), change=None)


class Beyond(nn.Module):
    """A network that is told how far its image is from a baseline, of which it then sees parts.

    pytorch-grad-cam multiplies what it hands to a network by a map: what is not seen of an image would be
    black.
    """

    def __init__(self, network: Scalar, start: Images) -> None:
        super().__init__()
        self.network, self.start = network, start

    def forward(self, difference: Images) -> Float[Tensor, " n"]:
        """Return the number of each image."""
        answer: Tensor = self.network(self.start + difference)
        return answer
