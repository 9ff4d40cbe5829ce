"""Patches: exhaustive search and votes, beside plain loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infill.fillers.patches import ROWS_AT_ONCE, Patches, untouched, vote

sizes = st.tuples(st.integers(3, 9), st.integers(3, 9), st.integers(1, 3), st.sampled_from([1, 2, 3]))


def features(height: int, width: int, channels: int, seed: int) -> torch.Tensor:
    return torch.rand(height, width, channels, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30)
@given(sizes, st.integers(0, 99))
def test_patches_are_what_lies_at_their_places(size, seed) -> None:
    *shape, side = size
    every = features(*shape, seed)
    patches = Patches(every, side)
    rows, columns = patches.grid
    found = patches.at(torch.arange(rows * columns))
    for place, row in enumerate(found):
        y, x = divmod(place, columns)
        assert torch.equal(row, every[y : y + side, x : x + side].flatten())


@settings(max_examples=30)
@given(sizes, st.integers(0, 99), st.booleans())
def test_the_nearest_is_the_nearest(size, seed, weighted) -> None:
    *shape, side = size
    patches = Patches(features(*shape, seed), side)
    generator = torch.Generator().manual_seed(seed)
    count = patches.grid[0] * patches.grid[1]
    sources = torch.randperm(count, generator=generator)[: max(1, count // 2)].sort().values
    targets = torch.rand(5, side * side * shape[2], generator=generator)
    weight = torch.rand(5, side * side, generator=generator) + 0.1 if weighted else None
    places, cost = patches.nearest(targets, sources, weight)
    each = torch.ones(5, side * side) if weight is None else weight
    away = (patches.at(sources)[None] - targets[:, None]).square()
    away = (away.view(5, len(sources), side * side, -1).sum(3) * each[:, None]).sum(2)
    away = away * side * side / each.sum(1, keepdim=True)
    torch.testing.assert_close(cost, away.min(1).values, atol=1e-5, rtol=1e-4)
    taken = away.gather(1, (sources == places[:, None]).int().argmax(1, keepdim=True))[:, 0]
    torch.testing.assert_close(taken, cost, atol=1e-5, rtol=1e-4)
    assert set(places.tolist()) <= set(sources.tolist())


def test_more_targets_than_are_looked_at_at_a_time() -> None:
    patches = Patches(features(6, 6, 1, 0), 1)
    targets = features(1, ROWS_AT_ONCE + 7, 1, 1)[0]
    places, cost = patches.nearest(targets, torch.arange(36))
    away = (patches.features.flatten()[None] - targets).square()
    torch.testing.assert_close(cost, away.min(1).values, atol=1e-6, rtol=0)
    assert len(places) == len(targets)


@settings(max_examples=30)
@given(sizes, st.integers(0, 99), st.sampled_from([1, 2]))
def test_votes_are_weighted_means(size, seed, step) -> None:
    height, width, channels, side = size
    generator = torch.Generator().manual_seed(seed)
    rows, columns = height - side + 1, width - side + 1
    places = [y * columns + x for y in range(0, rows, step) for x in range(0, columns, step)]
    chosen = torch.tensor(places)[torch.rand(len(places), generator=generator) < 0.6]
    chosen = chosen if len(chosen) else torch.tensor(places[:1])
    image = Patches(features(side + 2, side + 4, channels, seed), side)
    match = torch.randint(3 * 5, (len(chosen),), generator=generator)
    content = image.at(match)
    weight = torch.rand(len(chosen), generator=generator) + 0.1
    voted, votes = vote((height, width), chosen, image, match, weight, step)
    total, expected = torch.zeros(height, width), torch.zeros(height, width, channels)
    for place, patch, much in zip(chosen.tolist(), content, weight, strict=True):
        y, x = divmod(place, columns)
        total[y : y + side, x : x + side] += much
        expected[y : y + side, x : x + side] += much * patch.view(side, side, channels)
    torch.testing.assert_close(votes, total)
    torch.testing.assert_close(voted, expected / total.clamp(min=1e-12)[..., None])


def test_places_without_a_hidden_pixel() -> None:
    hidden = torch.zeros(5, 6, dtype=torch.bool)
    hidden[2, 3] = True
    expected = [not hidden[y : y + 2, x : x + 2].any() for y in range(4) for x in range(5)]
    assert untouched(hidden, 2).tolist() == expected


def test_patches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="side must be at most the map's 3 pixels, got 4"):
        Patches(features(3, 5, 1, 0), 4)
    with pytest.raises(ValueError, match="side must be 1 or more, got 0"):
        Patches(features(3, 5, 1, 0), 0)
