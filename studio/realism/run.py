"""The job behind ``infill realism``: what every filler leaves of the object, and how real it looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy import ndarray
from torch import Tensor

from infill import Filler, composite
from studio.output import output_folder, save_json
from studio.progress import Progress
from studio.realism.batches import Batch, Labels, generator
from studio.realism.cache import Parts
from studio.realism.figure import Strip, draw_strips
from studio.realism.metrics import Prepared
from studio.realism.results import Records, collected
from studio.realism.setup import Setting, setting
from studio.realism.table import save_csv, summary, text_table
from studio.registry.build import build_filler
from studio.registry.tables import ALL_FILLERS

REAL, TRUTH, REFERENCE = "real", "truth", "reference"
"""Rows beside the fillers': the untouched images, those with the truth in the hole, and the truth itself."""


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        holes: Where they come from; ``None``: what the data knows best.
        labels: Whose word counts for what an image shows; ``None``: the data's if the classifier knows it.
        classifier: Whose view it is, and whose top-1 counts where the data knows no class.
        multi_label: Whether classes do not exclude each other even if classifier and judge do not say so.
        judge: Who is asked about the composites; ``None``: the classifier.
        segmenter_point: ``X,Y``, in fractions of the view; ``None``: the annotated boxes, else the center.
        strips: How many images are shown.
    """

    data: str
    fillers: Sequence[str] = ("gray", "noise", "blur", "telea", "inpaint")
    holes: str | None = None
    grow: int = 3
    side: int = 53
    labels: Labels | None = None
    limit: int | None = None
    classifier: str | None = None
    weights: Path | None = None
    multi_label: bool = False
    judge: str | None = None
    judge_weights: Path | None = None
    segmenter: str | None = None
    segmenter_weights: Path | None = None
    segmenter_class: str | None = None
    segmenter_point: str | None = None
    lpips: Any = "squeeze"
    strips: int = 6
    out: Path = Path("infill-out")
    seed: int = 0
    device: str = "auto"
    precision: Any = "auto"
    batch_size: int = 16
    settings: Sequence[str] = field(default=())


def realism(request: Request, tell: Callable[[str], object]) -> None:
    """Measure, and write realism.csv, realism.json and realism.png; ``tell`` is told the table.

    What is found is kept in ``parts`` of the output folder: the same command goes on where it was.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    with output_folder(request.out) as folder, Progress() as progress:
        made = setting(request)
        job = Job(request, made, Parts(request.out, made.identity))
        records = job.measured(progress)
        found = summary(records, made, request.seed)
        strips = job.strips(records)
        written = folder.publish(
            {
                "realism.csv": partial(save_csv, records, made.labels),
                "realism.json": partial(save_json, found),
                "realism.png": partial(draw_strips, strips, made.title),
            }
        )
    tell(text_table(found))
    tell("  " + " ".join(str(path) for path in written))


class Job:
    """Runs every filler on every batch, unless that was done before."""

    def __init__(self, request: Request, made: Setting, parts: Parts) -> None:
        self.request, self.made, self.parts = request, made, parts
        self.rows = [REAL, *made.fillers, *([TRUTH] if made.reader.true_background else [])]
        parts.kind("examples")
        for name in (*self.rows, REFERENCE):
            parts.kind(name, made.fillers.get(name))
        self._fillers: dict[str, Filler] = {}

    def measured(self, progress: Progress) -> Records:
        """Go through the data and collect what was found.

        Raises:
            ValueError: If no image could be used.
        """
        count, step = len(self.made.data), self.request.batch_size
        progress.plan(count * len(self.rows))
        with progress.run(f"{self.made.data.title}, {len(self.rows)} rows"):
            for start in range(0, count, step):
                numbers = range(start, min(start + step, count))
                self._batch(numbers)
                progress(numbers.stop * len(self.rows), count * len(self.rows))
        reference = REFERENCE if self.made.reader.true_background else REAL
        return collected(self.parts, range(0, count, step), self.rows, reference)

    def _batch(self, numbers: range) -> None:
        wanted = [*self.rows, *([REFERENCE] if self.made.reader.true_background else [])]
        missing = [name for name in wanted if self.parts.load(name, numbers.start) is None]
        if not missing and self.parts.load("examples", numbers.start) is not None:
            return
        batch = self.made.reader.read(numbers)
        if batch.numbers:
            prepared = self.made.measure.prepared(batch)
        for name in missing:
            found = self._found(name, batch, prepared) if batch.numbers else {}
            self.parts.save(name, numbers.start, found)
        self.parts.save("examples", numbers.start, batch.described())

    def _found(self, name: str, batch: Batch, prepared: Prepared) -> dict[str, ndarray]:
        if name == REFERENCE:
            return prepared.features_of_truth()
        return prepared(self._composites(name, batch))

    def _composites(self, name: str, batch: Batch) -> Tensor:
        if name == REAL:
            return batch.images
        if name == TRUTH:
            assert batch.truth is not None
            return composite(batch.images, batch.holes, batch.truth)
        filler = self._filler(name, batch.images)
        chance = [generator(self.request.seed, number, "fill") for number in batch.numbers]
        with torch.inference_mode():
            return composite(batch.images, batch.holes, filler(batch.images, batch.holes, chance))

    def _filler(self, name: str, images: Tensor) -> Filler:
        """Build the filler, once for all batches unless it needs to know the images."""
        if name not in self._fillers or ALL_FILLERS[name].of_image:
            self._fillers[name] = build_filler(name, self.made.settings, images, self.request.precision)
        return self._fillers[name]

    def strips(self, records: Records) -> list[Strip]:
        """Fill some images again, evenly chosen from all, to be looked at."""
        count = min(self.request.strips, len(records.numbers))
        chosen = [records.numbers[i * len(records.numbers) // count] for i in range(count)]
        return [self._strip(number) for number in chosen]

    def _strip(self, number: int) -> Strip:
        batch = self.made.reader.read([number])
        composites = {name: self._composites(name, batch) for name in self.rows}
        judged = {
            name: self.made.measure.judged(images, batch.targets) for name, images in composites.items()
        }
        return Strip(
            name=batch.names[0],
            target=None if batch.targets is None else self.made.labels[int(batch.targets[0])],
            hole=batch.holes[0, 0].cpu().numpy(),
            images={name: images[0].permute(1, 2, 0).cpu().numpy() for name, images in composites.items()},
            seen={
                name: (self.made.labels[int(found["label"][0])], float(found["probability"][0]))
                for name, found in judged.items()
                if found
            },
        )
