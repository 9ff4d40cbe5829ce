"""The job of ``infill doctor``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from studio.doctor import kept, machine, packages
from studio.doctor.line import Line


def doctor(metrics: Collection[str], echo: Callable[[str], object]) -> list[Line]:
    """Tell how everything stands, a line each, as soon as it is known; return the lines that say broken.

    Args:
        metrics: The names of infill's own metrics, which plugins cannot take.
        echo: Gets the lines.
    """
    broken = []
    for line in _lines(metrics):
        echo(str(line))
        if line.broken:
            broken.append(line)
    return broken


def _lines(metrics: Collection[str]) -> Iterator[Line]:
    yield machine.python()
    core = packages.core()
    yield from core
    yield from packages.extras()
    if not any(line.broken for line in core):  # all below needs torch
        yield from packages.plugins(metrics)
        checks: tuple[Callable[[], Iterable[Line]], ...] = (
            machine.devices,
            lambda: [machine.threads(), machine.instructions()],
            lambda: [machine.precision()],
        )
        for check in checks:
            yield from _survived(check)
    yield from kept.weights()
    yield kept.network()
    yield from kept.caches()


def _survived(check: Callable[[], Iterable[Line]]) -> Iterator[Line]:
    """Yield a check's lines; one that fails is a line itself, for this is what the command is for."""
    try:
        yield from check()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        yield Line(
            "torch",
            f"fails here ({type(error).__name__}: {reason})",
            "torch's own documentation",
            broken=True,
        )
