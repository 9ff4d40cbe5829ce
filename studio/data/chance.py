"""The chance of each image, whatever is read beside it."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Generator

Use: TypeAlias = Literal["hole", "fill", "baseline", "control", "network", "order"]
"""What is drawn; one use's draws are independent of another's."""


def generator(seed: int, number: int, use: Use) -> Generator:
    """Return the generator of one image for one use."""
    source = np.random.SeedSequence(seed % 2**64, spawn_key=(number, get_args(Use).index(use)))
    return torch.Generator().manual_seed(int(source.generate_state(1, np.uint64)[0]) >> 1)
