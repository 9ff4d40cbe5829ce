"""The command ``infill doctor``."""

from __future__ import annotations

import click

from studio.cli.options import stoppable
from studio.output import IncompleteError


@click.command()
def doctor() -> None:
    """Tell what is installed, what there is to compute with and what is kept, with what helps if it is amiss.

    A line for each thing; behind -> is what to do. Ends with exit code 1 only if infill cannot work at all.
    """
    with stoppable():
        from studio.doctor.run import doctor as job
        from studio.evaluate.metrics import METRICS

        ours = [name for name, metric in METRICS.items() if not metric.origin]
        if broken := job(ours, click.echo):
            raise IncompleteError(f"infill cannot work here: {'; '.join(each.state for each in broken)}")
