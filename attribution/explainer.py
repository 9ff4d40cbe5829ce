"""The interface of a method of attribution, and the heatmap that it returns."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from attribution.holes import Holes
from attribution.score import MaskedScore
from infill.validate import require

Heatmap: TypeAlias = Float[Tensor, "b h w"]
"""One map per image, of the image's size; large = evidence for the target."""


@runtime_checkable
class Explainer(Protocol):
    """A method of attribution: hyper-parameters that turn a score into heatmaps.

    The same hyper-parameters (seed included) give the same heatmap, whatever the score's batch
    size and whatever other images are explained beside this one: to rounding, as libraries sum in another
    order for another number of images. Methods that search by gradients go many steps, each from where
    the last one came to, and may turn rounding into more: where there are exact ties, as a constant fill
    makes in max pooling, or where a slope is steep, as that of guided feature inversion once all weights are
    near 0. Use one batch size where heatmaps of theirs are compared to the last digits.
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


def checked(found: object, score: MaskedScore) -> Heatmap:
    """Return what a method made of a score, in float32: a method may be anybody's, and return anything.

    Raises:
        ValueError: If it is no finite floating-point tensor with a map of the view's size for each image.
    """
    shape = (len(score), *score.size)
    rule = f"a finite floating-point tensor of shape {shape}"
    require(isinstance(found, Tensor), "heatmap", rule, type(found).__name__)
    heatmap = cast(Tensor, found)
    fits = heatmap.is_floating_point() and heatmap.shape == shape
    require(fits, "heatmap", rule, f"{heatmap.dtype} of shape {tuple(heatmap.shape)}")
    heatmap = heatmap.detach().float()
    wrong = int((~heatmap.isfinite()).sum())
    require(not wrong, "heatmap", rule, f"{wrong} of {heatmap.numel()} values that are not finite")
    return heatmap


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a method that looks into the classifier finds, and what it compared the images with.

    Attributes:
        heatmap: One map per image.
        forwards: How many images the classifier was shown for each.
        baseline: What each image was compared with, m of them; ``None`` if with nothing.
        change: How far the explained number falls from each image to its baselines, in the mean, of a method
            whose heatmaps sum up to that.
    """

    heatmap: Heatmap
    forwards: Int[Tensor, " b"]
    baseline: Float[Tensor, "b m c h w"] | None = None
    change: Float[Tensor, " b"] | None = None


@runtime_checkable
class AttributingExplainer(Explainer, Protocol):
    """A method that looks into the classifier, where others look at what it says of holes."""

    @property
    def fills(self) -> bool:
        """Whether a filler makes what it compares with; if not, the filler does not matter to it."""
        ...

    def attribute(self, score: MaskedScore) -> Attribution:
        """Return the heatmap of each image of the score, with what it was compared with."""
        ...
