"""Tell how a long job goes: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

EVERY = 30.0
"""Seconds between lines that tell the time left."""

_UNITS = {"composites": "img"}


class Progress:
    """Counts composites, or other things, over all runs of a job, on stderr.

    On a terminal one bar shows the run, the rate and the time left of the whole job. Elsewhere each run ends
    with a line of its own, and every half minute a line says how long the job will still take.

    Args:
        quiet: Tells nothing, as in a process that nobody watches.
        passing: Tells nothing but by a bar on a terminal or in a notebook, for what takes more than a moment;
            when the job is done, it goes.
        brief: The bar is as a passing one's, and a run's end has no line; the time left has.
    """

    def __init__(self, quiet: bool = False, passing: bool = False, brief: bool = False) -> None:
        told = sys.stderr is not None  # as in a service, which has none
        watched = (told and sys.stderr.isatty()) or (passing and _notebook())
        quiet = quiet or not told
        self.live, self._quiet, self._passing = watched and not quiet, quiet or passing, passing
        self._brief, self._silent = brief or passing, quiet
        self._bar: Any = None
        self._total = self._done = self._before = 0
        self._name, self._things, self._begun = "", "composites", time.monotonic()
        self._told = self._begun

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def plan(self, total: int, things: str = "composites") -> None:
        """Say how many composites, or other things, the whole job has; the first word counts."""
        if self._bar is None:
            self._total, self._things = total, things
            self._bar = _bar_class(self.live)(
                desc=self._name or None,
                total=total,
                unit=_UNITS.get(things, "it"),
                dynamic_ncols=True,
                smoothing=0.05,
                disable=not self.live,
                leave=not self._brief,
                delay=1.0 if self._brief else 0.0,
            )

    @contextmanager
    def run(self, name: str, things: str = "") -> Iterator[Callable[[int], object]]:
        """One run of the job; a line tells its end if there is no bar.

        A run that ends early may tell what this yields how many composites there were, or other ``things``.
        """
        self._bar.set_description(name)
        self._name = name
        self._before, begun = self._done, time.perf_counter()
        counts: list[int] = []
        yield counts.append
        seconds, count = time.perf_counter() - begun, self._done - self._before
        count = counts[-1] if counts else count
        if not (self.live or self._quiet or self._brief):
            share = f"{100 * self._done // max(self._total, 1)} %"
            counted = f"{count} {things or self._things}"
            print(f"{share:>5}  {name}: {counted} in {seconds:.1f} s", file=sys.stderr, flush=True)

    def __call__(self, done: int, total: int) -> None:
        """Take note that so many of the run's composites are done."""
        step = self._before + done - self._done
        self._done += step
        self._bar.update(step)
        if not self.live and not self._quiet and time.monotonic() - self._told >= EVERY:
            self._tell_time_left()

    @contextmanager
    def aside(self, name: str, things: str) -> Iterator[Callable[[int, int], object]]:
        """Yield what is to be called with how many of how many things are done of what comes before the job.

        It has a brief bar of its own; how many there are is known with the first call.
        """
        with Progress(self._silent, self._passing, brief=True) as own:
            own._name = name

            def count(done: int, total: int) -> None:
                own.plan(total, things)
                own(done, total)

            yield count

    def _tell_time_left(self) -> None:
        from tqdm import tqdm

        self._told = time.monotonic()
        left = (self._told - self._begun) * max(self._total - self._done, 0) / max(self._done, 1)
        share = f"{100 * self._done // max(self._total, 1)} %"
        print(f"{share:>5}  {self._name}: {tqdm.format_interval(left)} left", file=sys.stderr, flush=True)


def _notebook() -> bool:
    """Whether a notebook shows what is printed."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def _bar_class(live: bool) -> Any:
    """Return tqdm; a notebook that has widgets gets a bar of its own."""
    if live and _notebook() and find_spec("ipywidgets"):
        from tqdm.notebook import tqdm as widget

        return widget
    from tqdm import tqdm

    return tqdm
