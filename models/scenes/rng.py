"""Random draws that are the same on every machine and under every version of NumPy."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray


class Rng:
    """Uniform draws from the raw bits of PCG64, seeded by a tuple of integers.

    NumPy promises that ``SeedSequence`` and a bit generator's raw output stay as they are, and
    does not promise it of ``Generator``'s distributions; so the distributions are made here.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def array(self, *shape: int) -> Float[ndarray, "..."]:
        """Uniform draws from [0, 1) in double precision."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)

    def uniform(self, low: float | int = 0.0, high: float | int = 1.0) -> float:
        """One draw from [low, high)."""
        return low + (high - low) * float(self.array(1)[0])

    def integer(self, stop: int) -> int:
        """One draw from 0, ..., stop - 1."""
        return int(self.uniform() * stop)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability
