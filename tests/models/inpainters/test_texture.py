"""A hole gets the texture of what is observed, and nothing of what is hidden."""

import torch

from models.inpainters.texture import CELL, GAIN, deep, offsets, preferences, transplanted

AWAY, PREFERRED = offsets(), preferences(16)
HOLE = torch.zeros(1, 1, 96, 128)
HOLE[..., 24:72, 40:96] = 1


def grainy(strength: float = 0.1, seed: int = 0, base: float = 0.5) -> torch.Tensor:
    drawn = torch.randn(1, 1, 96, 128, generator=torch.Generator().manual_seed(seed))
    return (base + strength * drawn).expand(-1, 3, -1, -1).clamp(0, 1)


def laid(image: torch.Tensor, hole: torch.Tensor = HOLE, surface: float = 0.5) -> torch.Tensor:
    return transplanted(image, hole, torch.full_like(image, surface), AWAY, PREFERRED)


def inside(texture: torch.Tensor) -> torch.Tensor:
    return texture[..., 32:64, 48:88]


def test_texture_is_as_strong_as_what_is_observed_times_the_gain() -> None:
    found = inside(laid(grainy(0.1)))
    assert abs(float(found.std()) / (0.1 * GAIN) - 1) < 0.1
    assert abs(float(found.mean())) < 0.01
    assert float(laid(torch.full((1, 3, 96, 128), 0.4)).abs().max()) < 1e-6


def test_it_does_not_repeat() -> None:
    found = inside(laid(grainy()))[0, 0]
    for step in (4, 8, 16):
        pair = torch.stack([found[:, step:].flatten(), found[:, :-step].flatten()])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.25


def test_what_is_hidden_is_not_looked_at() -> None:
    other = torch.where(HOLE > 0, grainy(seed=1), grainy())
    torch.testing.assert_close(laid(other), laid(grainy()))


def test_squares_of_similar_colors_are_taken() -> None:
    image = torch.cat([grainy(0.15, base=0.7)[..., :64], grainy(0.01, base=0.3)[..., 64:]], 3)
    calm, rough = (inside(laid(image, surface=base)).std() for base in (0.3, 0.7))
    assert rough > 4 * calm


def test_without_a_whole_square_in_sight_there_is_none() -> None:
    thin = torch.ones(1, 1, 96, 128)
    thin[..., :CELL, :] = 0
    assert not laid(grainy(), thin).any()
    assert not laid(grainy(), torch.ones(1, 1, 96, 128)).any()


def test_a_hole_is_deep_away_from_its_rim_but_nowhere_where_it_is_thin() -> None:
    share = deep(HOLE)
    assert (share[..., 24, 40:96] < 0.7).all()
    assert (share[..., 29:67, 45:91] == 1).all()
    assert (deep(torch.ones(1, 1, 96, 128)) == 1).all()
    thin = torch.zeros(1, 1, 96, 128)
    thin[..., 11:13, :] = 1
    assert not deep(thin).any()


def test_it_is_the_same_beside_others() -> None:
    images, holes = torch.cat([grainy(), grainy(0.05, 2)]), torch.cat([HOLE, HOLE.roll(16, 3)])
    alone = [laid(images[[one]], holes[[one]]) for one in (0, 1)]
    assert torch.equal(laid(images, holes), torch.cat(alone))
