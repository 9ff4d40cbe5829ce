"""The update of an image: closed forms, BFGS on known losses, and what goes wrong."""

import pytest
import torch
from planted import BLACK, Linear

from attribution import Against, MaskedScore, logit, sigmoid
from attribution.optimize.updates import Descent


def linear(image, classes, **settings):
    network = Linear(classes=classes)
    return network, MaskedScore(image, 0, network, BLACK, **settings)


def test_the_first_order_update_of_a_linear_classifier_has_a_closed_form(images):
    network, score = linear(images[:1], 3)
    target = torch.tensor([2, 0, 1])
    suggested = Descent().suggested(score, images, target, every=True)
    shares = suggested.logits.softmax(1)
    rows = network.weight.detach()
    expected = rows[target] - torch.einsum("nk,kchw->nchw", shares, rows)
    torch.testing.assert_close(suggested.update, expected, rtol=1e-4, atol=1e-7)
    assert torch.equal(suggested.right, suggested.logits.argmax(1) == target)
    only = Descent().suggested(score, images, target)
    assert torch.equal(only.update, suggested.update[suggested.right])


@pytest.mark.parametrize("update", ["bfgs", "l-bfgs"])
@pytest.mark.parametrize("steps", [1, 4])
def test_the_second_order_update_of_a_linear_classifier_has_the_same_direction(image, update, steps):
    # Of two classes: every gradient is a multiple of w, so every secant is, and so is B's solution.
    image = image[:, :, :8, :8]
    network = Linear(3, 8, 8, classes=2)
    score = MaskedScore(image, 0, network, BLACK)
    found = Descent(update, steps).suggested(score, image, torch.tensor([1]), every=True).update
    direction = (network.weight[1] - network.weight[0]).detach()
    cosine = torch.cosine_similarity(found.flatten().double(), direction.flatten().double(), dim=0)
    assert float(cosine) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("update", ["bfgs", "l-bfgs"])
def test_on_a_parabola_one_step_of_bfgs_knows_the_way_to_the_minimum(update):
    minimum = torch.linspace(-1, 2, 12).view(3, 2, 2)
    asked = []

    def loss(pixels):
        asked.append(pixels)
        return float(3.5 * (pixels - minimum).square().sum()), 7 * (pixels - minimum)

    start = torch.zeros(3, 2, 2)
    found = Descent(update, 1).second_order(loss, start)
    # The curvature along the way is known exactly after a step: B p = -g leads to the minimum from there.
    gap = min(float((found - (minimum - place)).abs().max()) for place in asked[1:])
    assert gap < 1e-5


@pytest.mark.parametrize("update", ["bfgs", "l-bfgs"])
def test_the_layout_of_the_gradient_does_not_matter(update):
    def found(layout):
        def loss(pixels):
            slope = layout(7 * (pixels - torch.linspace(-1, 2, 12).view(3, 2, 2)))
            return float(slope.square().sum() / 14), slope

        return Descent(update, 2).second_order(loss, layout(torch.zeros(3, 2, 2)))

    def channels_last(image):  # as networks give it that are run so
        return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)

    torch.testing.assert_close(found(channels_last), found(torch.clone))


@pytest.mark.parametrize("update", ["bfgs", "l-bfgs"])
def test_divergence_is_one_clear_line(update):
    def falling(pixels):  # without a minimum, ever steeper
        return -float(pixels.double().sum().exp()), -pixels.double().sum().exp() * torch.ones_like(pixels)

    with pytest.raises(
        ValueError, match=rf"^{update} diverges: the loss goes from .* in 50 steps, .*; take update=first or"
    ) as told:
        Descent(update, 50).second_order(falling, torch.full((1, 4, 4), 20.0))
    assert "\n" not in str(told.value)


def test_one_class_rather_than_another_is_a_contest_of_two(images):
    network, score = linear(images[:1], 3, link=Against(1))
    target = torch.tensor([2, 0, 2])
    found = Descent().suggested(score, images, target, every=True)
    odds = logit(found.logits, target) - found.logits[:, 1]
    assert torch.equal(found.right, odds > 0)
    rows = network.weight.detach()
    expected = (rows[target] - rows[1]) * torch.sigmoid(-odds)[:, None, None, None]
    torch.testing.assert_close(found.update, expected, rtol=1e-4, atol=1e-7)


def test_what_the_update_cannot_do_is_told(image):
    _, score = linear(image, 3, link=lambda z, y: z[:, 0])
    with pytest.raises(ValueError, match="link must be a class's"):
        Descent().suggested(score, image, torch.tensor([0]))
    large = torch.zeros(1, 3, 40, 40)
    score = MaskedScore(large, 0, Linear(3, 40, 40), BLACK)
    with pytest.raises(ValueError, match="update must be 'first' or 'l-bfgs' for images of more than 4096"):
        Descent("bfgs").suggested(score, large, torch.tensor([0]))
    with pytest.raises(ValueError, match="steps must be at least 1"):
        Descent("bfgs", 0)


def test_a_class_of_several_is_seen_above_one_half(images):
    network, score = linear(images[:1], 3, link=sigmoid)
    target = torch.tensor([2, 0, 1])
    found = Descent().suggested(score, images, target, every=True)
    own = logit(found.logits, target)
    assert torch.equal(found.right, own > 0)
    expected = network.weight.detach()[target] * torch.sigmoid(-own)[:, None, None, None]
    torch.testing.assert_close(found.update, expected, rtol=1e-4, atol=1e-7)
