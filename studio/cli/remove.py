"""The command ``infill remove``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from studio.cli import completion
from studio.cli.options import (
    FILES,
    IMAGE,
    RUN,
    SET,
    TARGET,
    batch_size,
    check_sources,
    chosen,
    stoppable,
    with_options,
)
from studio.explain.request import COMPLETING, ExplainRequest


@click.command()
@click.argument("image", required=False, type=FILES)
@with_options(
    *IMAGE,
    click.option(
        "--hole",
        type=FILES,
        metavar="FILE",
        help="A picture of the hole: white where pixels are removed, black elsewhere, of the size of the "
        "photograph or of the classifier's view.",
    ),
    click.option(
        "--box",
        "boxes",
        multiple=True,
        metavar="X0,Y0,X1,Y1",
        help="Remove this box, in pixels; may be given more than once.",
    ),
    click.option(
        "--where",
        type=click.Choice(["photograph", "view"]),
        help="Of which image the hole's pixels are. [default: boxes of the photograph; a picture of what it "
        "has the size of]",
    ),
    click.option(
        "--filler",
        "fillers",
        shell_complete=completion.FILLER,
        multiple=True,
        help="What fills the hole; see `infill list`; may be given more than once. "
        f"[default: {', '.join(COMPLETING)}]",
    ),
    *TARGET,
    *RUN,
    batch_size(ExplainRequest),
    SET,
)
def remove(
    image: Path | None, hole: Path | None, boxes: tuple[str, ...], where: str | None, **options: Any
) -> None:
    """Remove a hole that you have drawn from IMAGE (or a drawn scene): what does the classifier see then?

    Each filler completes the hole. Writes remove.png, which shows all of it with the probabilities, and by
    itself, as the classifier sees them, original.png, hole.png and the completions; remove.json holds the
    numbers.
    """
    images = () if image is None else (image,)
    check_sources(images, options["scene"])
    with stoppable():
        from studio.explain.drawn import drawn, parse_box
        from studio.explain.remove import remove as do
        from studio.explain.remove import removing

        given = drawn(hole, [parse_box(text) for text in boxes], where)
        do(removing(ExplainRequest(images=images, **chosen(options)), given, click.echo), click.echo)
