"""The command ``infill explain``."""

from __future__ import annotations

from typing import Any

import click

from studio.cli import completion
from studio.cli.options import (
    FILES,
    FILL_CACHE,
    FINAL,
    IMAGE,
    PAPER,
    RUN,
    RUNTIME,
    SAMPLES,
    SET,
    SEVERAL,
    TARGET,
    WORKERS,
    batch_size,
    check_sources,
    chosen,
    default,
    stoppable,
    with_options,
)
from studio.explain.request import FILLERS, ExplainRequest

_METHODS = ", ".join(default(ExplainRequest, "methods"))


@click.command()
@click.argument("images", nargs=-1, type=FILES, metavar="[IMAGE]...")
@with_options(
    *IMAGE,
    click.option(
        "--method",
        "methods",
        shell_complete=completion.METHOD,
        multiple=True,
        help=f"See `infill list`; may be given more than once. [default: {_METHODS}]",
    ),
    click.option(
        "--filler",
        "fillers",
        shell_complete=completion.FILLER,
        multiple=True,
        help=f"What fills the holes; see `infill list`. [default: {', '.join(FILLERS)}]",
    ),
    *TARGET,
    *RUN,
    RUNTIME,
    batch_size(ExplainRequest),
    SAMPLES,
    SET,
    *FILL_CACHE,
    FINAL,
    PAPER,
    *SEVERAL,
    *WORKERS,
    click.option(
        "--until",
        type=float,
        metavar="RELIABILITY",
        help="Sample until a map agrees so well with one of new samples, as 0.95 (rise, lime, pda, blanks; "
        "sp, where a filler draws).",
    ),
    click.option("--trace", is_flag=True, help="Also write the steps of optimizing methods as GIFs."),
)
def explain(**options: Any) -> None:
    """Explain IMAGEs (or a drawn scene) with every method and every filler.

    Writes explain.png, heatmaps.npz and explain.json; with several images, into a folder for each, when it is
    done. Can be broken off: the same command goes on where it was.
    """
    check_sources(options["images"], options["scene"])
    with stoppable():
        from studio.explain.explain import explaining
        from studio.explain.several import explain_each

        explain_each(explaining(ExplainRequest(**chosen(options)), click.echo), click.echo)
