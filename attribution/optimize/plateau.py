"""When a loss no longer changes beyond its own noise."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

NOISE = 2.0
"""A change within so many standard errors is noise."""
SHARE = 1e-3
"""A change within this share of all that the loss has ever changed is none, for losses without noise."""


class Plateau:
    """The losses of a group of images, each of which rests when its loss does.

    The means of its last ``patience`` losses and of as many before them are compared: they differ by no more
    than twice the standard error of their difference, or by a thousandth of the range of all losses so far.
    What noise there is, the last losses' steps from one to the next say (von Neumann 1941): their variance
    would take a fall for noise, and rest while it lasts.

    Args:
        images: How many images there are.
        steps: How many losses of each there will be, at most.
        patience: How many steps are compared with as many before; 0: no image ever rests.
        like: A tensor of the losses' device and dtype.
    """

    def __init__(self, images: int, steps: int, patience: int, like: Tensor) -> None:
        self._patience = patience
        self._losses = like.new_full((images, steps if patience else 0), torch.nan)

    def rests(self, number: int, rows: Int[Tensor, " n"], losses: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Note the losses of these images in the step of this number (from 0); return which of them rest."""
        if not self._patience:
            return torch.zeros_like(rows, dtype=torch.bool)
        self._losses[rows, number] = losses.detach()
        if number + 1 < 2 * self._patience:
            return torch.zeros_like(rows, dtype=torch.bool)
        past = self._losses[rows, : number + 1]
        before, after = past[:, -2 * self._patience : -self._patience], past[:, -self._patience :]
        change = (after.mean(dim=1) - before.mean(dim=1)).abs()
        # Half of the mean squared step is the variance of noise; the difference of two means has it twice.
        error = (after.diff(dim=1).square().mean(dim=1) / self._patience).sqrt()
        low, high = past.amin(dim=1), past.amax(dim=1)
        return (change <= NOISE * error) | (change <= SHARE * (high - low))
