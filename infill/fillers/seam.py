"""What takes the seam off the rim of a filled hole."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def feathered(
    content: Float[Tensor, "k c y x"],
    image: Float[Tensor, "#k c y x"],
    hidden: Bool[Tensor, "k 1 y x"],
    width: int,
) -> Float[Tensor, "k c y x"]:
    """Mix the content with the colors beside it, pixel by pixel from the rim inwards, ever less."""
    shown, known = torch.where(hidden, 0.0, image), (~hidden).float()
    for step in range(width):
        near = F.avg_pool2d(known, 3, 1, 1)
        rim = (near > 0) & (known == 0)
        beside = F.avg_pool2d(shown, 3, 1, 1) / near.clamp(min=1e-6)
        mixed = torch.lerp(content, beside, 0.5 * (1 - step / width))
        content, shown = (torch.where(rim, mixed, one) for one in (content, shown))
        known = known.maximum(rim.float())
    return content
