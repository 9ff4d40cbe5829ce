"""What a filler around a loaded inpainter promises, whatever the inpainter."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Generator, Tensor

from infill import Learned, composite
from models.inpainters.inpainter import Inpainter


def adapted(inpainter: Inpainter, **options: Any) -> Learned:
    """The inpainter as a filler."""
    return Learned(**{field.name: getattr(inpainter, field.name) for field in fields(inpainter)}, **options)


def random_holes(height: int, width: int, seed: int = 0) -> Tensor:
    """A rectangle, scattered pixels, nothing, everything, one pixel."""
    generator = Generator().manual_seed(seed)
    hole = torch.zeros(5, 1, height, width)
    top, left = (int(torch.randint(side, (), generator=generator)) for side in (height, width))
    hole[0, :, top:, left : left + width // 2 + 1] = 1
    hole[1] = (torch.rand(height, width, generator=generator) < 0.5).float()
    hole[3] = 1
    hole[4, :, top, left] = 1
    return hole


def check_promises(
    filler: Learned, image: Tensor, hole: Tensor, chance: Callable[[], Generator | None] = lambda: None
) -> Tensor:
    """Check the contract on one image with the holes of `random_holes`, and return the composites.

    ``chance`` makes the generator that a stochastic filler draws from, the same one each time.
    """
    fill = filler(image, hole, chance())
    assert fill.shape == (len(hole), *image.shape[1:])
    assert fill.isfinite().all()
    assert 0 <= fill.min() <= fill.max() <= 1
    hidden = hole.bool().expand_as(fill)
    whole = composite(image, hole, fill)
    assert torch.equal(whole[~hidden], image.expand_as(fill)[~hidden])
    assert torch.equal(fill[2], image[0])
    lies = torch.where(hole.bool(), torch.rand(image.shape, generator=Generator().manual_seed(9)), image)
    torch.testing.assert_close(filler(lies, hole, chance())[hidden], fill[hidden], rtol=0, atol=1e-6)
    generator = chance()  # another split of the holes, the same stream of draws
    parts = [filler(image, part, generator) for part in hole.split([1, len(hole) - 1])]
    torch.testing.assert_close(torch.cat(parts)[hidden], fill[hidden], rtol=0, atol=1e-5)
    assert torch.equal(filler(image, hole, chance())[hidden], fill[hidden])
    return whole
