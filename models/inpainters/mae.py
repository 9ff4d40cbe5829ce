"""Masked autoencoders (He et al. 2022, "Masked autoencoders are scalable vision learners") as inpainters.

A patch that the hole touches is hidden as a whole. The encoder gets the others, and the decoder predicts the
pixels of the hidden ones. The networks are transformers' ``ViTMAEForPreTraining``.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.inpainters.inpainter import Inpainter
from models.weights import transformers as hugging_face

FAMILY = hugging_face.ModelFamily("ViTMAEForPreTraining", "masked autoencoder", "filler", "mae:")
_FALLOFF = 4
"""With which power of the distance a visible patch counts less for what a hidden one is like."""
_EPSILON = 1e-6  # is added to a patch's variance in training


class MaskedAutoencoder(nn.Module):
    """Fills holes in images of the one size that the network was made for.

    Networks trained on normalized patches (``norm_pix_loss``, sec. 3 of the paper) predict a hidden patch up
    to its mean and standard deviation, which are hidden, too. Both are estimated: as the average over the
    visible patches, weighted by the inverse fourth power of their distance (Shepard 1968). Where nothing is
    visible they are those that the image processor takes all images to have.

    Args:
        network: A ``ViTMAEForPreTraining``.
        mean: Of each channel of images in [0, 1], as the network wants them normalized.
        std: Likewise.
    """

    def __init__(self, network: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network: Any = network
        self.side: int = network.config.image_size
        self.patch: int = network.config.patch_size
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.register_buffer("nearness", _nearness(self.side // self.patch), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.nearness: Tensor

    def forward(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n 3 h w"]:
        """Propose content for every patch that the hole touches; all others are the image's.

        Raises:
            ValueError: If the image is of another size.
        """
        if image.shape[-2:] != (self.side, self.side):
            raise ValueError(f"`image` must be of {self.side} x {self.side}, got {tuple(image.shape)}")
        touched = F.max_pool2d(hole, self.patch)
        hidden = touched.flatten(1) > 0
        pixels = (image - self.mean) / self.std
        patches = torch.zeros_like(self.network.patchify(pixels))
        counts = hidden.sum(1)
        for count in counts[counts > 0].unique().tolist():
            alike = counts == count
            patches[alike] = self.predicted(pixels[alike], hidden[alike]).to(patches.dtype)
        proposal = self.network.unpatchify(patches) * self.std + self.mean
        whole = F.interpolate(touched, scale_factor=self.patch) > 0
        return torch.where(whole, proposal.clamp(0, 1), image)

    def predicted(
        self, pixels: Float[Tensor, "n 3 h w"], hidden: Bool[Tensor, "n l"]
    ) -> Float[Tensor, "n l d"]:
        """The pixels of all patches of normalized images that have equally many hidden ones."""
        total, visible = hidden.shape[1], int((~hidden[0]).sum())
        # The library shows the encoder a fixed share of the patches, those of the least noise.
        self.network.config.mask_ratio = 1 - (visible + 0.5) / total
        order = torch.arange(total, device=hidden.device) / total
        patches: Tensor = self.network(pixels, noise=hidden + order).logits
        if self.network.config.norm_pix_loss:
            mean, std = self._statistics(self.network.patchify(pixels), hidden)
            patches = patches * std + mean
        return patches

    def _statistics(
        self, patches: Float[Tensor, "n l d"], hidden: Bool[Tensor, "n l"]
    ) -> tuple[Float[Tensor, "n l 1"], Float[Tensor, "n l 1"]]:
        """What the mean and the standard deviation of each patch may be, by those of the visible ones."""
        if hidden.all():
            none = patches.new_zeros(*hidden.shape, 1)
            return none, none + 1
        variance, mean = torch.var_mean(patches, -1, keepdim=True)
        weight = self.nearness * ~hidden[:, None]
        weight = weight / weight.sum(-1, keepdim=True)
        return weight @ mean, weight @ (variance + _EPSILON).sqrt()


def load(checkpoint: Path | str) -> Inpainter:
    """The masked autoencoder in a folder, or of this id on the Hugging Face hub.

    Raises:
        ValueError: If it cannot be had, is of another kind, or is not for square images of three channels.
    """
    place = str(checkpoint)
    network, settings = hugging_face.pretrained(place, FAMILY)
    config = network.config
    side, patch, channels = config.image_size, config.patch_size, config.num_channels
    if not (isinstance(side, int) and isinstance(patch, int) and side % patch == 0 and channels == 3):
        raise ValueError(
            f"{FAMILY.named(place)}: expected square images of three channels and whole square patches, "
            f"got image_size {side}, patch_size {patch}, num_channels {channels}"
        )
    try:
        mean, std = hugging_face.normalization(settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{FAMILY.named(place)}: cannot follow its image processor: {error!r}") from error
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(
            f"{FAMILY.named(place)}: expected three means and three std > 0, got {mean} and {std}"
        )
    return Inpainter(MaskedAutoencoder(network, mean, std).eval().requires_grad_(False), size=side)


def _nearness(cells: int) -> Float[Tensor, "l l"]:
    """How much each patch of a square grid counts for what each other one may be like."""
    line = torch.arange(cells, dtype=torch.float32)
    places = torch.cartesian_prod(line, line).view(-1, 2)
    return torch.cdist(places, places).clamp_min(1).pow(-_FALLOFF)
