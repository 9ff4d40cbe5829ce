"""The slope of a loss in an image's pixels."""

import pytest
import torch
import torch.nn.functional as F
from planted import Network

from attribution.engine.precision import prepare
from attribution.engine.slopes import slopes


def test_slopes_are_those_of_plain_autograd_whatever_the_batch_size(images):
    network, target = Network().eval(), torch.tensor([0, 3, 1])
    leaf = images.clone().requires_grad_()
    logits = network(leaf)
    losses = F.cross_entropy(logits, target, reduction="none")
    (expected,) = torch.autograd.grad(losses.sum(), leaf)
    prepared = prepare(network, "float32", images[:1])

    def loss(z, y):
        return F.cross_entropy(z, y, reduction="none")

    for batch_size in (1, 2, 3):
        found = slopes(prepared, loss, images, target, batch_size)
        for one, other in zip(found, (logits, losses, expected), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
            assert not one.requires_grad
    with torch.inference_mode():
        again = slopes(prepared, loss, images, target, 2)
    torch.testing.assert_close(again[2], expected, rtol=1e-4, atol=1e-6)


def test_a_classifier_without_gradient_is_told(images):
    network = Network().eval()

    def closed(some):
        with torch.no_grad():
            return network(some)

    prepared = prepare(closed, "float32", images[:1])
    with pytest.raises(ValueError, match="classifier must be one that lets gradients through"):
        slopes(prepared, lambda z, y: z[:, 0], images, torch.zeros(3, dtype=torch.long), 2)
    prepared = prepare(network, "float32", images[:1])
    with pytest.raises(ValueError, match="target must be below the classifier's 5 classes, got 7"):
        slopes(prepared, lambda z, y: z[:, 0], images, torch.full((3,), 7), 2)
