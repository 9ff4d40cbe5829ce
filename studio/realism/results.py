"""The figures of all images, put together from the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from numpy.lib.format import open_memmap
from torch import Tensor

from studio.realism.cache import Cache

REAL, TRUTH, REFERENCE = "real", "truth", "reference"
"""Rows beside the fillers: the untouched images, those with the truth in the hole, and the truth itself."""
EXAMPLES, OTHERS = "examples", "others"
"""Kinds of parts in the cache that are no rows: about the images themselves, and about other images."""


@dataclass(frozen=True, eq=False)
class Results:
    """One value an image of every metric and row.

    Attributes:
        numbers: The images' places in the data set.
        targets: Their classes; -1 without a classifier.
        areas: The share of the view that is removed.
        values: By row and metric.
        skipped: Names of the images that were left out, with the reasons.
    """

    numbers: Sequence[int]
    names: Sequence[str]
    targets: Sequence[int]
    areas: Sequence[float]
    values: Mapping[str, Mapping[str, ndarray]]
    skipped: Sequence[tuple[str, str]]
    cache: Cache
    starts: Sequence[int]
    reference: str
    others: Sequence[int] = ()

    @cached_property
    def features_of_others(self) -> Float[Tensor, "m d"]:
        """The judge's features of the other images that composites are compared with.

        Raises:
            ValueError: If none of them could be read.
        """
        parts = [_load(self.cache, OTHERS, start) for start in self.others]
        read = [part["features"] for part in parts if "features" in part]
        if sum(map(len, read)) < 2:
            raise ValueError("--reference: expected 2 or more images that can be read")
        return torch.from_numpy(np.concatenate(read))

    def features(self, row: str, scratch: Path) -> Float[Tensor, "n d"]:
        """The judge's features of a row, in a file of the folder ``scratch``: all may not fit into memory."""
        path = scratch / f"{row}.npy"
        rows: ndarray | None = None
        end = 0
        for start in self.starts:
            part = _load(self.cache, row, start)
            if "features" not in part:
                continue
            features = part["features"]
            if rows is None:
                shape = (len(self.numbers), features.shape[1])
                rows = open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            rows[end : end + len(features)] = features
            end += len(features)
        assert rows is not None
        assert end == len(self.numbers), f"features of {end} of {len(self.numbers)} images"
        return torch.from_numpy(rows)


def collect(
    cache: Cache, starts: Sequence[int], rows: Sequence[str], reference: str, others: Sequence[int] = ()
) -> Results:
    """Read the whole cache; ``reference`` is the row that the rest should look like.

    Raises:
        ValueError: If no image could be used.
    """
    examples = [_load(cache, EXAMPLES, start) for start in starts]
    skipped = [
        (str(name), str(reason))
        for part in examples
        for name, reason in zip(part["skipped"], part["reasons"], strict=True)
    ]
    numbers = [int(number) for part in examples for number in part["numbers"]]
    if not numbers:
        name, reason = skipped[0]
        raise ValueError(f"DATA: none of {len(skipped)} images can be used; {name}: {reason}")
    return Results(
        numbers=numbers,
        names=[str(name) for part in examples for name in part["names"]],
        targets=[int(target) for part in examples for target in part["targets"]],
        areas=[float(area) for part in examples for area in part["areas"]],
        values={row: _values(cache, row, starts) for row in rows},
        skipped=skipped,
        cache=cache,
        starts=starts,
        reference=reference,
        others=others,
    )


def _values(cache: Cache, row: str, starts: Sequence[int]) -> dict[str, ndarray]:
    pieces: dict[str, list[ndarray]] = {}
    for start in starts:
        for name, values in _load(cache, row, start).items():
            if name != "features":
                pieces.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in pieces.items()}


def _load(cache: Cache, kind: str, start: int) -> dict[str, ndarray]:
    part = cache.load(kind, start)
    if part is None:
        raise OSError(f"the figures of {kind} from image {start} on are no longer in the output folder")
    return part
