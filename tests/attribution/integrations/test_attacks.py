"""Attacks: a closed form on a linear classifier, the bounds, and what cannot be attacked."""

import sys

import pytest
import torch
from differentiated import Tiny
from planted import Linear

from attribution.integrations.attacks import Fgsm, Pgd

EPSILON = 0.03
TARGETS = torch.tensor([2, 0, 1])


def loss(network, images):
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(network(images), TARGETS, reduction="none")


@pytest.mark.parametrize("scale", [1.0, 1e-5])
def test_a_step_against_a_linear_classifier_has_a_closed_form(images, scale):
    network = Linear()
    network.weight.data *= scale  # however small derivatives are
    shares = network(images).detach().softmax(1)
    rows = network.weight.detach()
    slope = torch.einsum("nk,kchw->nchw", shares, rows) - rows[TARGETS]
    expected = (images + EPSILON * slope.sign()).clamp(0, 1)
    assert torch.equal(Fgsm(EPSILON)(network, images, TARGETS), expected)


@pytest.mark.parametrize("attack", [Fgsm(EPSILON), Pgd(EPSILON, 4)])
def test_images_stay_images_and_near_what_they_were(images, attack):
    images = images.clone()
    images[:, :, :4], images[:, :, 4:8] = 0, 1
    network = Tiny()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    found = attack(network, images, TARGETS)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert 0 < float((found - images).abs().max()) <= EPSILON + 1e-6
    assert (loss(network.eval(), found) > loss(network, images)).all()
    assert not found.requires_grad
    assert all(map(torch.equal, before, network.parameters()))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    torch.testing.assert_close(attack(network, images[1:2], TARGETS[1:2]), found[1:2], atol=1e-6, rtol=0)


def test_more_steps_find_more(images):
    network = Tiny().eval()
    one, many = (loss(network, Pgd(EPSILON, steps)(network, images, TARGETS)) for steps in (1, 20))
    assert (many >= one - 1e-6).all()
    # Longer than the bound, a single step is cut to it, and is FGSM's.
    ours, theirs = (attack(network, images, TARGETS) for attack in (Pgd(EPSILON, 1), Fgsm(EPSILON)))
    torch.testing.assert_close(ours, theirs)


def test_steps_are_two_and_a_half_times_the_bound_together(images):
    network, steps, expected = Tiny().eval(), 4, images
    for _ in range(steps):
        leaf = expected.clone().requires_grad_()
        away = torch.nn.functional.cross_entropy(network(leaf), TARGETS, reduction="sum")
        step = 2.5 * EPSILON / steps * torch.autograd.grad(away, leaf)[0].sign()
        expected = (images + (expected + step - images).clamp(-EPSILON, EPSILON)).clamp(0, 1)
    assert ((expected - images).abs() < 0.9 * EPSILON).float().mean() > 0.001, "some turn back on the way"
    found = Pgd(EPSILON, steps)(network, images, TARGETS)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_of_several_classes_the_sigmoid_is_attacked(images):
    network = Linear()
    found = Fgsm(EPSILON)(network, images, TARGETS, multi_label=True)
    assert torch.equal(found, (images - EPSILON * network.weight.detach()[TARGETS].sign()).clamp(0, 1))


@pytest.mark.parametrize("epsilon", [0.0, -0.1, 1.5, float("nan")])
def test_other_bounds_are_refused(epsilon):
    with pytest.raises(ValueError, match="epsilon must be"):
        Fgsm(epsilon)


def test_what_cannot_be_attacked_is_told(images, monkeypatch):
    with pytest.raises(ValueError, match="classifier must be differentiable by torch"):
        Fgsm()(lambda batch: batch.detach().mean(dim=(2, 3)), images, TARGETS)
    with pytest.raises(ValueError, match="target must be a class from 0 to 2"):
        Fgsm()(Linear(), images, TARGETS + 1)
    for multi_label in (False, True):
        with pytest.raises(ValueError, match=f"target must be one class for each of {len(images)} images"):
            Fgsm()(Linear(), images, TARGETS[:1], multi_label)
    for wrong in (3 * images, images - 0.5, images * torch.nan):
        with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
            Fgsm()(Linear(), wrong, TARGETS)
    monkeypatch.setitem(sys.modules, "captum.robust", None)
    with pytest.raises(ValueError, match=r"Fgsm needs captum.*pip install 'infill-attribution\[baselines\]'"):
        Fgsm()
