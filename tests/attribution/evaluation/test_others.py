"""Other classes without the target's objects: closed forms of a classifier that looks at one place each."""

import math

import pytest
import torch
from planted import BLACK
from torch import Tensor, nn

from attribution import MaskedScore, probability, sigmoid
from attribution.evaluation.others import others_without
from infill import Gray, Noise

SIDE = 30
AT = {0: slice(0, 8), 1: slice(10, 18), 2: slice(20, 28)}
"""The columns where the classifier looks for each class."""


class Places(nn.Module):
    """The logit of a class is 8 times the brightness of its columns, less 4: above chance from .5 on."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([8 * images[..., at].mean((1, 2, 3)) - 4 for at in AT.values()], 1)


def score(brightness: tuple[float, ...], filler=None, link=sigmoid, **more) -> MaskedScore:
    image = torch.zeros(3, SIDE, SIDE)
    for at, each in zip(AT.values(), brightness, strict=True):
        image[..., at] = each
    return MaskedScore(image, 0, Places(), filler or BLACK, link, **more)


def columns(*classes: int) -> Tensor:
    hole = torch.zeros(1, 1, SIDE, SIDE)
    for each in classes:
        hole[..., AT[each]] = 1
    return hole


def p(brightness: float) -> float:
    return 1 / (1 + math.exp(4 - 8 * brightness))


def test_the_object_goes_and_the_other_stays():
    found = others_without(score((0.9, 0.8, 0.2)), columns(0), [1, 2])
    assert found.before.tolist() == pytest.approx([p(0.8)]), "class 2 is below chance: nobody sees it"
    assert found.removed.tolist() == pytest.approx([p(0.8)])
    assert found.alone is True


def test_the_other_goes_too_or_the_object_does_not():
    both = others_without(score((0.9, 0.8, 0.6)), columns(0, 1), [1, 2])
    assert both.before.tolist() == pytest.approx([p(0.8), p(0.6)])
    assert both.removed.tolist() == pytest.approx([p(0.0), p(0.6)])
    assert both.alone is False
    assert others_without(score((0.9, 0.8, 0.2)), columns(2), [1]).alone is False
    assert others_without(score((0.9, 0.8, 0.2), Gray((0.5, 0.5, 0.5))), columns(0), [1]).alone is False, (
        "half is left"
    )


def test_what_nobody_saw_may_go_with_the_object():
    found = others_without(score((0.9, 0.8, 0.4)), columns(0, 2), [1, 2])
    assert p(0.0) < p(0.4) / 2
    assert (found.alone, found.removed.tolist()) == (True, pytest.approx([p(0.8)]))


def test_a_target_that_is_not_seen_can_not_go():
    found = others_without(score((0.4, 0.8, 0.2)), columns(0), [1])
    assert (found.alone, found.before.tolist()) == (None, pytest.approx([p(0.8)]))


def test_of_nobody_seen_nothing_is_said():
    found = others_without(score((0.9, 0.1, 0.2)), columns(0), [1, 2])
    assert len(found.before) == len(found.removed) == 0
    assert len(others_without(score((0.9, 0.1, 0.2)), columns(0), []).before) == 0


def test_of_classes_that_exclude_each_other_chance_is_one_in_all():
    found = others_without(score((0.9, 0.85, 0.1), link=probability), columns(0), [1, 2])
    logits = torch.tensor([8 * each - 4 for each in (0.9, 0.85, 0.1)])
    assert found.before.tolist() == pytest.approx([float(logits.softmax(0)[1])])
    logits[0] = -4
    assert found.removed.tolist() == pytest.approx([float(logits.softmax(0)[1])])
    assert found.alone is True, "the target's loss is the other's gain"


def test_several_fills_of_the_hole_are_pooled():
    noisy = score((0.9, 0.8, 0.2), Noise()).with_sampling(samples=6, seed=3)
    hole = columns(0, 1)
    found = others_without(noisy, hole, [1])
    composites = noisy.perturbed(hole)
    assert len(composites) == 6
    assert found.removed.tolist() == pytest.approx([float(Places()(composites)[:, 1].sigmoid().mean())])


@pytest.mark.parametrize(
    ("hole", "others", "said"),
    [
        (columns(0).expand(2, -1, -1, -1), [1], "hole must be one, got 2"),
        (columns(0), [0], r"others must be classes from 0 to 2 other than the target 0, got \[0\]"),
        (columns(0), [3], r"others must be classes from 0 to 2 .*, got \[3\]"),
    ],
)
def test_what_does_not_fit_is_said(hole, others, said):
    with pytest.raises(ValueError, match=said):
        others_without(score((0.9, 0.8, 0.2)), hole, others)


def test_of_several_images_nothing_is_said():
    one = score((0.9, 0.8, 0.2))
    two = MaskedScore(one.image.expand(2, -1, -1, -1), 0, Places(), BLACK, sigmoid)
    with pytest.raises(ValueError, match="score must be of one image, got '2 images'"):
        others_without(two, columns(0), [1])
