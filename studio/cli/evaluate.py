"""The command ``infill evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from studio.cli import completion
from studio.cli.options import (
    AGAINST,
    FILES,
    FILL_CACHE,
    IMAGES,
    MULTI_LABEL,
    RUN,
    RUNTIME,
    SAMPLES,
    SET,
    STRIPS,
    WORKERS,
    batch_size,
    chosen,
    stoppable,
    with_options,
)
from studio.evaluate.request import EvaluateRequest


@click.command("evaluate")
@click.argument("data", metavar="DATA")
@with_options(
    click.option(
        "--method",
        "methods",
        shell_complete=completion.METHOD,
        multiple=True,
        help="See `infill list`; NAME/FILLER,... for a method with fillers of its own, as in mp/blur.",
    ),
    click.option(
        "--filler",
        "fillers",
        shell_complete=completion.FILLER,
        multiple=True,
        help="With which all other methods run.",
    ),
    click.option(
        "--metric",
        "metrics",
        shell_complete=completion.METRIC,
        multiple=True,
        help="See `infill list`; NAME:FILLER for one that removes, as in deletion:inpaint (else gray).",
    ),
    click.option(
        "--preset",
        shell_complete=completion.PRESET,
        help="What is run where you name nothing: quick, paper-a, paper-b or paper-c. [default: quick]",
    ),
    click.option("--paper", is_flag=True, help="Methods at their papers' sizes, in float32."),
    click.option(
        "--baselines/--no-baselines",
        default=True,
        show_default=True,
        help="Judge the image's center, a random map, the annotated object and all but it beside.",
    ),
    *IMAGES,
    click.option(
        "--largest-box",
        type=float,
        metavar="SHARE",
        help="Only images where the boxes of the class cover at most this share. "
        "[default: all; with paper-c 0.5]",
    ),
    click.option(
        "--classifier",
        shell_complete=completion.CLASSIFIER,
        help="Whose decisions are explained: see `infill list`. [default: scenes, or mobilenet_v2]",
    ),
    click.option("--weights", type=FILES, help="The classifier's weights."),
    MULTI_LABEL,
    click.option(
        "--target",
        help="Explain this of every image: a class, or box:LABEL, region:LABEL, text:TEXT, like:IMAGE, "
        "output:INDEX. [default: the class that the data says]",
    ),
    AGAINST,
    click.option(
        "--attack",
        metavar="NAME:EPSILON",
        help="Change every image against its class before it is explained: fgsm:0.01, or pgd:0.01:20 with so "
        "many steps [10]; epsilon is the most that a value in [0, 1] changes. `infill report` of this run "
        "and one without says what is kept of the pointing accuracy.",
    ),
    *WORKERS,
    SAMPLES,
    *RUN,
    RUNTIME,
    batch_size(EvaluateRequest),
    SET,
    *FILL_CACHE,
    STRIPS,
)
def evaluate(strips: int, **options: Any) -> None:
    """Run every method with every filler on every image, and judge the heatmaps by every metric.

    DATA is as for `infill realism`. Every heatmap and its figures are kept in --out as soon as they are
    there: killed at any moment, the same command goes on, and ends with the same tables. At the end it
    writes what `infill report` does.
    """
    with stoppable():
        from studio.evaluate.run import evaluate as run
        from studio.report.run import report

        request = EvaluateRequest(**chosen(options))
        run(request, click.echo)
        report([Path(request.out)], request.out, strips, click.echo)
