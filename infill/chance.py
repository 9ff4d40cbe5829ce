"""Randomness that does not depend on how holes are split into batches."""

import torch
from torch import Generator

from infill.validate import require


def spawn(generator: Generator | None, count: int) -> list[Generator]:
    """Make one CPU generator per hole, each seeded by one draw of ``generator``, in order.

    What a hole gets is thus a function of its place in the stream of holes alone, and is the
    same on every device, since all draws happen on the CPU.

    Raises:
        ValueError: If there is no generator, or if it is not a CPU generator.
    """
    if generator is None:
        raise ValueError("generator must be a torch.Generator for a stochastic filler, got None")
    require(generator.device.type == "cpu", "generator", "on the cpu", str(generator.device))
    draws = [torch.randint(2**63 - 1, (), generator=generator) for _ in range(count)]
    return [Generator().manual_seed(int(seed)) for seed in draws]
