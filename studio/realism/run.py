"""The job of ``infill realism``: what every filler leaves of the object, and how real it looks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from numpy import ndarray
from torch import Tensor

from infill import Filler, composite
from studio.data.chance import generator
from studio.output import output_folder, save_json
from studio.progress import Progress
from studio.realism.batches import ExampleBatch
from studio.realism.cache import Cache
from studio.realism.figure import Strip, draw_strips
from studio.realism.metrics import OF_FEATURES, BatchMetrics
from studio.realism.request import RealismRequest
from studio.realism.results import OTHERS, Results, collect
from studio.realism.setup import Setup, set_up
from studio.realism.summary import summarize
from studio.realism.table import save_csv, text_table
from studio.registry.build import build_filler

REAL, TRUTH, REFERENCE = "real", "truth", "reference"
"""Rows beside the fillers': the untouched images, those with the truth in the hole, and the truth itself."""


def realism(request: RealismRequest, echo: Callable[[str], object]) -> None:
    """Measure, and write realism.csv, realism.json and realism.png; ``echo`` gets the table.

    Results are kept in ``parts`` of the output folder: the same command goes on where it was.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    with output_folder(request.out) as folder, Progress() as progress:
        setup = set_up(request)
        run = RealismRun(request, setup, Cache(request.out, setup.identity))
        results = run.measure(progress)
        report = summarize(results, setup, request.seed)
        paths = folder.publish(
            {
                "realism.csv": partial(save_csv, results, setup.labels),
                "realism.json": partial(save_json, report),
                "realism.png": partial(draw_strips, run.strips(results), setup.title, run.legend(results)),
            }
        )
    echo(text_table(report))
    for path in run.cache.damaged:
        echo(f"  damaged, and done again: {path}")
    echo("  " + " ".join(str(path) for path in paths))


class RealismRun:
    """Runs every filler on every batch, unless that was done before."""

    def __init__(self, request: RealismRequest, setup: Setup, cache: Cache) -> None:
        self.request, self.setup, self.cache = request, setup, cache
        background = setup.reader.true_background
        self.rows = [REAL, *setup.fillers, *([TRUTH] if background else [])]
        self.reference = REFERENCE if background else REAL
        cache.add_kind("examples")
        for name in (*self.rows, REFERENCE):
            cache.add_kind(name, setup.fillers.get(name))
        if setup.reference is not None:
            cache.add_kind(OTHERS, setup.reference.fingerprint())
        self._fillers: dict[str, Filler] = {}

    def measure(self, progress: Progress) -> Results:
        """Go through the data and collect all figures.

        Raises:
            ValueError: If no image could be used.
        """
        count, step = len(self.setup.data), self.request.batch_size
        progress.plan(count * len(self.rows))
        with progress.run(f"{self.setup.data.title}, {len(self.rows)} rows"):
            for start in range(0, count, step):
                numbers = range(start, min(start + step, count))
                self._measure_batch(numbers)
                progress(numbers.stop * len(self.rows), count * len(self.rows))
        others = self._measure_others()
        return collect(self.cache, range(0, count, step), self.rows, self.reference, others)

    def _measure_others(self) -> range:
        """Keep the judge's features of the other images; return the numbers at which their parts start."""
        others, metrics = self.setup.reference, self.setup.metrics
        if others is None or self.setup.missing.keys() >= set(OF_FEATURES):
            return range(0)
        starts = range(0, len(others), self.request.batch_size)
        for start in starts:
            if self.cache.load(OTHERS, start) is None:
                numbers = range(start, min(start + starts.step, len(others)))
                images = self.setup.reader.untouched(others, numbers)
                self.cache.save(OTHERS, start, metrics.features(images) if len(images) else {})
        return starts

    def _measure_batch(self, numbers: range) -> None:
        rows = list(dict.fromkeys([*self.rows, self.reference]))
        missing = [name for name in rows if self.cache.load(name, numbers.start) is None]
        if not missing and self.cache.load("examples", numbers.start) is not None:
            return
        batch = self.setup.reader.read(numbers)
        if batch.numbers:
            metrics = self.setup.metrics.of_batch(batch)
        for name in missing:
            self.cache.save(name, numbers.start, self._figures(name, batch, metrics) if batch.numbers else {})
        self.cache.save("examples", numbers.start, batch.arrays())

    def _figures(self, name: str, batch: ExampleBatch, metrics: BatchMetrics) -> dict[str, ndarray]:
        if name == REFERENCE:
            return metrics.features_of_truth()
        return metrics(self._composites(name, batch))

    def _composites(self, name: str, batch: ExampleBatch) -> Tensor:
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
        if getattr(self._fillers.get(name), "of_image", True):
            settings, precision = self.setup.filler_settings, self.request.precision
            seen = partial(self.setup.reader.seen, batch.numbers)
            self._fillers[name] = build_filler(name, settings, batch.images, precision, seen)
        return self._fillers[name]

    def strips(self, results: Results) -> list[Strip]:
        """Fill some images again, evenly chosen from all, to be looked at."""
        count = min(self.request.strips, len(results.numbers))
        chosen = [results.numbers[i * len(results.numbers) // count] for i in range(count)]
        return [self._strip(number) for number in chosen]

    def legend(self, results: Results) -> list[str]:
        """Return what stands above the strips: who judges, how many are shown, what the colors mean."""
        settings, total = self.setup.settings, len(results.numbers)
        shown = f"{min(self.request.strips, total)} of {total} images shown; the yellow line bounds the hole"
        if self.setup.metrics.judge is None:
            return [shown]
        judge = settings["judge"] or settings["classifier"] or Path(settings["weights"]).stem
        return [
            f"judged by {judge}; {shown}",
            "p: the probability of the class that is to go; below, the judge's first label, red if another",
        ]

    def _strip(self, number: int) -> Strip:
        batch, labels = self.setup.reader.read([number]), self.setup.labels
        composites = {name: self._composites(name, batch) for name in self.rows}
        judged = {
            name: self.setup.metrics.judged(images, batch.targets) for name, images in composites.items()
        }
        return Strip(
            name=batch.names[0],
            target=None if batch.targets is None else labels[int(batch.targets[0])],
            guessed=self.setup.settings["labels"] == "top1",
            hole=batch.holes[0, 0].cpu().numpy(),
            images={name: images[0].permute(1, 2, 0).cpu().numpy() for name, images in composites.items()},
            answers={
                name: (labels[int(values["label"][0])], float(values["probability"][0]))
                for name, values in judged.items()
                if values
            },
        )
