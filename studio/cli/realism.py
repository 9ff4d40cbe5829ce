"""The command ``infill realism``."""

from __future__ import annotations

from typing import Any

import click

from studio.cli import completion
from studio.cli.options import (
    FILES,
    IMAGES,
    MULTI_LABEL,
    RUN,
    SET,
    WORKERS,
    Option,
    batch_size,
    chosen,
    default,
    stoppable,
    with_options,
)
from studio.realism.kinds import HOLE_KINDS
from studio.realism.request import FILLERS, ON_PHOTOGRAPHS, RealismRequest

_FILLERS = f"{', '.join(FILLERS)}; on photographs also {', '.join(ON_PHOTOGRAPHS)}"

HOLES: tuple[Option, ...] = (
    click.option(
        "--filler",
        "fillers",
        shell_complete=completion.FILLER,
        multiple=True,
        help=f"See `infill list`; may be given more than once. [default: {_FILLERS}]",
    ),
    click.option(
        "--holes",
        type=click.Choice(tuple(HOLE_KINDS)),
        help="What is removed. [default: silhouettes, boxes, or object with a segmenter: what is known]",
    ),
    click.option(
        "--grow",
        type=int,
        default=default(RealismRequest, "grow"),
        show_default=True,
        help="Widen silhouettes by so many pixels.",
    ),
    click.option(
        "--side",
        type=int,
        default=default(RealismRequest, "side"),
        show_default=True,
        help="Of squares, in pixels.",
    ),
    click.option(
        "--hole-area",
        type=float,
        metavar="PERCENT",
        help="Of holes in the background, in percent of the view. [default: as the shapes come]",
    ),
    click.option(
        "--segmenter",
        help="Finds objects: deeplabv3_resnet50, or hf:FOLDER: semantic, instances, or promptable (SAM).",
    ),
    click.option("--segmenter-weights", type=FILES, help="The segmenter's weights."),
    click.option("--segmenter-class", help="The class to remove. [default: each image's largest]"),
    click.option(
        "--segmenter-point",
        metavar="X,Y",
        help="Where a promptable segmenter finds the object, in fractions of the classifier's view. "
        "[default: in the annotated boxes; without any, 0.5,0.5, the center]",
    ),
)
JUDGES: tuple[Option, ...] = (
    click.option(
        "--classifier",
        shell_complete=completion.CLASSIFIER,
        help="Whose view it is: scenes, a torchvision network, or timm:NAME, hf:FOLDER, file:PATH, ...: "
        "see `infill list`. [default: scenes, or mobilenet_v2]",
    ),
    click.option("--weights", type=FILES, help="The classifier's weights."),
    MULTI_LABEL,
    click.option(
        "--judge",
        shell_complete=completion.CLASSIFIER,
        help="Another classifier, asked about the composites. [default: the same]",
    ),
    click.option("--judge-weights", type=FILES, help="The judge's weights."),
    click.option(
        "--labels",
        type=click.Choice(["data", "top1"]),
        help="Whose word counts for what an image shows. [default: the data's, if the classifier knows it]",
    ),
    click.option(
        "--lpips",
        type=click.Choice(["squeeze", "alex", "vgg"]),
        default=default(RealismRequest, "lpips"),
        show_default=True,
        help="LPIPS's backbone.",
    ),
    click.option(
        "--reference",
        metavar="DATA",
        help="Other, untouched images, to which Frechet and kernel distance are. [default: the same images]",
    ),
    click.option(
        "--strips",
        type=click.IntRange(1),
        default=default(RealismRequest, "strips"),
        show_default=True,
        help="Images to show.",
    ),
)


@click.command("realism")
@click.argument("data", metavar="DATA")
@with_options(
    *HOLES,
    *IMAGES,
    *JUDGES,
    *WORKERS,
    *RUN,
    batch_size(RealismRequest),
    SET,
)
def realism(**options: Any) -> None:
    """Fill the same holes in every way, and see what is left of the object and how real it looks.

    DATA is scenes[:N], scenes-two[:N] (two objects, each in turn), or a folder: images with masks/ or
    boxes.csv, ILSVRC, VOC, Places365's validation list, or images alone. Prints the table; writes
    realism.csv, realism.json and realism.png. Can be broken off: the same command goes on where it was.
    """
    with stoppable():
        from studio.realism.run import realism as run

        run(RealismRequest(**chosen(options)), click.echo)
