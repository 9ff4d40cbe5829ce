"""How a classifier is run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from infill.network import Precision
from infill.validate import Count, require_settings

ProgressCallback: TypeAlias = Callable[[int, int], object]
"""Called with the holes done and the holes in total after every batch of a stream."""


def silent(done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Execution:
    """How a classifier is run.

    Attributes:
        batch_size: The most images that the classifier is given at once. On a processor a module gets fewer,
            which is faster (`infill.network.at_once`).
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where the hardware is faster in it.
        deterministic: Whether the same image should have the same logits when asked about again: if it has
            not, a warning says so.
        incremental: Whether holes that lie in a small window make the classifier compute anew only what they
            change of its maps, where that can be followed (`attribution.engine.incremental`); scores are the
            same within 1e-4 of the largest logit, in float32. Of several images each is followed by itself.
            Whole images are classified where a gradient is asked for, for mirrored and shifted views and
            staged fillers, and, with a warning, by networks that cannot be followed.
        progress: Called after every batch of a stream with how many of how many holes are done. While one
            iterates over the score of several images, the holes of all of them are counted.

    Raises:
        ValueError: If the batch size is no whole number from 1 on, or the precision is unknown.
    """

    batch_size: Count = 64
    precision: Precision = "float32"
    progress: ProgressCallback = silent
    deterministic: bool = True
    incremental: bool = False

    def __post_init__(self) -> None:
        require_settings(self)
