"""The job of ``infill realism``: what every filler leaves of the object, and how real it looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from studio.output import output_folder, save_json
from studio.progress import Progress
from studio.realism.cache import Cache
from studio.realism.figure import Strip, draw_strips
from studio.realism.metrics import OF_FEATURES
from studio.realism.request import RealismRequest
from studio.realism.results import EXAMPLES, OTHERS, REAL, REFERENCE, TRUTH, Results, collect
from studio.realism.setup import Setup, set_up
from studio.realism.summary import summarize
from studio.realism.table import save_csv, text_table
from studio.realism.unit import Key, Worker
from studio.registry.own import NO_OWN, Own
from studio.runs.workers import doing, require_workers
from studio.runs.write import remove_unfinished


def realism(
    request: RealismRequest,
    echo: Callable[[str], object],
    own: Own = NO_OWN,
    progress: Progress | None = None,
) -> Mapping[str, Any]:
    """Measure, and write realism.csv, realism.json and realism.png; ``echo`` gets the table.

    Results are kept in ``parts`` of the output folder: the same command goes on where it was. What the caller
    brings along, its ``own``, is measured anew.

    Returns:
        What ``realism.json`` says.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    require_workers(request)
    with output_folder(request.out) as folder, progress or Progress() as progress:
        remove_unfinished(request.out)
        with progress.aside("which images are meant", "images") as looking:
            setup = set_up(request, own, looking)
        _check_apart(request, setup)
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
    return report


def _check_apart(request: RealismRequest, setup: Setup) -> None:
    """Check that realism.png does not come among the images, where the next run would take it for one."""
    homes = [setup.data.home, Path(request.data) if setup.data.kind == "images" else None]
    if request.out.resolve() in [home.resolve() for home in homes if home is not None]:
        raise ValueError(f"--out: {request.out} has the images themselves; give another folder")


class RealismRun:
    """Has every filler run on every batch, unless that was done before."""

    def __init__(self, request: RealismRequest, setup: Setup, cache: Cache) -> None:
        self.request, self.setup, self.cache = request, setup, cache
        self.worker = Worker(request, setup)
        background = setup.reader.true_background
        self.rows = [REAL, *setup.fillers, *([TRUTH] if background else [])]
        self.reference = REFERENCE if background else REAL
        cache.add_kind(EXAMPLES)
        for name in (*self.rows, REFERENCE):
            cache.add_kind(name, setup.fillers.get(name))
        if setup.reference is not None:
            cache.add_kind(OTHERS, setup.reference.fingerprint())

    def measure(self, progress: Progress) -> Results:
        """Go through the data and collect all figures.

        Raises:
            ValueError: If no image could be used.
        """
        count, step = len(self.setup.data), self.request.batch_size
        starts, others = range(0, count, step), self._others()
        names = dict.fromkeys([*self.rows, self.reference, EXAMPLES])
        keys = [(start, name) for start in starts for name in names] + [(start, OTHERS) for start in others]
        pending = [key for key in keys if self.cache.load(key[1], key[0]) is None]
        left, total = sum(map(self._composites, pending)), count * len(self.rows)
        progress.plan(total)
        with (
            doing(self.request, partial(Worker.made, self.request), self.worker) as do,
            progress.run(f"{self.setup.data.title}, {len(self.rows)} rows"),
        ):
            progress(total - left, total)
            for (start, name), arrays in do(pending):
                self.cache.save(name, start, arrays)
                left -= self._composites((start, name))
                progress(total - left, total)
        return collect(self.cache, starts, self.rows, self.reference, others)

    def _composites(self, key: Key) -> int:
        """Return how many composites a unit makes."""
        start, name = key
        return min(self.request.batch_size, len(self.setup.data) - start) if name in self.rows else 0

    def _others(self) -> range:
        """Return at which numbers the parts of the other images start; none where they are not needed."""
        others = self.setup.reference
        if others is None or self.setup.missing.keys() >= set(OF_FEATURES):
            return range(0)
        return range(0, len(others), self.request.batch_size)

    def strips(self, results: Results) -> list[Strip]:
        """Fill some images again, evenly chosen from all, to be looked at."""
        count = min(self.request.strips, len(results.numbers))
        chosen = [results.numbers[i * len(results.numbers) // count] for i in range(count)]
        return [self.worker.strip(number, self.rows) for number in chosen]

    def legend(self, results: Results) -> list[str]:
        """Return what stands above the strips: who judges, how many are shown, what the colors mean."""
        settings, total = self.setup.settings, len(results.numbers)
        shown = f"{min(self.request.strips, total)} of {total} images shown; the yellow line bounds the hole"
        if self.setup.metrics.judge is None:
            return [shown]
        files = {name: Path(settings[name] or "").stem for name in ("judge_weights", "weights")}
        judge = settings["judge"] or files["judge_weights"] or settings["classifier"] or files["weights"]
        return [
            f"judged by {judge}; {shown}",
            "p: the probability of the class that is to go; below, the judge's first label, red if another",
        ]
