"""The command ``infill fill-blanks``."""

from __future__ import annotations

from typing import Any

import click

from studio.blanks.request import CORRECT, FILLER, PAPERS, BlanksRequest
from studio.cli.options import (
    FILES,
    RUN,
    SET,
    batch_size,
    chosen,
    default,
    stoppable,
    with_options,
)


@click.command("fill-blanks")
@click.argument("data", metavar="DATA")
@with_options(
    click.option(
        "--filler", "fillers", multiple=True, help=f"What stands in the blanks. [default: {FILLER}]"
    ),
    click.option(
        "--classifier",
        help="Whose updates they are. [default: one is trained and kept in --out; scenes: its own]",
    ),
    click.option("--weights", type=FILES, help="The classifier's weights."),
    click.option("--limit", type=int, help="Only the first so many images, of all classes in turn."),
    click.option(
        "--ablations",
        type=click.IntRange(0),
        default=default(BlanksRequest, "ablations"),
        show_default=True,
        help="Images with which ratios, patches and orders are compared; 0: none.",
    ),
    click.option(
        "--paper",
        is_flag=True,
        help=f"Average {PAPERS} masks of each image, as the paper does; else {CORRECT}.",
    ),
    click.option("--download", is_flag=True, help="Let torchvision fetch data that is not here."),
    *RUN,
    batch_size(BlanksRequest),
    SET,
)
def fill_blanks(**options: Any) -> None:
    """Ask a classifier how it would fill in what is hidden, and whether it knows again what comes of that.

    DATA is digits (scikit-learn's), mnist[:FOLDER] or fashion-mnist[:FOLDER] (torchvision's, if here), or
    scenes[:N]. Writes fill-blanks.json, fill-blanks.csv and a figure each of the prototypes, progressive
    filling, the orders, and the ablations. Can be broken off: the same command goes on where it was. Without
    --precision all of it is computed in float32.
    """
    with stoppable():
        from studio.blanks.run import fill_blanks as run

        run(BlanksRequest(**chosen(options)), click.echo)
