"""The cosine of embeddings: closed forms."""

import pytest
import torch
from planted import BLACK, Network
from torch import nn

from attribution import MaskedScore, SlidingPatch, Value
from attribution.targets import LastFeatures, Likeness


def test_cosines_of_colors():
    """Embeddings are the channels' means."""
    likeness = Likeness(lambda images: images.mean((2, 3)), torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]]))
    colors = torch.tensor([[0.5, 0.0, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.7]])
    found = likeness(colors[:, :, None, None].expand(-1, -1, 4, 4))
    expected = torch.tensor([[1.0, 0.5**0.5], [0.6, 0.7 / 0.5 / 2**0.5], [0.0, 0.0]])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_the_last_features_are_what_the_head_reads(images):
    network = Network().eval()
    ours = LastFeatures(network, images[:1])
    expected = network.features(images)
    torch.testing.assert_close(ours(images), expected)
    torch.testing.assert_close(network.head(ours(images)), network(images))


def test_an_image_is_like_itself(images):
    network = Network().eval()
    embed = LastFeatures(network, images[:1])
    likeness = Likeness(embed, embed(images[:2]).detach())
    found = likeness(images)
    torch.testing.assert_close(found[[0, 1], [0, 1]], torch.ones(2), rtol=0, atol=1e-5)
    cosine = nn.functional.cosine_similarity(embed(images[2:]), embed(images[:1]))
    torch.testing.assert_close(found[2, :1], cosine, rtol=0, atol=1e-5)
    score = MaskedScore(images[:1], 1, likeness, BLACK, link=Value())
    torch.testing.assert_close(score.clean, found[0, 1:2].detach(), rtol=0, atol=1e-4)
    heatmap = SlidingPatch(8, 8)(score)
    assert heatmap.abs().max() > 0
    assert network.training is False


@pytest.mark.parametrize("bad", [0.0, torch.nan])
def test_references_without_a_direction_are_refused(bad):
    with pytest.raises(ValueError, match="references must be embeddings that are finite and not 0"):
        Likeness(torch.flatten, torch.full((1, 3), bad))
