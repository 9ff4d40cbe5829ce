"""The interface of a method of attribution, and the heatmap that it returns."""

from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from attribution.holes import Holes
from attribution.score import MaskedScore

Heatmap: TypeAlias = Float[Tensor, "b h w"]
"""One map per image, of the image's size; large = evidence for the target."""


@runtime_checkable
class Explainer(Protocol):
    """A method of attribution: hyper-parameters that turn a score into heatmaps.

    The same hyper-parameters (seed included) give the same heatmap, whatever the score's batch
    size and whatever other images are explained beside this one.
    """

    def __call__(self, score: MaskedScore) -> Heatmap:
        """Return the heatmap of each image of the score."""
        ...


@runtime_checkable
class SamplingExplainer(Explainer, Protocol):
    """A method whose holes are known before any of them is scored."""

    def holes(self, score: MaskedScore) -> Holes:
        """Return the holes that are scored for the one image of a score, made when sliced."""
        ...
