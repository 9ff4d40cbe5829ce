"""The losses that look at features: LPIPS, and a critic of the same features.

Both see through one frozen backbone, so the critic costs next to nothing (Sauer et al. 2021, "Projected GANs
converge faster"). It judges place by place, and only the places under the hole count (Suvorov et al. 2022,
section 2.2.2).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from infill.realism.similarity import BACKBONES, Features, Perceptual
from models.weights import store

STAGES = (0, 1, 2, 4)
"""Which outputs of the backbone the critic sees: at a half, a quarter, an eighth, a sixteenth of the size.

The finest one keeps the inpainter from the regular dots by which it could please LPIPS.
"""
CHANNELS = (64, 128, 256, 384)


def perceptual() -> Perceptual:
    """Return LPIPS with the SqueezeNet backbone, whose features the critic sees, too.

    Raises:
        ValueError: If the backbone's weights are neither under TORCH_HOME nor to be downloaded.
    """
    backbone = BACKBONES["squeeze"].partition("-")[0]  # the file is named after the network and its hash
    try:
        if not store.here(backbone):
            store.fetch(backbone)  # which asks nobody where INFILL_OFFLINE forbids it
        return Perceptual("squeeze")
    except ValueError as error:
        raise ValueError(f"{error}; `--perceptual 0 --adversarial 0` trains without") from error


class Critic(nn.Module):
    """Tells composites from pictures by their features, place by place."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, width, 1), nn.LeakyReLU(0.2),
                nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2),
                nn.Conv2d(width, 1, 1),
            )
            for channels in CHANNELS
        )  # fmt: skip

    def forward(self, features: Features) -> list[Float[Tensor, "n 1 _y _x"]]:
        """One map of logits a stage, positive where it takes the features for a picture's."""
        # unit vectors of so many channels have tiny entries: scaled to a mean square of 1
        chosen = [features[stage] * features[stage].shape[1] ** 0.5 for stage in STAGES]
        return [head(one) for head, one in zip(self.heads, chosen, strict=True)]


def critic_loss(
    real: Sequence[Tensor], fake: Sequence[Tensor], hole: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, ""]:
    """Hinge loss of the critic, weighed by how much of each place is under the hole."""
    return _over_hole([F.relu(1 - one) for one in real], hole) + _over_hole(
        [F.relu(1 + one) for one in fake], hole
    )


def fooling_loss(fake: Sequence[Tensor], hole: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
    """Hinge loss of the inpainter."""
    return _over_hole([-one for one in fake], hole)


def _over_hole(maps: Sequence[Tensor], hole: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
    total = torch.zeros((), device=hole.device)
    for one in maps:
        weight = F.adaptive_avg_pool2d(hole, (one.shape[-2], one.shape[-1]))
        total = total + (weight * one.float()).sum() / weight.sum().clamp(min=1e-6)
    return total / len(maps)
