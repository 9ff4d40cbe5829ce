"""The options that several commands share; their defaults are those of the requests."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import click

from studio.cli import completion
from studio.data.request import DataRequest
from studio.explain.request import ExplainRequest
from studio.registry.request import JobRequest

Option: TypeAlias = Callable[[Any], Any]
"""What adds an option to a command."""


class Files(click.Path):
    """A path; an empty text, as an unset variable of the shell leaves it, would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("expected a path, got ''", param, ctx)
        return super().convert(value, param, ctx)


FILES = Files(path_type=Path)


def default(request: type[JobRequest | DataRequest], field: str) -> Any:
    """Return the default of a request's field."""
    return next(each.default for each in fields(request) if each.name == field)


def batch_size(request: type[JobRequest]) -> Option:
    """Return the option of how many images are run at once."""
    return click.option(
        "--batch-size",
        type=click.IntRange(1, 4096),
        default=default(request, "batch_size"),
        show_default=True,
        help="Sets the memory needed.",
    )


MULTI_LABEL: Option = click.option(
    "--multi-label",
    is_flag=True,
    help="Its classes do not exclude each other: probabilities are sigmoids. [default: what it says itself]",
)

IMAGE: tuple[Option, ...] = (
    click.option(
        "--scene",
        type=int,
        help=f"Explain this drawn scene, if no image is given. [default: {default(ExplainRequest, 'scene')}]",
    ),
    click.option(
        "--classifier",
        shell_complete=completion.CLASSIFIER,
        help="scenes, a torchvision network such as resnet50, or timm:NAME, hf:FOLDER, file:PATH, ...: "
        "see `infill list`. [default: scenes for a scene; for photographs resnet50 or mobilenet_v2, if their "
        "weights are here]",
    ),
    click.option(
        "--weights", type=FILES, help="The classifier's weights: safetensors, or a saved state dict."
    ),
    MULTI_LABEL,
)
"""What is explained, and the classifier."""

RUNTIME: Option = click.option(
    "--runtime",
    type=click.Choice(["eager", "incremental", "openvino", "auto"]),
    default=default(JobRequest, "runtime"),
    show_default=True,
    help="What runs the classifier: torch; torch that computes only what a small hole changes (the same map, "
    "for sp and pda with most convolutional networks about twice as fast); or OpenVINO in float32, for "
    "methods without gradients. auto is incremental for sp and pda, and else OpenVINO where it is installed "
    "and can.",
)

WORKERS: tuple[Option, ...] = (
    click.option(
        "--workers", type=click.IntRange(1, 1024), help="Share the work among so many processes of Ray."
    ),
    click.option("--ray", metavar="ADDRESS", help="Of a cluster of Ray. [default: this machine]"),
)
"""Who does the work of many images."""

AGAINST: Option = click.option(
    "--against",
    metavar="CLASS",
    help="Explain why the target rather than this class, by their log-odds: index, name, top1, or next for "
    "the likeliest apart from the target.",
)

TARGET: tuple[Option, ...] = (
    click.option(
        "--target",
        default=default(ExplainRequest, "target"),
        show_default=True,
        help="The class to explain: index, name or top1; against:P,Q is --target P --against Q.",
    ),
    AGAINST,
)
"""What is explained."""

RUN: tuple[Option, ...] = (
    click.option(
        "--out",
        type=FILES,
        default=default(JobRequest, "out"),
        show_default=True,
        help="Folder for the results.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**63 - 1),
        default=default(JobRequest, "seed"),
        show_default=True,
        help="For all that is drawn by chance.",
    ),
    click.option(
        "--device",
        default=default(JobRequest, "device"),
        show_default=True,
        help="cpu, cuda, ...; auto takes a GPU if there is any.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16", "auto"]),
        default=default(JobRequest, "precision"),
        show_default=True,
        help="auto is bfloat16 where that is faster, but for inpainters whose weights are fetched.",
    ),
)
"""Where it runs, and where the results go."""

