"""How surely a segmenter sees a class in a region."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from infill.validate import require

Segmenter = Callable[[Tensor], Tensor]
"""Maps images "n c h w" in [0, 1] to the logits of each pixel, "n k h w"."""


class RegionLogOdds(nn.Module):
    """A segmenter as a function from images to one number for a class in a region.

    The number is the mean over the region's pixels of the class's log-odds, ``log(p / (1 - p))`` of the
    softmax (of the sigmoid if there is a single class); Vinogradova et al. (2020) sum up logits there. To be
    explained with ``link=Value(odds=True)``.

    Args:
        segmenter: A module or any other callable.
        region: Of the size of the logits.
        label: The class.

    Raises:
        ValueError: If the region is empty; when called, if the logits have another size or fewer classes.
    """

    def __init__(self, segmenter: Segmenter, region: Bool[Tensor, "h w"], label: int) -> None:
        super().__init__()
        require(bool(region.any()), "region", "at least one pixel", "none")
        self.segmenter, self.label = segmenter, label
        self.register_buffer("region", region)
        self.region: Tensor

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1"]:
        """Return the mean log-odds within the region."""
        logits = self.segmenter(images).float()
        size, classes = tuple(logits.shape[2:]), logits.shape[1]
        require(size == tuple(self.region.shape), "region", f"of the logits' size {size}", self.region.shape)
        require(0 <= self.label < classes, "label", f"one of {classes} classes", self.label)
        within = logits[:, :, self.region]
        odds = within[:, self.label]
        if classes > 1:
            others = torch.cat([within[:, : self.label], within[:, self.label + 1 :]], dim=1)
            odds = odds - others.logsumexp(dim=1)
        return odds.mean(dim=1, keepdim=True)
