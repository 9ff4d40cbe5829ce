"""What is found is kept as it comes; in the end it is a Markdown table with machine, versions and command."""

import argparse
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
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


def commit() -> str:
    """The short hash of the checkout, with a plus sign when files have been changed."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, cwd=RESULTS.parent
    )
    return described.stdout.strip() or "unknown"


def command(module: str, parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """Return the command that was given, without what it need not say."""
    words = ["python -m", module]
    for name, value in vars(options).items():
        if value != parser.get_default(name):
            option = "--" + name.replace("_", "-")
            values = value if isinstance(value, list) else [value]
            words += [option if each is True else f"{option} {each}" for each in values]
    return " ".join(words)


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
    """Write `results/NAME.md` and print it, if it is to be shown."""
    versions = [f"{package} {version(package)}" for package in packages]
    machine = f"{processor()}; {', '.join([f'Python {platform.python_version()}', *versions])}"
    head = f"# {title}\n\n`{command}` at {commit()}, on {machine}.\n\n"
    RESULTS.mkdir(exist_ok=True)
    unfinished = RESULTS / f"{name}.part"
    unfinished.write_text(head + body.rstrip() + "\n")
    unfinished.replace(RESULTS / f"{name}.md")
    if shown:
        print(head + body)
