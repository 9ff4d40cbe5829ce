"""The command ``infill list``."""

from __future__ import annotations

import click


@click.command("list")
@click.option("--all", "every", is_flag=True, help="Also name every torchvision network.")
@click.option("--long", is_flag=True, help="Also say what --set can set, and what it may be.")
def listing(every: bool, long: bool) -> None:
    """List methods, fillers and classifiers, and which weights are here."""
    from studio.cli.names import lines

    for line in lines(every, long):
        click.echo(line)
