"""FISTA beside its formulas and a closed form; the search for the weight that is just enough."""

import pytest
import torch

from attribution.optimize.fista import Fista
from attribution.optimize.weighing import Weighing

GOAL = torch.tensor([[0.9, 0.3, 0.02, -1.0, 1.7]])


def minimized(steps: int, shrinkage: str, rounds: int = 1, lr: float = 0.2, ended=lambda: None) -> list:
    """All points at which the gradient of the squared distance to the goal was taken."""
    values, points = torch.full_like(GOAL, 0.5), []
    optimizer = Fista(values, lr, 0.1, steps, shrinkage, ended)
    for _ in range(steps * rounds):
        points.append(values.clone())
        values.grad = 2 * (values - GOAL)
        optimizer.step()
    return [*points, values]


@pytest.mark.parametrize("shrinkage", ["constant", "scaled"])
def test_steps_are_those_of_the_formulas(shrinkage):
    y, before = torch.full_like(GOAL, 0.5), torch.full_like(GOAL, 0.5)
    for k, point in enumerate(minimized(6, shrinkage)[:-1]):
        torch.testing.assert_close(point, y)
        rate = 0.2 * ((6 - k) / 6) ** 0.5
        moved = y - rate * 2 * (y - GOAL)
        threshold = 0.1 * (rate if shrinkage == "scaled" else 1)
        shrunk = moved.sign() * (moved.abs() - threshold).clamp(min=0)
        shrunk = shrunk.clamp(0, 1)
        y, before = (shrunk + k / (k + 3) * (shrunk - before)).clamp(0, 1), shrunk


def test_scaled_steps_come_to_the_minimum():
    """Of ``(x - a)^2 + 0.1 |x|`` in [0, 1]."""
    torch.testing.assert_close(minimized(200, "scaled")[-2], (GOAL - 0.05).clamp(0, 1), rtol=0, atol=1e-3)


def test_rounds_start_anew():
    ended = []
    points = minimized(4, "scaled", rounds=2, ended=lambda: ended.append(1))
    assert torch.equal(torch.cat(points[:4]), torch.cat(points[4:8]))
    assert torch.equal(points[8], points[0])
    assert len(ended) == 2


def test_weights_grow_until_one_is_enough_and_are_halved_from_there():
    """The first image needs a weight of 30, the second one of 3, the third has none."""
    needed, used = torch.tensor([30.0, 3.0, torch.inf]), []
    search = Weighing(torch.zeros(3, 1), 10.0)
    rows = torch.arange(3)
    for _ in range(5):
        used.append(search.weight)
        lack = (needed - search.weight).clamp(min=0)
        search.note(rows, search.weight[:, None], search.weight, lack)
        search.adjust()
    assert torch.stack(used).T.tolist() == [
        [10, 100, 55, 32.5, 21.25],
        [10, 5, 2.5, 3.75, 3.125],
        [10, 100, 1000, 10000, 100000],
    ]
    assert search.best[:2, 0].tolist() == [32.5, 3.125]
    assert search.found.tolist() == [True, True, False]


def test_what_lacks_least_is_kept_until_something_is_enough():
    search, rows = Weighing(torch.zeros(1, 1), 1.0), torch.tensor([0])
    for value, lack, best in ((1.0, 5.0, 1.0), (2.0, 6.0, 1.0), (3.0, 0.0, 3.0), (4.0, 0.5, 3.0)):
        search.note(rows, torch.tensor([[value]]), torch.tensor([value]), torch.tensor([lack]))
        assert search.best.tolist() == [[best]]
