"""LaMa with random weights whose every layer matters."""

import torch
from torch import nn


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and running statistics, so that every tensor matters."""
    generator = seeded(seed)
    for name, value in network.state_dict().items():
        if value.ndim > 1:
            value.normal_(0, value[0].numel() ** -0.5, generator=generator)
        elif name.endswith(("weight", "running_var")):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value.uniform_(-0.2, 0.4, generator=generator)
    return network.eval().requires_grad_(False)