IMAGES: tuple[Option, ...] = (
    click.option(
        "--split",
        help="One of PASCAL VOC's lists, as Segmentation/val or Main/test (default: the validation list), "
        "or a split that boxes.csv names.",
    ),
    click.option(
        "--targets",
        type=click.Choice(["one", "every"]),
        default=default(DataRequest, "targets"),
        show_default=True,
        help="Of images that show several classes: the largest one, or every one in turn.",
    ),
    click.option(
        "--classes",
        multiple=True,
        metavar="CLASS",
        help="Only images of this class, by name or index; may be given more than once.",
    ),
    click.option("--sample", type=click.IntRange(1), help="Only so many images, drawn by --seed."),
    click.option("--limit", type=int, help="Only the first so many images."),
    click.option(
        "--correct-only",
        is_flag=True,
        help="Only images of which the classifier's first choice is what the data says.",
    ),
)
"""Which images of the data."""

FILL_CACHE: tuple[Option, ...] = (
    click.option(
        "--fill-cache",
        type=FILES,
        metavar="DIR",
        help="Keep fills in this folder, for commands that fill the same holes of the same images again.",
    ),
    click.option(
        "--fill-cache-size",
        type=float,
        default=default(JobRequest, "fill_cache_size"),
        show_default=True,
        help="Gigabytes that it may take; what was not asked for longest goes.",
    ),
)
"""What is filled once for several commands."""

STRIPS: Option = click.option(
    "--strips",
    type=click.IntRange(0),
    default=40,
    show_default=True,
    help="Images whose heatmaps the page shows.",
)

SAMPLES: Option = click.option(
    "--samples",
    type=click.IntRange(1),
    default=default(ExplainRequest, "samples"),
    show_default=True,
    help="Fills of each hole to average over, for fillers that draw (marginal, noise).",
)

FINAL: Option = click.option(
    "--final",
    shell_complete=completion.FILLER,
    metavar="FILLER",
    help="What fills and judges the hole that an optimizing method found, and widens it where the class "
    "comes back; none: what filled it during the search.",
)

PAPER: Option = click.option(
    "--paper",
    is_flag=True,
    help="The papers' settings, and their fillers, classifier, view and precision, where you name none; "
    "it says what still departs from them. Else quicker settings (it says which).",
)

SEVERAL: tuple[Option, ...] = (
    click.option("--again", is_flag=True, help="Do images again that are done with the same settings."),
    click.option("--strict", is_flag=True, help="Stop at the first of several images that is bad."),
)
"""What to do about several images."""

SET: Option = click.option(
    "--set", "settings", multiple=True, metavar="NAME.FIELD=VALUE", help="As in --set sp.patch=41."
)


def with_options(*options: Option) -> Option:
    """Give a command these options, in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def chosen(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that have a value; the rest is left to the request's own defaults."""
    return {key: value for key, value in options.items() if value not in (None, ())}


def check_sources(images: Sequence[Path], scene: int | None) -> None:
    """Check that there are images, or the number of a scene, before anything else is said of them.

    Raises:
        click.UsageError: If there are both.
        ValueError: If there is none of the images.
    """
    if images and scene is not None:
        raise click.UsageError("give images or --scene, not both")
    if images and not any(path.exists() for path in images):
        scene_text = re.fullmatch(r"scene:(\d+)", str(images[0]))  # as Python has it
        hint = f"; a scene is asked for with --scene {scene_text[1]}" if scene_text else ""
        raise ValueError(f"image: no such file: {images[0]}{hint}")


class Terminated(click.Abort):
    """A signal ended the job, as those who run it for somebody send it."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Let a key that stops the job, or a signal, end it quietly."""
    with _signals() as received:
        try:
            yield
        except (KeyboardInterrupt, Exception) as error:
            # A library may turn the interruption into an error of its own.
            if signal.SIGTERM in received:
                raise Terminated from None
            if received or isinstance(error, KeyboardInterrupt):
                raise click.Abort from None  # click itself would add an empty line
            raise


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Let the signals to end raise `KeyboardInterrupt`, and yield those that came.

    Only a main thread receives signals, and one that is ignored (as in a job in the background) stays so.
    """
    received: list[int] = []

    def interrupt(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    wanted = [signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        wanted = []
    elif signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        wanted.append(signal.SIGINT)
    before = {number: signal.signal(number, interrupt) for number in wanted}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
