"""How alike two images are to a network: the cosine of their embeddings."""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from infill.realism.features import Judge, judge
from infill.validate import require


class LastFeatures(nn.Module):
    """What the last layer of a classifier reads, as an embedding of images.

    Args:
        network: A classifier.
        example: Images to find the layer with.

    Raises:
        ValueError: If the network has no linear or convolutional layer, or that does not read one row of
            features an image.
    """

    def __init__(self, network: nn.Module, example: Float[Tensor, "n c h w"]) -> None:
        super().__init__()
        self.network = network
        head = judge(network, network, example).head
        self._head = next(name for name, module in network.named_modules() if module is head)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Return the features."""
        features = Judge(self.network, self.network.get_submodule(self._head))(images)[1]
        assert features is not None
        return features


class Likeness(nn.Module):
    """The cosine between the embedding of an image and those of some references, in [-1, 1].

    To be explained with ``link=Value()``, the reference's number as the target.

    Args:
        embed: Maps images to embeddings "n d".
        references: Embeddings that images are compared with.

    Raises:
        ValueError: If a reference is 0 or not finite.
    """

    def __init__(self, embed: Callable[[Tensor], Tensor], references: Float[Tensor, "t d"]) -> None:
        super().__init__()
        lengths = references.float().norm(dim=1)
        usable = bool((lengths > 0).all() and lengths.isfinite().all())
        require(usable, "references", "embeddings that are finite and not 0", lengths.tolist())
        self.embed = embed
        self.register_buffer("references", F.normalize(references.float(), dim=1))
        self.references: Tensor

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n t"]:
        """Return the cosines."""
        cosines: Tensor = F.normalize(self.embed(images).float(), dim=1) @ self.references.T
        return cosines
