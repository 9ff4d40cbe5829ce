"""Randomness that does not depend on how holes are split into batches."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Generator

from infill.validate import require

Chance: TypeAlias = Generator | Sequence[Generator] | None
"""What a stochastic filler draws from: one generator for all holes in order, or one for each hole."""


def spawn(generator: Chance, count: int) -> list[Generator]:
    """Make one CPU generator per hole, each seeded by one draw of ``generator``, in order.

    What a hole gets is thus a function of its place in the stream of holes alone, and is the
    same on every device, since all draws happen on the CPU. Given one generator per hole, a hole's
    fill depends on its own generator only, whatever other holes are asked about beside it.

    Raises:
        ValueError: If there is no generator, one that is not a CPU generator, or not one per hole.
    """
    if generator is None:
        raise ValueError("generator must be a torch.Generator for a stochastic filler, got None")
    sources = [generator] * count if isinstance(generator, Generator) else list(generator)
    require(len(sources) == count, "generator", f"one, or one per hole ({count})", f"{len(sources)}")
    for source in sources[:1] if isinstance(generator, Generator) else sources:
        require(source.device.type == "cpu", "generator", "on the cpu", str(source.device))
    draws = [torch.randint(2**63 - 1, (), generator=source) for source in sources]
    return [Generator().manual_seed(int(seed)) for seed in draws]
