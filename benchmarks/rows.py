"""Rows of a benchmark that are written as they come, with the conditions of each; none is lost."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.report import processor, table, write

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass
class Rows:
    """A table that is written anew after every part.

    Attributes:
        name: Of its file in ``results``.
        title: Of its page.
        command: What made it.
        header: Of its columns, but for the last one, the conditions.
        about: What stands below the table.
        packages: Whose versions are told; one that is not installed is told so.
    """

    name: str
    title: str
    command: str
    header: Sequence[str]
    about: str
    packages: Sequence[str]
    rows: list[list[object]] = field(default_factory=list)

    def part(self, name: str, job: Callable[[], Iterable[Sequence[object]]]) -> None:
        """Add the rows of a part as they come; what cannot be measured is a row that says why.

        Raises:
            KeyboardInterrupt: If the user stops it; the rows so far are written.
        """
        try:
            for row in job():
                self._add(row)
        except KeyboardInterrupt:
            self._add([name, "interrupted"])
            raise
        except Exception as error:  # a peer may fail in any way
            reason = str(error).strip().splitlines() or [""]
            self._add([name, f"not measured: {type(error).__name__}: {reason[0][:120]}"])

    def _add(self, row: Sequence[object]) -> None:
        width = len(self.header)
        self.rows.append([*row, *[""] * (width - len(row)), conditions()])
        print(" | ".join(map(str, self.rows[-1])), flush=True)
        body = table([*self.header, "conditions"], self.rows)
        body = f"{body}\n\n{machine(self.packages)}\n{self.about}"
        write(self.name, self.title, self.command, body, (), shown=False)


def conditions() -> str:
    """Return what a row was measured under: ``A, 1 thread, load 2.1``."""
    threads = torch.get_num_threads()
    return f"A, {threads} thread{'s' * (threads > 1)}, load {os.getloadavg()[0]:.1f}"


def machine(packages: Sequence[str]) -> str:
    """Return what the letter in the conditions means: processor, instruction sets, versions."""
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"A: {processor()}, {capability}; Python {platform.python_version()}, {versions}."


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def peak_of(job: Callable[[], object]) -> float:
    """Return by how many MiB this process grew at most while a job ran; nan where Linux does not tell."""
    gc.collect()  # or what is collected meanwhile makes room
    _give_back()
    try:
        _RESET.write_text("5")  # the peak is counted from here on
        before = _kilobytes("VmRSS")
        job()
        return max(0, _kilobytes("VmHWM") - before) / 1024
    except OSError:
        job()
        return float("nan")


def process_peak() -> float:
    """Return the most MiB that this process has had; nan where Linux does not tell.

    Not ``ru_maxrss``: that counts the memory of the parent, from which a process was forked.
    """
    try:
        return _kilobytes("VmHWM") / 1024
    except OSError:
        return float("nan")


def _give_back() -> None:
    """Return what earlier jobs have left in the heap, or this one takes it and seems to need nothing."""
    with suppress(OSError, AttributeError):  # another C library than GNU's
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _kilobytes(name: str) -> int:
    return int(re.findall(rf"{name}:\s+(\d+) kB", _STATUS.read_text())[0])
