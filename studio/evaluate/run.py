"""The job of ``infill evaluate``: every method with every filler on every image, judged by every metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from studio.evaluate.request import EvaluateRequest
from studio.evaluate.setup import Setup, set_up
from studio.evaluate.unit import Worker
from studio.output import output_folder
from studio.progress import Progress
from studio.registry.own import NO_OWN, Own
from studio.runs.folder import EXAMPLE, Key, RunFolder, unit_name
from studio.runs.workers import Doing, doing, require_workers


def evaluate(
    request: EvaluateRequest,
    echo: Callable[[str], object],
    own: Own = NO_OWN,
    progress: Progress | None = None,
) -> None:
    """Do all units that are not done yet; each is kept as soon as it is done.

    What the caller brings along is its ``own``.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read, or the folder holds
            another run, Ray is not installed, or no image could be used.
    """
    require_workers(request)
    with output_folder(request.out), progress or Progress() as progress:
        with progress.aside("which images are meant", "images") as looking:
            setup = set_up(request, own, looking)
        folder = RunFolder(request.out, setup.settings)
        folder.begin()
        with doing(request, partial(Worker.made, request), Worker(setup)) as do:
            used = _look(folder, setup, do, progress)
            pending = _pending(folder, setup, used)
            progress.plan(len(pending), "heatmaps")
            with progress.run(setup.data.title):
                for count, (key, (part, heatmap)) in enumerate(do(pending), start=1):
                    folder.save(key, part, heatmap)
                    progress(count, len(pending))
        for note in setup.notes:
            echo(f"  {note}")
        for path in folder.damaged:
            echo(f"  damaged, and done again: {path}")


def _look(folder: RunFolder, setup: Setup, do: Doing, progress: Progress) -> list[int]:
    """Look at every image that was not looked at, and return the numbers of those that are used.

    Raises:
        ValueError: If there is none.
    """
    numbers = range(len(setup.data))
    known = {number: folder.load((number, EXAMPLE)) for number in numbers}
    pending = [(number, EXAMPLE) for number in numbers if known[number] is None]
    with progress.aside(f"looking at {setup.data.title}", "images") as looked:
        for count, (key, (part, picture)) in enumerate(do(pending), start=1):
            folder.save(key, part, picture)
            known[key[0]] = part
            looked(count, len(pending))
    used = [number for number, part in known.items() if part is not None and not part.error]
    if not used:
        first = next(part for part in known.values() if part is not None)
        name = setup.data.names[0]
        raise ValueError(f"DATA: none of {len(known)} images can be used; {name}: {first.error}")
    return used


def _pending(folder: RunFolder, setup: Setup, used: Sequence[int]) -> list[Key]:
    """Return the units that are to be done, photograph by photograph.

    Photographs are taken in a drawn order: what is there when a run is broken off stands for all of them,
    where the first ones would be of the first classes. The images that one of them makes, one for each of
    its classes, follow one another: they have the same holes, whose fills a fill cache then still holds.
    """
    of_photograph: dict[str, list[int]] = {}
    for number in used:
        of_photograph.setdefault(setup.data.photographs[number], []).append(number)
    images = list(of_photograph.values())
    drawn = np.random.default_rng(setup.request.seed).permutation(len(images))
    order = [number for place in drawn for number in images[place]]
    names = [unit_name(*pair) for pair in setup.plan.pairs if setup.plan.metrics_of(pair)]
    keys = [(number, name) for number in order for name in names]
    return [key for key in keys if folder.load(key) is None]
