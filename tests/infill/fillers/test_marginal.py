"""Samples of a hole given its surroundings: the exact distribution, coarse grids, the cache."""

import math

import pytest
import torch
from torch import Tensor

from infill import Marginal, composite
from infill.fillers.kriging import KNOWNS, UNKNOWNS, block_covariance, conditional, correlation
from infill.fillers.marginal import COVARIANCE, _colors


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def square(top: int, left: int, side: int, size: int = 40) -> Tensor:
    hole = torch.zeros(1, 1, size, size)
    hole[..., top : top + side, left : left + side] = 1
    return hole


def sampled(image: Tensor, hole: Tensor, count: int, filler: Marginal | None = None) -> Tensor:
    """Samples of the hole's pixels "count 3 n"."""
    fill = (filler or Marginal())(image, hole.expand(count, -1, -1, -1), seeded())
    return fill[:, :, hole[0, 0] == 1]


def exact(image: Tensor, hole: Tensor, context: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean "3 n", colors' covariance "3 3" and pixels' covariance "n n" of small holes, pixel by pixel."""
    pixels, gone = image[0].double(), hole[0, 0] == 1
    hidden = [(int(y), int(x)) for y, x in gone.nonzero()]
    kept = [
        (int(y), int(x))
        for y, x in (~gone).nonzero()
        if min(max(abs(int(y) - v), abs(int(x) - u)) for v, u in hidden) <= context
    ]

    def covariance(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> Tensor:
        distance = torch.tensor([[math.dist(a, b) for b in second] for a in first], dtype=torch.float64)
        return 0.177 * torch.exp(-distance / 4) + 0.823 * torch.exp(-distance / 48)

    inverse = torch.linalg.inv(covariance(kept, kept))
    weights = covariance(hidden, kept) @ inverse
    observed = torch.stack([pixels[:, y, x] for y, x in kept], 1)
    center = observed.mean(1, keepdim=True)
    # All pairs two apart of observed pixels of the rectangle around hole and context.
    rows, columns = ([place[axis] for place in [*kept, *hidden]] for axis in (0, 1))
    total, count = torch.tensor(COVARIANCE, dtype=torch.float64), 1
    unit = 2 * (1 - 0.177 * math.exp(-2 / 4) - 0.823 * math.exp(-2 / 48))
    for y in range(min(rows), max(rows) + 1):
        for x in range(min(columns), max(columns) + 1):
            for v, u in ((y + 2, x), (y, x + 2)):
                if v <= max(rows) and u <= max(columns) and not gone[y, x] and not gone[v, u]:
                    step = pixels[:, v, u] - pixels[:, y, x]
                    total, count = total + torch.outer(step, step) / unit, count + 1
    rest = covariance(hidden, hidden) - weights @ covariance(kept, hidden)
    return center + (observed - center) @ weights.mT, total / count, rest


HOLES = {
    "inside": ([(5, 6), (5, 7), (6, 6)], 2),
    "apart": ([(2, 3), (9, 10)], 4),
    "in a corner": ([(0, 0), (0, 1), (1, 0), (1, 1)], 3),
}


@pytest.mark.parametrize(("places", "context"), HOLES.values(), ids=HOLES)
def test_samples_have_the_exact_mean_and_covariance(places, context, smooth_image):
    image = 0.5 + 0.3 * (smooth_image(12, 14) - 0.5)
    hole = torch.zeros(1, 1, 12, 14)
    for y, x in places:
        hole[..., y, x] = 1
    mean, colors, rest = exact(image, hole, context)
    samples = sampled(image, hole, 2500, Marginal(context)).double()
    error = torch.outer(colors.diagonal(), rest.diagonal()).sqrt()
    assert ((samples.mean(0) - mean).abs() < 4 * error / 2500**0.5).all()
    expected = torch.kron(colors, rest)
    found = torch.cov(samples.flatten(1).T)
    scale = expected.diagonal().sqrt()
    correlations = (found - expected) / torch.outer(scale, scale)
    assert correlations.abs().max() < 0.1


def test_a_gradient_is_continued():
    rows, columns = torch.arange(40)[:, None] / 80, torch.arange(40) / 80
    image = torch.stack([rows + columns, 1 - rows - columns, 0.2 + rows + 0 * columns])[None]
    hole = square(12, 14, 13)
    truth = image[0][:, hole[0, 0] == 1]
    samples = sampled(image, hole, 200)
    assert (samples.mean(0) - truth).abs().max() < 0.03
    assert samples.std(0).max() < 0.1
    assert (sampled(image.round(), hole, 200).mean(0) - truth).abs().max() > 0.3, (
        "there is nothing to see here"
    )


def test_grain_follows_the_surroundings():
    hole, noise = square(12, 14, 9), torch.rand(1, 3, 40, 40, generator=seeded(1)) - 0.5
    calm, lively = (sampled(0.5 + strength * noise, hole, 100).std(0).mean() for strength in (0.02, 0.4))
    assert 0.001 < calm < 0.05
    assert lively > 5 * calm
    # Shades of one color are continued in that color.
    pink = torch.tensor([1.0, 0.2, 0.5])[:, None, None]
    samples = sampled(0.4 + 0.4 * noise[:, :1] * pink, hole, 100) - 0.4
    along = torch.einsum("ncp,c->np", samples, pink.flatten()) / pink.norm()
    assert along.square().sum() > 0.99 * samples.square().sum()


def test_photographs_count_like_one_difference():
    step = torch.tensor([0.2, -0.1, 0.3])
    values = torch.stack([torch.zeros(3), torch.rand(3), step], 1)[:, None]  # one pair is two apart
    found = _colors(values, torch.ones(1, 3, dtype=torch.bool), 0.25)
    expected = (torch.tensor(COVARIANCE) + torch.outer(step, step) / 0.5) / 2
    torch.testing.assert_close(found.float(), expected)


def test_where_nothing_is_observed_photographs_are_the_guide():
    hole = torch.ones(1, 1, 20, 20)
    samples = sampled(torch.full((1, 3, 20, 20), torch.nan), hole, 400)
    assert abs(float(samples.mean()) - 0.5) < 0.02
    assert 0.15 < float(samples.std(0).mean()) < 0.25
    neighbors = torch.corrcoef(torch.stack([samples[:, 0, 200], samples[:, 0, 201]]))[0, 1]
    assert abs(float(neighbors) - float(correlation(torch.tensor(1.0)))) < 0.03


@pytest.mark.parametrize("block", [1, 2, 5])
def test_the_covariance_of_blocks_is_the_mean_over_their_pixels(block):
    table = block_covariance(3, 4, block)
    grid = torch.arange(block, dtype=torch.float64)
    for row, column in [(0, 0), (0, 1), (2, 0), (1, 3), (2, 3)]:
        down = grid[:, None, None, None] - (grid[:, None, None] + row * block)
        across = grid[:, None] - (grid + column * block)
        expected = correlation(torch.hypot(down, across)).mean()
        torch.testing.assert_close(table[row, column], expected)


@pytest.mark.parametrize("size", [(64, 64), (50, 83), (61, 60)], ids=str)
def test_large_holes_are_drawn_on_a_coarse_grid(size):
    """The blocks have to lie where they are, or a gradient would be moved."""
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])
    image = torch.stack([rows + columns, 150 - rows - columns, 30 + rows + 0 * columns])[None] / 200
    hole = torch.zeros(1, 1, *size)
    hole[..., 9:-6, 4:-5] = 1
    gone = hole[0, 0] == 1
    assert gone.sum() > UNKNOWNS
    fill = Marginal()(image, hole.expand(40, -1, -1, -1), seeded())
    assert torch.equal(fill[:, :, ~gone], image[:, :, ~gone].expand(40, -1, -1))
    off = (fill - image)[:, :, gone]
    assert off.std() > 0.005
    assert off.mean((0, 2)).abs().max() < 0.003
    assert off.mean(0).abs().max() < 0.1


def test_scattered_pixels_are_drawn_from_what_is_between_them(smooth_image):
    """Hidden by a half, an image still is seen well: as means of what is left of each block."""
    rows, columns = torch.arange(96)[:, None] / 96, torch.arange(96) / 96
    image = torch.stack([rows + 0 * columns, columns + 0 * rows, (rows + columns) / 2])[None]
    hole = (torch.rand(1, 1, 96, 96, generator=seeded()) < 0.5).float()
    samples = sampled(image, hole, 30)
    assert (samples.mean(0) - image[0][:, hole[0, 0] == 1]).abs().mean() < 0.03


def thin_holes() -> dict[str, Tensor]:
    rows, columns = torch.arange(64)[:, None], torch.arange(64)
    return {
        "chessboard": (rows + columns) % 2 == 0,
        "every fourth row": (rows + 0 * columns) % 4 == 0,
        "lines beside a square": ((rows < 40) & (columns < 40)) | ((rows > 50) & (columns % 4 == 0)),
    }


@pytest.mark.parametrize("hidden", thin_holes().values(), ids=thin_holes())
def test_samples_of_thin_and_scattered_holes_differ_everywhere(hidden):
    """Such holes leave blocks that are hidden by less than a half, and count as observed."""
    rows, columns = torch.arange(64)[:, None] / 64, torch.arange(64) / 64
    image = torch.stack([rows + 0 * columns, columns + 0 * rows, (rows + columns) / 2])[None] * 0.8 + 0.1
    hole = hidden[None, None].float()
    assert hole.sum() > UNKNOWNS
    samples = sampled(image, hole, 30)
    thin = (hidden & (torch.arange(64) > 56)[:, None])[hidden]
    assert (samples.std(0)[:, thin] > 0).all()
    assert (samples.mean(0) - image[0][:, hidden])[:, thin].abs().mean() < 0.03
    assert not torch.equal(samples[0], samples[1])


def test_the_grain_of_scattered_pixels_has_the_variance_within_a_block():
    """Blocks are of 2 x 2 pixels, each hidden by a half."""
    hole = thin_holes()["chessboard"][None, None].float()
    samples = sampled(torch.full((1, 3, 64, 64), 0.5), hole, 30)
    within = 1 - float(block_covariance(1, 1, 2)[0, 0])
    differences = 2 * 30 * 32  # of known blocks two apart: all are 0
    expected = (within * torch.tensor(COVARIANCE).diagonal() / (1 + differences)).sqrt()
    torch.testing.assert_close(samples.std((0, 2)), expected, rtol=0.05, atol=0)


def test_unknowns_and_surroundings_are_bounded():
    hidden = torch.zeros(64, 64, dtype=torch.bool)
    hidden[::3, ::3] = True
    plan = conditional((64, 64), hidden.numpy().tobytes(), 1, 8, torch.device("cpu"))
    assert len(plan.hidden) == int(hidden.sum()) <= UNKNOWNS
    assert len(plan.observed) == KNOWNS
    assert not hidden.flatten()[plan.observed].any()
    assert len(plan.observed.unique()) == KNOWNS
    # The choice among the many equally near ones favors no side.
    assert abs(float((plan.observed // 64).double().mean()) - 31.5) < 2
    narrow = torch.zeros(9, 200, dtype=torch.bool)
    narrow[4, 2:-2] = True
    plan = conditional((9, 200), narrow.numpy().tobytes(), 1, 8, torch.device("cpu"))
    assert set(range(3 * 200, 4 * 200)) <= set(plan.observed.tolist()), "the nearest are all there"


def test_one_shape_is_solved_once(smooth_image):
    conditional.cache_clear()
    image = smooth_image(60, 60)
    holes = torch.cat([square(10 + shift, 25 - shift, 7, 60) for shift in range(6)])
    filler = Marginal()
    together = filler(image, holes, seeded())
    assert conditional.cache_info().misses == 1
    for first in range(30):  # drives it out of the cache again
        filler(image, square(20, 20, 3 + first % 25, 60), seeded())
    assert conditional.cache_info().currsize == conditional.cache_info().maxsize
    assert torch.equal(filler(image, holes, seeded()), together)


def test_other_holes_and_draws_give_other_samples(image, holes):
    generator = seeded()
    first, second = (Marginal()(image, holes[:1], generator) for _ in range(2))
    assert not torch.equal(first, second)
    chances = [seeded(5), seeded(6), seeded(5)]
    same = Marginal()(image, holes[:1].expand(3, -1, -1, -1), chances)
    assert torch.equal(same[0], same[2])
    assert not torch.equal(same[0], same[1])


def test_soft_holes_count_from_a_half(image, holes):
    faint, strong = Marginal()(image, 0.49 * holes, seeded()), Marginal()(image, 0.5 * holes, seeded())
    assert torch.equal(faint, image.expand(3, -1, -1, -1))
    assert torch.equal(strong, Marginal()(image, holes, seeded()))


def test_nan_under_the_hole_stays_there(image, holes):
    poisoned = torch.where(holes == 1, torch.nan, image)
    fill = Marginal()(poisoned, holes, seeded())
    assert torch.equal(fill, Marginal()(image, holes, seeded()))
    assert composite(image, holes, fill).isfinite().all()


@pytest.mark.usefixtures("unchecked_shapes")
def test_impossible_arguments_are_refused(image, holes):
    with pytest.raises(ValueError, match="context must be at least 1, got 0"):
        Marginal(context=0)
    with pytest.raises(ValueError, match=r"image must be RGB \(3 channels\) for this filler"):
        Marginal()(image[:, :1], holes, seeded())
