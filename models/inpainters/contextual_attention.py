"""Contextual attention (Yu et al. 2018, sec. 4): what is missing is put together from what is not."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

PATCH, RATE, SHARPNESS = 3, 2, 10.0
"""Side of the patches that are compared, by how much the features are shrunk first, scale of the softmax."""


class ContextualAttention(nn.Module):
    """Replaces every place of the features by what is observed at the places that look like it.

    Patches of the shrunk features are compared by their inner product, one of the two at unit length. Scores
    of patches that lie alike are added up (``fused``). A patch that the hole touches counts with a score of 0
    in the softmax, but nothing is copied from it. Each place then gets a mean of patches of the features at
    full size, and patches that overlap are averaged. Every image has its own hole and its own patches: in
    the published code a batch shares one hole, so that results depend on the neighbors.

    Args:
        tensorflow: Shrink and normalize as the published TensorFlow networks; else as PyTorch ones do.
    """

    def __init__(self, tensorflow: bool = True) -> None:
        super().__init__()
        self.tensorflow = tensorflow

    def forward(
        self, features: Float[Tensor, "n c h w"], hole: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n c h w"]:
        """Rebuild the features from their observed patches.

        Args:
            features: Their sides must be even.
            hole: 1 where features are not to be copied from; at their size.

        Returns:
            The features, everywhere put together from patches outside the hole; 0 if there are none.

        Raises:
            ValueError: If a side is odd.
        """
        if features.shape[-1] % RATE or features.shape[-2] % RATE:
            raise ValueError(f"`features` must have even sides, got {tuple(features.shape)}")
        small, gone = (shrunk(x, RATE, self.tensorflow) for x in (features, hole))
        patches = F.unfold(small, PATCH, padding=PATCH // 2)
        scores = fused(patches.mT @ self._normalized(patches), small.shape[-2], small.shape[-1])
        known = (F.max_pool2d(gone, PATCH, 1, PATCH // 2) == 0).flatten(1)[:, None].to(scores.dtype)
        weights = (SHARPNESS * scores * known).softmax(-1) * known
        pieces = F.unfold(features, 2 * RATE, padding=RATE // 2, stride=RATE)
        pasted = F.fold(pieces @ weights.mT, features.shape[-2:], 2 * RATE, padding=RATE // 2, stride=RATE)
        return pasted / RATE**2

    def _normalized(self, patches: Float[Tensor, "n k l"]) -> Float[Tensor, "n k l"]:
        if self.tensorflow:
            return patches / patches.norm(dim=1, keepdim=True).clamp(min=1e-4)
        return patches / (patches.square() + 1e-4).sum(1, keepdim=True).sqrt()


def fused(scores: Float[Tensor, "n l l"], height: int, width: int) -> Float[Tensor, "n l l"]:
    """Add to each score those of the next places in either direction, along the rows and then the columns.

    Places are counted row by row, so that the end of a row is next to the start of another; as published.
    """
    along = _added(scores).unflatten(2, (height, width)).unflatten(1, (height, width))
    across = _added(along.permute(0, 2, 1, 4, 3).flatten(3).flatten(1, 2))
    back = across.unflatten(2, (width, height)).unflatten(1, (width, height))
    return back.permute(0, 2, 1, 4, 3).flatten(3).flatten(1, 2)


def _added(scores: Float[Tensor, "n l l"]) -> Float[Tensor, "n l l"]:
    """Each score and its two neighbors on the diagonal."""
    total = scores.clone()
    total[:, 1:, 1:] += scores[:, :-1, :-1]
    total[:, :-1, :-1] += scores[:, 1:, 1:]
    return total


def shrunk(x: Float[Tensor, "n c h w"], by: int, corners: bool) -> Float[Tensor, "n c h2 w2"]:
    """Take one pixel of ``by`` along each side.

    They are the first ones; or, with ``corners``, those nearest to an even grid from corner to corner, as
    TensorFlow does it (``align_corners``).
    """
    rows, columns = (_kept(side, by, corners, x.device) for side in x.shape[-2:])
    return x[..., rows[:, None], columns]


def _kept(side: int, by: int, corners: bool, device: torch.device) -> Tensor:
    kept = torch.arange(side // by, device=device)
    gaps = len(kept) - 1
    if not corners or gaps < 1:
        return kept * by
    return (2 * kept * (side - 1) + gaps) // (2 * gaps)  # rounded; integers, as floats would be off
