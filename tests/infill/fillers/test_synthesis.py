"""One hole at one size: what votes, matches and the smooth surface promise."""

from itertools import pairwise

import torch

from infill.fillers.patches import Patches, untouched
from infill.fillers.synthesis import Synthesis, smooth


def made(step: int = 1) -> tuple[Synthesis, torch.Tensor]:
    features = torch.rand(21, 25, 3, generator=torch.Generator().manual_seed(0))
    hidden = torch.zeros(21, 25, dtype=torch.bool)
    hidden[8:14, 5:12] = True
    sources = untouched(hidden, 3).nonzero()[:, 0]
    canvas = features * ~hidden[..., None]
    return Synthesis(Patches(features, 3), canvas, hidden, (0, 0), sources, step), features


def test_peeling_fills_the_hole_and_nothing_else() -> None:
    for step in (1, 2):
        synthesis, features = made(step)
        synthesis.peel()
        outside = ~synthesis.hidden
        assert torch.equal(synthesis.canvas[outside], features[outside])
        assert (synthesis.canvas[synthesis.hidden] > 0).all()
        assert synthesis.source[synthesis.match[synthesis.targets]].all()


def test_searching_again_never_makes_a_match_worse() -> None:
    synthesis, _ = made()
    synthesis.peel()
    costs = []
    for turn in range(9):
        synthesis.search(turn, exhaustive=True)
        costs.append(synthesis.cost.clone())
    for before, after in pairwise(costs):
        assert (after <= before + 1e-5).all()


def test_nine_exhaustive_searches_find_the_nearest_of_all() -> None:
    synthesis, _ = made()
    synthesis.peel()
    for turn in range(9):
        synthesis.search(turn, exhaustive=True)
    targets = Patches(synthesis.canvas, 3).at(synthesis.targets)
    away = (synthesis.image.at(synthesis.sources)[None] - targets[:, None]).square().sum(2)
    torch.testing.assert_close(synthesis.cost, away.min(1).values, atol=1e-5, rtol=1e-4)


def test_a_smooth_surface_goes_through_what_is_known() -> None:
    generator = torch.Generator().manual_seed(0)
    values, known = torch.rand(1, 2, 17, 12, generator=generator), torch.zeros(1, 1, 17, 12)
    known[..., ::5, ::4] = 1
    surface = smooth(values, known)
    at = known.bool().expand_as(values)
    torch.testing.assert_close(surface[at], values[at])
    assert surface.min() >= values[at].min() - 1e-6
    assert surface.max() <= values[at].max() + 1e-6
    torch.testing.assert_close(smooth(torch.full_like(values, 0.3), known), torch.full_like(values, 0.3))
