"""When a loss rests."""

import pytest
import torch

from attribution.optimize.plateau import Plateau


def stopped(losses: torch.Tensor, patience: int = 10) -> int | None:
    """The step in which a loss first rests."""
    plateau, rows = Plateau(1, len(losses), patience, losses), torch.tensor([0])
    return next((n for n, loss in enumerate(losses) if plateau.rests(n, rows, loss[None])), None)


def test_a_loss_that_falls_steadily_never_rests():
    assert stopped(torch.linspace(1, 0, 200)) is None
    noise = torch.randn(200, generator=torch.Generator().manual_seed(0))
    assert stopped(torch.linspace(10, 0, 200) + 0.01 * noise) is None


def test_a_loss_that_has_fallen_rests_once_two_windows_are_level():
    falling = torch.cat([torch.linspace(1, 0, 50), torch.zeros(60)])
    assert 59 <= stopped(falling) <= 70
    assert stopped(torch.zeros(60)) == 19


def test_noise_around_a_level_is_rest_and_a_drift_through_it_is_not():
    generator = torch.Generator().manual_seed(1)
    level = torch.randn(400, generator=generator)
    assert stopped(level, 20) == pytest.approx(39, abs=25)
    assert stopped(level + 5 * torch.linspace(40, 0, 400), 20) is None


@pytest.mark.parametrize("patience", [5, 10, 20])
def test_a_fall_is_no_noise(patience):
    """A first loss that stands out, or a fall that ends by halves, is not rest where the fall goes on."""
    spike = torch.cat([torch.tensor([100.0]), 50 - 0.4 * torch.arange(99.0)])
    assert stopped(spike, patience) is None
    halves = 100 * 0.5 ** torch.arange(60.0)
    rested = stopped(halves, patience)
    assert rested is not None
    after = halves[rested - patience + 1 : rested + 1]
    before = halves[rested - 2 * patience + 1 : rested - patience + 1]
    assert before.mean() - after.mean() <= 0.1


def test_images_rest_each_on_its_own():
    plateau, rows = Plateau(3, 40, 5, torch.zeros(1)), torch.tensor([0, 2])
    for number in range(9):
        assert not plateau.rests(number, rows, torch.tensor([1.0, 9.0 - number])).any()
    assert plateau.rests(9, rows, torch.tensor([1.0, 0.0])).tolist() == [True, False]
    assert plateau.rests(10, rows[1:], torch.tensor([-1.0])).tolist() == [False]


def test_without_patience_nothing_rests():
    assert stopped(torch.zeros(50), 0) is None
