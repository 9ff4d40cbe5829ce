"""One unit of work: some images, and what is put into their holes by one filler, with all figures of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch

from infill import composite
from studio.data.chance import generator
from studio.drawing.pixels import channels_last
from studio.realism.batches import ExampleBatch
from studio.realism.figure import Strip
from studio.realism.metrics import BatchMetrics
from studio.realism.results import EXAMPLES, OTHERS, REAL, REFERENCE, TRUTH
from studio.realism.setup import Setup, set_up
from studio.registry.build import build_filler, serves_all

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from infill import Filler
    from studio.realism.request import RealismRequest

Key: TypeAlias = "tuple[int, str]"
"""The number of the first image, and the row (or what else is kept of the images)."""


@dataclass(eq=False)
class Worker:
    """Does units, one after another; holds the networks, and the batch that it was asked about last.

    What a unit gives depends on the request and on the unit alone.
    """

    request: RealismRequest
    setup: Setup
    _batch: tuple[int, ExampleBatch] | None = None
    _metrics: BatchMetrics | None = None
    _fillers: dict[str, Filler] = field(default_factory=dict)

    @classmethod
    def made(cls, request: RealismRequest) -> Worker:
        """Return a worker that has loaded everything itself, as in another process."""
        return cls(request, set_up(request))

    def __call__(self, key: Key) -> dict[str, ndarray]:
        """Return what is kept of a unit."""
        start, name = key
        if name == OTHERS:
            return self._others(start)
        batch = self._read(start)
        if name == EXAMPLES:
            return batch.arrays()
        if not batch.numbers:
            return {}
        self._metrics = self._metrics or self.setup.metrics.of_batch(batch)
        if name == REFERENCE:
            return self._metrics.features_of_truth()
        return self._metrics(self.composites(name, batch))

    def _others(self, start: int) -> dict[str, ndarray]:
        """Return the judge's features of other images, which composites are compared with."""
        others = self.setup.reference
        assert others is not None
        numbers = range(start, min(start + self.request.batch_size, len(others)))
        images = self.setup.reader.untouched(others, numbers)
        return self.setup.metrics.features(images) if len(images) else {}

    def _read(self, start: int) -> ExampleBatch:
        """Read a batch, unless it is the last one."""
        if self._batch is None or self._batch[0] != start:
            numbers = range(start, min(start + self.request.batch_size, len(self.setup.data)))
            self._batch, self._metrics = (start, self.setup.reader.read(numbers)), None
        return self._batch[1]

    def composites(self, name: str, batch: ExampleBatch) -> Tensor:
        """Return the images of a batch as a row has them."""
        if name == REAL:
            return batch.images
        if name == TRUTH:
            assert batch.truth is not None
            return composite(batch.images, batch.holes, batch.truth)
        filler = self._filler(name, batch)
        generators = [generator(self.request.seed, number, "fill") for number in batch.numbers]
        with torch.inference_mode():
            return composite(batch.images, batch.holes, filler(batch.images, batch.holes, generators))

    def _filler(self, name: str, batch: ExampleBatch) -> Filler:
        """Build the filler, once for all batches unless it needs to know the images."""
        if not serves_all(self._fillers.get(name)):
            settings, precision = self.setup.filler_settings, self.request.precision
            seen = partial(self.setup.reader.seen, batch.numbers)
            own = self.setup.own
            self._fillers[name] = build_filler(name, settings, batch.images, precision, seen, own)
        return self._fillers[name]

    def strip(self, number: int, rows: Sequence[str]) -> Strip:
        """Fill an image again, to be looked at."""
        # Alone an image may be judged otherwise in the last digit: that it is shown is settled.
        reader = replace(self.setup.reader, correct_only=False)
        batch, labels = reader.read([number]), self.setup.labels
        composites = {name: self.composites(name, batch) for name in rows}
        judged = {
            name: self.setup.metrics.judged(images, batch.targets) for name, images in composites.items()
        }
        return Strip(
            name=batch.names[0],
            target=None if batch.targets is None else labels[int(batch.targets[0])],
            guessed=self.setup.settings["labels"] == "top1",
            hole=batch.holes[0, 0].cpu().numpy(),
            images={name: channels_last(images[0]) for name, images in composites.items()},
            answers={
                name: (labels[int(values["label"][0])], float(values["probability"][0]))
                for name, values in judged.items()
                if values
            },
        )
