"""The command ``infill report``."""

from __future__ import annotations

from pathlib import Path

import click

from studio.cli.options import FILES, STRIPS, stoppable, with_options
from studio.report import TOGETHER


@click.command("report")
@click.argument("runs", metavar="RUN...", nargs=-1, type=FILES, required=True)
@with_options(
    click.option(
        "--out",
        type=FILES,
        help=f"Where the report goes. [default: into RUN; of several, {TOGETHER}]",
    ),
    STRIPS,
)
def report(runs: tuple[Path, ...], out: Path | None, strips: int) -> None:
    """Show what runs of `infill evaluate` have found, done or not yet.

    Prints the tables; writes report.html, report.md, report.tex, report.csv, report-differences.csv
    and report.json.
    """
    with stoppable():
        from studio.report.run import report as job

        job(runs, out, strips, click.echo)
