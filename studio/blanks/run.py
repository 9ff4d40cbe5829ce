"""The job of ``infill fill-blanks``: how a classifier fills in what is hidden, and what it makes of that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attribution import ProgressiveBlanks
from infill.extras import require_extra
from studio.blanks.figure import draw
from studio.blanks.pictures import sheets
from studio.blanks.request import BlanksRequest
from studio.blanks.results import collect
from studio.blanks.setup import LEVELS, Setup, set_up
from studio.blanks.table import save_csv, text_table
from studio.blanks.unit import Worker
from studio.output import output_folder, save_json
from studio.progress import Progress
from studio.runs.folder import Key, RunFolder


def fill_blanks(request: BlanksRequest, echo: Callable[[str], object]) -> None:
    """Fill in every image in every way, and write tables and figures; ``echo`` gets the table.

    Every image is kept as soon as it is done: the same command goes on where it was.

    Raises:
        ValueError: If something asked for is unknown or impossible, or the folder holds another run.
    """
    require_extra("blanks", "infill fill-blanks")
    with output_folder(request.out) as output:
        setup = set_up(request)
        folder, worker = RunFolder(request.out, setup.settings), Worker(setup)
        folder.begin()
        keys = [(number, name) for name in setup.variants for number in setup.numbers(name)]
        pending = [key for key in keys if folder.load(key) is None]
        total, done = sum(_masks(setup, key) for key in pending), 0
        with Progress() as progress:
            progress.plan(total, "masks")
            with progress.run(f"{setup.data.title}, {len(setup.variants)} ways"):
                for key in pending:
                    folder.save(key, *worker(key))
                    done += _masks(setup, key)
                    progress(done, total)
        results = collect(folder, setup)
        drawn = {
            f"{name}.png": partial(draw, *sheet) for name, sheet in sheets(results, folder, worker).items()
        }
        paths = output.publish(
            {
                "fill-blanks.csv": partial(save_csv, results, setup),
                "fill-blanks.json": partial(save_json, results.as_json(setup)),
                **drawn,
            }
        )
    echo(text_table(results, setup))
    for path in folder.damaged:
        echo(f"  damaged, and done again: {path}")
    echo("  " + " ".join(str(path) for path in paths))


def _masks(setup: Setup, key: Key) -> int:
    """Return what a unit costs, in masks of first order."""
    variant = setup.variants[key[1]]
    first = variant.update == "first"
    if isinstance(variant, ProgressiveBlanks):
        return variant.parts * (2 + len(LEVELS)) if first else 2 * variant.parts * 2 * variant.steps
    return variant.correct if first else variant.correct * 2 * variant.steps
