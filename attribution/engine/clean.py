"""The untouched images and their logits, computed once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attribution.engine.incremental import IncrementalImages
from attribution.engine.precision import PreparedClassifier
from infill.network import unrounded
from infill.validate import require


@contextmanager
def constant() -> Iterator[None]:
    """Make tensors without gradient that a graph may use later, even in someone's inference mode.

    Nor are they rounded under someone's autocast.
    """
    with torch.inference_mode(False), torch.no_grad(), unrounded():
        yield


@dataclass(eq=False)
class CleanImages:
    """The untouched images and, once they have been computed, their logits.

    Attributes:
        image: RGB in [0, 1], in float32.
        classifier: What maps views of them to logits.
        margin: How many pixels a view is smaller than the image, along each side's length.
        batch_size: The most images that the classifier is given at once.
        computed: The logits, if they have been computed already.
        incremental: Whether composites may be classified by what differs from the images.
        version: Of the images' memory: what was computed is not that of what is written there later.
    """

    image: Float[Tensor, "b c h w"]
    classifier: PreparedClassifier
    margin: int
    batch_size: int
    computed: Float[Tensor, "b k"] | None = None
    incremental: bool = False
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.version = version_of(self.image)

    @cached_property
    def canvas(self) -> Float[Tensor, "b c h w"]:
        """The images in the classifier's dtype.

        Contiguous: composites are made faster that way and laid out for the classifier afterwards.
        """
        with constant():
            return self.image.to(self.classifier.dtype).contiguous()

    @property
    def logits(self) -> Float[Tensor, "b k"]:
        """The logits of the untouched images.

        Raises:
            ValueError: If they are not a number.
        """
        if self.computed is None:
            parts = []
            with constant():
                for images in torch.split(self.canvas, self.batch_size):
                    parts.append(self.classifier(self.view(images)))
                logits = torch.cat(parts)
            require(not bool(logits.isnan().any()), "classifier", "one that returns numbers", "NaN logits")
            self.computed = logits
        return self.computed

    def view(
        self, images: Float[Tensor, "n c h w"], shift: Int[Tensor, "n 2"] | None = None
    ) -> Float[Tensor, "n c y x"]:
        """Return the part of images that the classifier is shown: the middle, or where ``shift`` says."""
        if not self.margin:
            return images
        height, width = (side - self.margin for side in images.shape[2:])
        if shift is None:
            start = self.margin // 2
            return images[:, :, start : start + height, start : start + width]
        cut = [
            one[:, top : top + height, left : left + width]
            for one, (top, left) in zip(images, shift.tolist(), strict=True)
        ]
        return torch.stack(cut)

    @cached_property
    def changed(self) -> IncrementalImages | None:
        """What classifies composites by their differences from the images; ``None``: whole ones are."""
        if not self.incremental or self.margin:
            return None
        return IncrementalImages(self.classifier, self.canvas)

    def part(self, rows: slice) -> "CleanImages":
        """Return some of the images, with their logits if these have been computed."""
        computed = None if self.computed is None else self.computed[rows]
        return replace(self, image=self.image[rows], computed=computed)

    def equals(self, other: "CleanImages") -> bool:
        """Whether the logits of the other images are the same, to the bit."""
        same = self.classifier is other.classifier and unwritten(self.image, self.version, other.image)
        own = (self.margin, self.batch_size, self.incremental)
        return same and own == (other.margin, other.batch_size, other.incremental)


def version_of(tensor: Tensor) -> int:
    """Return how often a tensor's memory has been written to, as far as torch counts that."""
    return 0 if tensor.is_inference() else int(tensor._version)


def unwritten(first: Tensor, version: int, second: Tensor) -> bool:
    """Whether two tensors are the same part of the same memory, not written to since it was of a version."""
    return first.device == second.device and first.is_set_to(second) and version_of(second) == version
