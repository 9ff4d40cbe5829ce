"""Jobs that are compared take turns, so that a drift of the machine meets all of them."""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

_Result = TypeVar("_Result")
_Name = TypeVar("_Name", bound=Hashable)


def seconds(job: Callable[[], _Result]) -> tuple[float, _Result]:
    """Wall time of one call, and its result."""
    started = time.perf_counter()
    result = job()
    return time.perf_counter() - started, result


def turns(jobs: Mapping[_Name, Callable[[], object]], rounds: int) -> dict[_Name, list[float]]:
    """Wall times of jobs that take turns, after a warm-up of each."""
    for job in jobs.values():
        job()
    spent: dict[_Name, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            spent[name].append(seconds(job)[0])
    return spent


def fastest(jobs: Mapping[_Name, Callable[[], object]]) -> _Name:
    """Which job is fastest: of each the better of two turns counts, and not its first run."""
    spent = turns(jobs, 2)
    return min(spent, key=lambda name: min(spent[name]))


def ratios(over: Sequence[float], under: Sequence[float]) -> tuple[float, str]:
    """Median of the ratios round by round, and in words their range."""
    pairs = [a / b for a, b in zip(over, under, strict=True)]
    return statistics.median(pairs), f"{min(pairs):.2f} to {max(pairs):.2f}"
