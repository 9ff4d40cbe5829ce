"""Links: scores read off logits."""

import torch

from attribution import log_odds, logit, probability, sigmoid


def test_links_against_plain_formulas():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 1, 2, 3, 0, 1])
    chosen = logits[torch.arange(6), target]
    share = logits.exp()[torch.arange(6), target] / logits.exp().sum(1)
    torch.testing.assert_close(probability(logits, target), share)
    torch.testing.assert_close(sigmoid(logits, target), 1 / (1 + (-chosen).exp()))
    assert torch.equal(logit(logits, target), chosen)
    torch.testing.assert_close(log_odds(logits, target), (share / (1 - share)).log(), rtol=1e-5, atol=1e-5)


def test_log_odds_stay_finite_where_the_probability_saturates():
    logits = torch.tensor([[200.0, 0.0, -100.0]])
    assert float(log_odds(logits, torch.tensor([0]))) == 200
    assert float(log_odds(logits, torch.tensor([2]))) == -300
