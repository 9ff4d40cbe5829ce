"""The command ``infill``."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import click

from studio import version
from studio.cli.counterfactual import counterfactual
from studio.cli.doctor import doctor
from studio.cli.evaluate import evaluate
from studio.cli.explain import explain
from studio.cli.fill_blanks import fill_blanks
from studio.cli.listing import listing
from studio.cli.options import Terminated
from studio.cli.realism import realism
from studio.cli.remove import remove
from studio.cli.report import report
from studio.cli.studio import studio
from studio.cli.train import train
from studio.cli.weights import weights
from studio.memory import LackingMemoryError, lacks_memory
from studio.output import IncompleteError


def _say_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked or context.resilient_parsing:
        return
    from studio.doctor.build import torch_and_device

    click.echo(f"infill {version()}, {torch_and_device()}")
    context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Show versions and device.",
)
def infill() -> None:
    """Explain an image classifier by removing parts of the image."""


OURS = ("infill", "attribution", "models", "studio")
"""The packages whose warnings are for users."""

_COMMANDS = (
    explain, counterfactual, remove, evaluate, report, listing, realism, fill_blanks, studio, train, weights,
    doctor,
)  # fmt: skip
for command in _COMMANDS:
    infill.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; whatever is wrong with what was asked for ends in one line and exit code 2.

    With ``INFILL_TRACEBACK`` set, errors come with a traceback instead.
    """
    _prepare(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_ours
            infill.main(arguments, prog_name="infill", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt) as stop:
        _end("stopped; nothing is left half-written", 143 if isinstance(stop, Terminated) else 130)
    except IncompleteError as error:
        _end(str(error), 1)
    except click.ClickException as error:
        _refuse(error)
    except (ValueError, OSError) as error:
        _end(str(error), 2, error)
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        told = isinstance(error, LackingMemoryError)
        _end(str(error) if told else "out of memory; try a smaller --batch-size", 2, error)


def _prepare(arguments: Sequence[str]) -> None:
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # what matters is raised
    if "" not in sys.path and any("python:" in each for each in arguments):
        sys.path.append("")  # where the user's module is; last, so that nothing there hides a library
    if isinstance(sys.stdout, io.TextIOWrapper):  # which may know no arrow
        sys.stdout.reconfigure(errors="replace")


def _show_ours(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Show in a line what our own code warns of; advice of libraries to programmers is not for users."""
    if category.__module__.partition(".")[0] in OURS:
        click.echo(f"infill: {' '.join(str(message).split())}", err=True)


def _refuse(error: click.ClickException) -> NoReturn:
    """End as `_end` does; where a command is missing, help is shown as it is."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    _end(error.format_message(), 2)


def _end(message: str, code: int, error: BaseException | None = None) -> NoReturn:
    if error is not None and os.environ.get("INFILL_TRACEBACK"):
        raise error
    click.echo(f"infill: {' '.join(message.split())}", err=True)
    sys.exit(code)
