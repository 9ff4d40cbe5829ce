"""What is found is kept as it comes; in the end it is a Markdown table with machine, versions and command.

What stands below the heading "Notes" of a page is written by hand, and outlives the next run.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
NOTES = "## Notes"
Found = Mapping[str, np.ndarray]


def processor() -> str:
    """The processor's name and the matrix extensions that matter here."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = next(
        (line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")),
        platform.processor(),
    )
    flags = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in text]
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {' '.join(flags) or 'no bfloat16 instructions'}"


@cache
def commit() -> str:
    """The short hash of the checkout, with a plus sign when files have been changed, other than results.

    It is asked for once: what a run has written, or is changed while it runs, made none of its figures.
    """

    def git(*words: str) -> str:
        said = subprocess.run(["git", *words], capture_output=True, text=True, cwd=RESULTS.parent)
        return said.stdout.strip()

    others = (":(top)", f":(exclude){RESULTS.name}")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", *others)
    return f"{git('describe', '--always') or 'unknown'}{'+' if changed else ''}"


def launch(main: Callable[[], None]) -> None:
    """Run a benchmark from its command: the commit is that of the start, and what is asked wrongly one line.

    Raises:
        SystemExit: With 2, where something asked for cannot be.
    """
    commit()
    try:
        main()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def command(
    module: str,
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    without: Collection[str] = (),
) -> str:
    """Return the command that was given, for a shell, without what it need not say.

    ``without`` names options that change nothing of what is measured.
    """
    words = ["python -m", module]
    for action in parser._actions:
        value = getattr(options, action.dest, action.default)
        if value != action.default and action.dest not in without:
            words += _option(action, value)
    return " ".join(words)


def _option(action: argparse.Action, value: object) -> list[str]:
    flag = action.option_strings[-1]
    if action.nargs == 0:
        return [flag]
    values = [shlex.quote(str(each)) for each in (value if isinstance(value, list) else [value])]
    one_by_one = isinstance(value, list) and action.nargs is None
    return [f"{flag} {each}" for each in values] if one_by_one else [flag, *values]


def kept(path: Path, job: Callable[[], Found]) -> Found:
    """What `job` found, or had found when it was last asked for."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.npz")
        np.savez_compressed(unfinished, **dict(job()))  # type: ignore[arg-type]
        unfinished.replace(path)
    with np.load(path) as arrays:
        return dict(arrays)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def write(
    name: str,
    title: str,
    command: str,
    body: str,
    packages: Sequence[str] = ("torch", "torchvision"),
    shown: bool = True,
) -> None:
    """Write `results/NAME.md` over what was there, but for its notes, and print it, if it is to be shown."""
    versions = [f"{package} {version(package)}" for package in packages]
    machine = f"{processor()}; {', '.join([f'Python {platform.python_version()}', *versions])}"
    head = f"# {title}\n\n`{command}` at {commit()}, on {machine}.\n\n"
    RESULTS.mkdir(exist_ok=True)
    unfinished = RESULTS / f"{name}.part"
    by_hand = notes(name)
    unfinished.write_text(head + body.rstrip() + "\n" + by_hand)
    unfinished.replace(RESULTS / f"{name}.md")
    if shown:
        print(head + body)
        print(f"\nThe notes of {name}.md were kept: do they still hold?" if by_hand else "")


def notes(name: str) -> str:
    """Return what stands below "Notes" of the page that is there, with this heading; nothing without it."""
    page = RESULTS / f"{name}.md"
    _, heading, text = (page.read_text() if page.exists() else "").partition(f"\n{NOTES}\n")
    return heading + text
