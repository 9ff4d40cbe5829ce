"""A classifier whose answer has no derivatives by the image is refused, whatever else has some."""

import pytest
import torch
from planted import BLACK, Network

from attribution import MaskedScore
from attribution.engine.derivatives import follows
from attribution.integrations.gradients import Gradient
from attribution.methods.dssr import SSR
from attribution.methods.extremal import ExtremalPerturbation
from attribution.methods.mp import MeaningfulPerturbation

IMAGES = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))


def test_a_graph_is_followed_to_the_images():
    network = Network().eval()
    leaf = IMAGES.clone().requires_grad_()
    assert follows(network(leaf), leaf)
    assert follows(leaf, leaf)
    between = leaf * 0.5
    assert follows(network(between), between)
    assert not follows(network(leaf.detach()), leaf), "of the parameters alone"
    assert not follows(network(leaf).argmax(1).float(), leaf)


@pytest.mark.parametrize(
    "method",
    [Gradient(), SSR(steps=2), ExtremalPerturbation(steps=2), MeaningfulPerturbation(cells=8, steps=2)],
    ids=repr,
)
def test_a_network_that_gets_numbers_is_refused(method):
    """Its parameters want gradients, but none of them leads to the image."""
    network = Network().eval()
    seen = network(IMAGES).argmax(1)
    score = MaskedScore(
        IMAGES, seen, lambda images: network(torch.from_numpy(images.detach().numpy())), BLACK
    )
    with pytest.raises(ValueError, match="classifier must be"):
        method(score)


def test_a_score_that_has_no_derivatives_is_refused():
    """It is the link's fault: the classifier has some."""

    def share(logits, target):
        return (logits.argmax(1) == target).float() * 0.9

    network = Network().eval()
    score = MaskedScore(IMAGES, network(IMAGES).argmax(1), network, BLACK, link=share)
    with pytest.raises(ValueError, match="link must be one with derivatives"):
        ExtremalPerturbation(steps=2)(score)
