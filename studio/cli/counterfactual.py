"""The command ``infill counterfactual``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from studio.cli.options import (
    FILES,
    FINAL,
    IMAGE,
    RUN,
    SAMPLES,
    SET,
    TARGET,
    batch_size,
    chosen,
    require_one_source,
    stoppable,
    with_options,
)
from studio.explain.request import ExplainRequest


@click.command()
@click.argument("image", required=False, type=FILES)
@with_options(
    *IMAGE,
    click.option(
        "--method", default="mp2-descent", show_default=True, help="An optimizing method; see `infill list`."
    ),
    click.option(
        "--filler", default="inpaint", show_default=True, help="What fills the hole; see `infill list`."
    ),
    TARGET,
    *RUN,
    batch_size(ExplainRequest),
    SAMPLES,
    SET,
    FINAL,
)
def counterfactual(image: Path | None, method: str, filler: str, **options: Any) -> None:
    """Find the smallest removal that takes the class of IMAGE (or a drawn scene) away.

    Writes counterfactual.png, and by itself the image without the class as counterfactual-image.png and what
    was removed (white) as hole.png, both as the classifier sees them; counterfactual.json holds the numbers.

    In a photograph, what inpaint has found is filled and judged by exemplar at the end, unless --final says
    otherwise: a search needs hundreds of fills, for which exemplar is slow.
    """
    images = (image,) if image else ()
    require_one_source(images, options["scene"])
    with stoppable():
        from studio.explain.counterfactual import counterfactual as run

        run(
            ExplainRequest(images=images, methods=(method,), fillers=(filler,), **chosen(options)),
            click.echo,
        )
