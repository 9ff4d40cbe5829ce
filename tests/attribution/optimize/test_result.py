"""A hole that was found with one filler, filled and judged by another."""

import pytest
import torch
from torch import Tensor

from attribution import MP2, MaskedScore, refilled
from infill import Blur, Gray, NavierStokes

WHITE = Gray((1.0, 1.0, 1.0))
BLACK = Gray((0.0, 0.0, 0.0))


def bright_in_the_middle(images: Tensor) -> Tensor:
    """Logits of two classes: how bright the middle is, and nothing."""
    middle = images[..., 8:16, 8:16].mean((1, 2, 3))
    return torch.stack([8 * middle - 2, torch.zeros_like(middle)], 1)


def scored(filler, count: int = 1) -> MaskedScore:
    images = torch.full((count, 3, 24, 24), 0.9)
    return MaskedScore(images, 0, bright_in_the_middle, filler)


def test_by_the_same_filler_all_is_as_it_was() -> None:
    score = scored(BLACK, 2)
    found = MP2(cells=6).optimize(score)
    again = refilled(found, score)
    for name in ("hole", "counterfactual", "left", "kept", "floor", "clean", "heatmap", "steps"):
        assert torch.equal(getattr(again, name), getattr(found, name)), name
    assert again.curves is found.curves
    assert torch.equal(again.looks, found.looks + 3)


def test_another_filler_judges() -> None:
    found = MP2(cells=6).optimize(scored(BLACK))
    again = refilled(found, scored(WHITE))
    assert found.reached.all()
    assert not again.reached.any()
    assert torch.equal(again.hole, found.hole)
    removed = found.hole.bool().expand_as(again.counterfactual)
    assert (again.counterfactual[removed] == 1).all()
    assert torch.equal(again.counterfactual[~removed], found.counterfactual[~removed])
    assert again.floor > again.chance  # white everywhere is the class itself


def test_a_hole_is_widened_until_the_class_is_gone_for_the_other_filler_too() -> None:
    """With dark gray more must be removed than with black."""
    found = MP2(cells=12, prune=True).optimize(scored(BLACK))
    dark = scored(Gray((0.12, 0.12, 0.12)))
    assert not refilled(found, dark).reached.any()
    wider = refilled(found, dark, growth=(1, 2, 4, 8))
    assert wider.reached.all()
    assert (wider.hole >= found.hole).all()
    assert wider.hole.sum() > found.hole.sum()
    assert wider.left == dark(wider.hole, torch.arange(1))
    assert found.looks + 3 < wider.looks <= found.looks + 3 + 5


def test_at_chance_to_the_bit_the_class_is_gone() -> None:
    """The middle, all filled with such a gray, has exactly as much of the one class as of the other."""
    found = MP2(cells=12, prune=True).optimize(scored(BLACK))
    even = scored(Gray((0.25, 0.25, 0.25)))
    assert not refilled(found, even).reached.any()
    wider = refilled(found, even, growth=(1, 2, 4, 8))
    assert wider.left == even.chance
    assert wider.reached.all()


def test_where_widening_does_not_help_the_hole_stays() -> None:
    found = MP2(cells=6).optimize(scored(BLACK, 2))
    again = refilled(found, scored(WHITE, 2), growth=(2, 30))
    assert torch.equal(again.hole, found.hole)
    assert torch.equal(again.looks, found.looks + 3 + 3)


def test_fills_are_counted_where_each_hole_has_its_own() -> None:
    found = MP2(cells=6).optimize(scored(BLACK))
    assert refilled(found, scored(NavierStokes())).fills == found.fills + 3
    assert refilled(found, scored(Blur())).fills == found.fills


def test_other_images_are_refused() -> None:
    found = MP2(cells=6).optimize(scored(BLACK))
    with pytest.raises(ValueError, match=r"score must be of images of shape \(1, 3, 24, 24\)"):
        refilled(found, scored(BLACK, 2))
