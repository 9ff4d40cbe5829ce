"""The command ``infill counterfactual``."""

from __future__ import annotations

from pathlib import Path
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
    SAMPLES,
    SET,
    SEVERAL,
    TARGET,
    WORKERS,
    batch_size,
    check_sources,
    chosen,
    stoppable,
    with_options,
)
from studio.explain.request import FILLER, METHOD, PAPERS, ExplainRequest


@click.command()
@click.argument("images", nargs=-1, type=FILES, metavar="[IMAGE]...")
@with_options(
    *IMAGE,
    click.option(
        "--method",
        shell_complete=completion.SEARCHING,
        help="An optimizing method that removes (ssr and cem-positive keep); see `infill list`. "
        f"[default: {METHOD}; with --paper {PAPERS}]",
    ),
    click.option(
        "--filler",
        shell_complete=completion.FILLER,
        help=f"What fills the hole; see `infill list`. [default: {FILLER}; with --paper the paper's]",
    ),
    *TARGET,
    *RUN,
    batch_size(ExplainRequest),
    SAMPLES,
    SET,
    *FILL_CACHE,
    FINAL,
    PAPER,
    *SEVERAL,
    *WORKERS,
)
def counterfactual(images: tuple[Path, ...], method: str | None, filler: str | None, **options: Any) -> None:
    """Find the smallest removal that takes the class of each IMAGE (or of a drawn scene) away.

    Writes counterfactual.png, and by itself the image without the class as counterfactual-image.png and what
    was removed (white) as counterfactual-hole.png, both as the classifier sees them; counterfactual.json has
    the numbers.

    In a photograph, what inpaint has found is filled and judged by exemplar at the end, unless --final says
    otherwise: a search needs hundreds of fills, for which exemplar is slow.
    """
    check_sources(images, options["scene"])
    with stoppable():
        from studio.explain.counterfactual import removing
        from studio.explain.several import explain_each

        methods, fillers = ((text,) if text is not None else () for text in (method, filler))
        request = ExplainRequest(images=images, methods=methods, fillers=fillers, **chosen(options))
        explain_each(removing(request, click.echo), click.echo)
