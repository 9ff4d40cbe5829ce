"""Numbers in double precision, also for devices that have none."""

import torch
from torch import Tensor


def exact(values: Tensor) -> Tensor:
    """Return values in float64: on their device, or on the processor where that has no such numbers."""
    return values.to(exact_device(values.device)).double()


def rounded(values: Tensor, like: Tensor) -> Tensor:
    """Return values in the dtype and on the device of another tensor; rounded before they are moved there."""
    return values.to(like.dtype).to(like.device)


def exact_device(device: torch.device) -> torch.device:
    """Return where double precision is computed for a device: Apple's mps has none."""
    return torch.device("cpu") if device.type == "mps" else device
