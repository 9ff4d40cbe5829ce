"""The chance of each image: its own, and another one for each use."""

from typing import get_args

import torch

from studio.data.chance import Use, generator


def drawn(seed: int, number: int, use: Use) -> int:
    return int(torch.randint(2**62, (), generator=generator(seed, number, use)))


def test_every_seed_image_and_use_has_draws_of_its_own_that_come_again() -> None:
    cases = [(seed, number, use) for seed in (0, 1, -1) for number in range(5) for use in get_args(Use)]
    found = [drawn(*case) for case in cases]
    assert len(set(found)) == len(cases)
    assert [drawn(*case) for case in reversed(cases)] == found[::-1]
