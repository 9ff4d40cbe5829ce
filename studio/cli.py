"""The command ``infill``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from studio import version
from studio.train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), prog_name="infill")
def infill() -> None:
    """Explain an image classifier by removing parts of the image."""


_FILES = click.Path(path_type=Path)


@infill.command()
@click.argument("images", nargs=-1, type=_FILES, metavar="[IMAGE]...")
@click.option(
    "--scene", type=int, default=None, help="Explain this drawn scene, if no image is given. [default: 1]"
)
@click.option("--classifier", help="scenes, or a torchvision network such as resnet50. [default: scenes]")
@click.option("--weights", type=_FILES, help="The classifier's weights: safetensors, or a saved state dict.")
@click.option(
    "--method", "methods", multiple=True, help="sp, lime or rise; may be given more than once. [default: all]"
)
@click.option(
    "--filler",
    "fillers",
    multiple=True,
    help="What fills the holes; see `infill list`. [default: gray, blur, inpaint]",
)
@click.option(
    "--target", default="top1", show_default=True, help="The class to explain: index, name or top1."
)
@click.option("--out", type=_FILES, default="infill-out", show_default=True, help="Folder for the results.")
@click.option("--seed", type=int, default=0, show_default=True, help="For all that is drawn by chance.")
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, ...; auto takes a GPU if there is one."
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "auto"]),
    default="auto",
    show_default=True,
    help="auto is bfloat16 where the hardware has it.",
)
@click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Sets the memory needed."
)
@click.option("--set", "settings", multiple=True, metavar="NAME.FIELD=VALUE", help="As in --set sp.patch=41.")
@click.option("--paper", is_flag=True, help="The papers' settings; without it quicker ones (it says which).")
def explain(**asked: Any) -> None:
    """Explain IMAGEs (or a drawn scene) with every method and every filler.

    Writes explain.png, heatmaps.npz and explain.json; with several images, into a folder for each.
    """
    if asked["images"] and asked["scene"] is not None:
        raise click.UsageError("give images or --scene, not both")
    try:
        from studio.explain import Request
        from studio.explain import explain as run

        run(Request(**{key: value for key, value in asked.items() if value not in (None, ())}), click.echo)
    except KeyboardInterrupt:
        raise click.Abort from None  # click itself would add an empty line


@infill.command("list")
@click.option("--all", "every", is_flag=True, help="Also name every torchvision network.")
def listing(every: bool) -> None:
    """List methods, fillers and classifiers, and which weights are here."""
    from studio.listing import lines

    for line in lines(every):
        click.echo(line)


infill.add_command(train)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; whatever is wrong with what was asked for ends in one line and exit code 2.

    With ``INFILL_TRACEBACK`` set, errors come with a traceback instead.
    """
    try:
        infill.main(arguments, prog_name="infill", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        _end("stopped; nothing is left half-written", 130)
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
