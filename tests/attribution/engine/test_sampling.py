"""How the scores of a hole's fills become one."""

import torch

from attribution.engine.sampling import pooled_odds


def test_pooled_odds_are_those_of_the_mean_probability():
    odds = 3 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    mean = odds.double().sigmoid().mean(dim=1)
    torch.testing.assert_close(pooled_odds(odds).double(), (mean / (1 - mean)).log(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(pooled_odds(odds[:, :1]), odds[:, 0])


def test_pooled_odds_stay_finite_where_probabilities_saturate():
    """Of two fills that are certain, one for the class and one against it, the mean is a half."""
    odds = torch.tensor([[200.0, 200.0], [-300.0, -300.0], [200.0, -200.0]])
    torch.testing.assert_close(pooled_odds(odds), torch.tensor([200.0, -300.0, 0.0]))
