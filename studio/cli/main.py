"""The command ``infill``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from studio import version
from studio.cli.options import FILES, HOW, WHAT, Terminated, given, said, stoppable
from studio.cli.realism import realism
from studio.cli.train import train
from studio.cli.weights import weights


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), prog_name="infill")
def infill() -> None:
    """Explain an image classifier by removing parts of the image."""


@infill.command()
@click.argument("images", nargs=-1, type=FILES, metavar="[IMAGE]...")
@given(
    *WHAT,
    click.option(
        "--method",
        "methods",
        multiple=True,
        help="See `infill list`; may be given more than once. [default: sp, lime, rise]",
    ),
    click.option(
        "--filler",
        "fillers",
        multiple=True,
        help="What fills the holes; see `infill list`. [default: gray, blur, inpaint]",
    ),
    *HOW,
    click.option("--paper", is_flag=True, help="The papers' settings; else quicker ones (it says which)."),
    click.option("--trace", is_flag=True, help="Also write the steps of optimizing methods as GIFs."),
)
def explain(**asked: Any) -> None:
    """Explain IMAGEs (or a drawn scene) with every method and every filler.

    Writes explain.png, heatmaps.npz and explain.json; with several images, into a folder for each.
    """
    _one_source(asked["images"], asked["scene"])
    with stoppable():
        from studio.explain.explain import explain as run
        from studio.explain.request import ExplainRequest

        run(ExplainRequest(**said(asked)), click.echo)


@infill.command()
@click.argument("image", required=False, type=FILES)
@given(
    *WHAT,
    click.option(
        "--method", default="mp2", show_default=True, help="An optimizing method; see `infill list`."
    ),
    click.option(
        "--filler", default="inpaint", show_default=True, help="What fills the hole; see `infill list`."
    ),
    *HOW,
)
def counterfactual(image: Path | None, method: str, filler: str, **asked: Any) -> None:
    """Find the smallest removal that takes the class of IMAGE (or a drawn scene) away.

    Writes counterfactual.png, and by itself the image without the class as counterfactual-image.png and what
    was removed (white) as hole.png, both as the classifier sees them; counterfactual.json holds the numbers.
    """
    images = (image,) if image else ()
    _one_source(images, asked["scene"])
    with stoppable():
        from studio.explain.counterfactual import counterfactual as run
        from studio.explain.request import ExplainRequest

        run(ExplainRequest(images=images, methods=(method,), fillers=(filler,), **said(asked)), click.echo)


def _one_source(images: Sequence[Path], scene: int | None) -> None:
    if images and scene is not None:
        raise click.UsageError("give images or --scene, not both")


@infill.command("list")
@click.option("--all", "every", is_flag=True, help="Also name every torchvision network.")
def listing(every: bool) -> None:
    """List methods, fillers and classifiers, and which weights are here."""
    from studio.cli.listing import lines

    for line in lines(every):
        click.echo(line)


infill.add_command(realism)
infill.add_command(train)
infill.add_command(weights)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; whatever is wrong with what was asked for ends in one line and exit code 2.

    With ``INFILL_TRACEBACK`` set, errors come with a traceback instead.
    """
    try:
        infill.main(arguments, prog_name="infill", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt) as stop:
        _end("stopped; nothing is left half-written", 143 if isinstance(stop, Terminated) else 130)
    except click.ClickException as error:
        _end(error.format_message(), 2)
    except (ValueError, OSError) as error:
        _end(str(error), 2, error)
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        _end("out of memory; try a smaller --batch-size", 2, error)


def _end(message: str, code: int, error: BaseException | None = None) -> NoReturn:
    if error is not None and os.environ.get("INFILL_TRACEBACK"):
        raise error
    click.echo(f"infill: {' '.join(message.split())}", err=True)
    sys.exit(code)
