"""A feather along the rim of a filled hole."""

import torch

from infill.fillers.seam import feathered


def edge() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """White, a hole that takes all columns from the fourth, and black in it."""
    hidden = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    hidden[..., 4:] = True
    return torch.zeros(1, 3, 12, 12), torch.ones(1, 3, 12, 12), hidden


def test_pixels_at_the_rim_take_on_colors_from_beside_them() -> None:
    # at the rim half of what is beside it, 1; then a quarter of what that has become, 0.5
    assert feathered(*edge(), 2)[0, 1, 5, 4:].tolist() == [0.5, 0.125, 0, 0, 0, 0, 0, 0]
    assert feathered(*edge(), 1)[0, 1, 5, 4:].tolist() == [0.5, 0, 0, 0, 0, 0, 0, 0]
    assert torch.equal(feathered(*edge(), 0), edge()[0])


def test_what_is_hidden_in_the_image_does_not_matter_and_what_is_observed_stays() -> None:
    content, image, hidden = edge()
    unknown = torch.where(hidden, torch.nan, image)
    assert torch.equal(feathered(content, unknown, hidden, 3), feathered(content, image, hidden, 3))
    kept = ~hidden.expand_as(content)
    assert torch.equal(feathered(content, image, hidden, 3)[kept], content[kept])


def test_without_an_observed_pixel_the_content_stays() -> None:
    content = torch.rand(1, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        feathered(content, torch.ones_like(content), torch.ones(1, 1, 8, 9, dtype=torch.bool), 4), content
    )
