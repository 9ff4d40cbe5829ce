"""What takes the seam off the rim of a filled hole."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

_THREE = (slice(None, -2), slice(1, -1), slice(2, None))


def feathered(
    content: Float[Tensor, "k c y x"],
    image: Float[Tensor, "#k c y x"],
    hidden: Bool[Tensor, "k 1 y x"],
    width: int,
) -> Float[Tensor, "k c y x"]:
    """Mix the content with the colors beside it, pixel by pixel from the rim inwards, ever less.

    What is beside a pixel is the mean of its neighbors that are observed, or mixed already.
    """
    if width == 0:
        return content
    content = content.clone()
    shown = F.pad(torch.where(hidden, 0.0, image), (1, 1, 1, 1))
    known = F.pad(~hidden, (1, 1, 1, 1))
    for step in range(width):
        rows = known[..., _THREE[0]] | known[..., _THREE[1]] | known[..., _THREE[2]]
        near = rows[..., _THREE[0], :] | rows[..., _THREE[1], :] | rows[..., _THREE[2], :]
        # Rims are thin: it is quicker to look at their pixels alone.
        index, _, y, x = (near & ~known[..., 1:-1, 1:-1]).nonzero(as_tuple=True)
        around = [(index, y + down, x + right) for down in range(3) for right in range(3)]
        total = torch.stack([shown[i, :, j, k] for i, j, k in around]).sum(0)
        count = torch.stack([known[i, 0, j, k] for i, j, k in around]).sum(0)
        mixed = torch.lerp(content[index, :, y, x], total / count[:, None], 0.5 * (1 - step / width))
        content[index, :, y, x] = shown[index, :, y + 1, x + 1] = mixed
        known[index, 0, y + 1, x + 1] = True
    return content
