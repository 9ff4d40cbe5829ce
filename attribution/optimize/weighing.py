"""The weight with which a condition is just met: for each image a search, and the best that it came by."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

FACTOR = 10.0
"""By so much a weight grows as long as none was enough."""


class Weighing:
    """A binary search over the weight of a condition, for each image (Carlini & Wagner 2017, sec. V).

    After a round in which the condition was met the weight becomes smaller, after another one larger: it is
    halved between one that was too small and one that was enough, and grows by `FACTOR` while none was.

    Args:
        start: The parameters before the first step, one image's after another's.
        weight: The first weight.

    Attributes:
        weight: Of this round.
        best: Of all parameters that met the condition those of the least cost; where none did, those that
            lacked the least.
    """

    def __init__(self, start: Float[Tensor, "b ..."], weight: float) -> None:
        self.best = start.clone()
        self.weight = start.new_full((len(start),), weight)
        self._low, self._high = torch.zeros_like(self.weight), torch.full_like(self.weight, torch.inf)
        self._cost, self._lack = torch.full_like(self.weight, torch.inf), self._high.clone()
        self._met = torch.zeros(len(start), dtype=torch.bool, device=start.device)
        self._sum, self._noted = torch.zeros_like(start), torch.zeros_like(self.weight)

    def note(
        self,
        rows: Int[Tensor, " n"],
        parameters: Float[Tensor, "n ..."],
        cost: Float[Tensor, " n"],
        lack: Float[Tensor, " n"],
    ) -> None:
        """Take note of parameters of some images: what they cost, and how much they lack.

        Args:
            rows: Which images.
            parameters: Theirs.
            cost: What is to be small.
            lack: How far they are from the condition; 0 where it is met.
        """
        self._sum[rows] += parameters
        self._noted[rows] += 1
        met = lack == 0
        cheaper = met & (cost < self._cost[rows])
        nearer = ~met & self._cost[rows].isinf() & (lack < self._lack[rows])
        better = cheaper | nearer
        self.best[rows[better]] = parameters[better]
        self._cost[rows[cheaper]] = cost[cheaper]
        self._lack[rows[nearer]] = lack[nearer]
        self._met[rows[met]] = True

    def adjust(self) -> None:
        """End a round: choose the next weights."""
        self._high = torch.where(self._met, self._high.minimum(self.weight), self._high)
        self._low = torch.where(self._met, self._low, self._low.maximum(self.weight))
        between = (self._low + self._high) / 2
        self.weight = torch.where(self._high.isfinite(), between, FACTOR * self.weight)
        self._met = torch.zeros_like(self._met)

    @property
    def mean(self) -> Float[Tensor, "b ..."]:
        """Return the mean of all parameters that were noted, of each image by itself."""
        count = self._noted.clamp_min(1)
        return self._sum / count.view(-1, *[1] * (self._sum.ndim - 1))

    @property
    def found(self) -> Bool[Tensor, " b"]:
        """Return of which images some parameters met the condition."""
        return self._cost.isfinite()
