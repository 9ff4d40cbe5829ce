"""The command ``infill studio``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from infill.extras import require_extra
from studio.cli import completion
from studio.cli.options import FILES, MULTI_LABEL, chosen, stoppable, with_options


@click.command()
@with_options(
    click.option(
        "--run",
        type=FILES,
        help="Also show what a folder of `infill evaluate` or `infill realism` holds.",
    ),
    click.option(
        "--classifier",
        shell_complete=completion.CLASSIFIER,
        help="Offer this one, too: see `infill list`. [default: scenes, and those whose weights are here]",
    ),
    click.option("--weights", type=FILES, help="The classifier's weights."),
    MULTI_LABEL,
    click.option(
        "--device",
        default="auto",
        show_default=True,
        help="cpu, cuda, ...; auto takes a GPU if there is any.",
    ),
    click.option(
        "--host", default="127.0.0.1", show_default=True, help="Where it listens; 0.0.0.0: to everybody."
    ),
    click.option(
        "--port", type=click.IntRange(1, 65535), help="[default: the first that is free from 7860 on]"
    ),
    click.option("--password-file", type=FILES, help="What this file holds must be known to come in."),
    click.option(
        "--browser/--no-browser", default=True, help="Open the page in a browser.  [default: open it]"
    ),
)
def studio(password_file: Path | None, **options: Any) -> None:
    """Look at one picture in the browser: draw holes, see every filler, explain, compare.

    Serves a page on this machine, for it alone, until Ctrl+C.
    """
    require_extra("web", "infill studio")
    with stoppable():
        from studio.web.server import StudioRequest, serve

        serve(StudioRequest(**chosen(options), password=_password(password_file)), click.echo)


def _password(path: Path | None) -> str | None:
    """Return what a file holds, without the end of its line.

    Raises:
        ValueError: If it cannot be read, or nothing is in it.
    """
    if path is None:
        return None
    try:
        text = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--password-file: {path} cannot be read ({error})") from error
    if not text:
        raise ValueError(f"--password-file: {path} is empty; write the password into it")
    return text
