"""Which images a job is asked to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infill.validate import Count
from studio.data.selection import Selection, Targets


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """The part of a request that all jobs on data sets share.

    Attributes:
        split: One of PASCAL VOC's lists, see `studio.data.voc`, or a split that ``boxes.csv`` names.
        targets, classes, sample, limit: Which images, see `studio.data.selection`.
        correct_only: Only images of which the explained classifier's first choice is what the data says.
    """

    split: str | None = None
    targets: Targets = "one"
    classes: Sequence[str] = ()
    sample: Count | None = None
    limit: Count | None = None
    correct_only: bool = False

    def selection(self, seed: int) -> Selection:
        """Return which examples are meant."""
        return Selection(self.targets, self.classes, self.sample, seed, self.limit)
