"""Who does the work: this process, or processes of Ray, on this machine or on a cluster."""

from __future__ import annotations

import math
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from infill.extras import optional
from studio.memory import LackingMemoryError
from studio.runs.request import WorkersRequest

Item = TypeVar("Item")
Done = TypeVar("Done")

Make: TypeAlias = Callable[[], Callable[[Any], Any]]
"""Makes what does items, in the process that is to do them; it is sent there, and must be picklable."""
Doing: TypeAlias = Callable[[Iterable[Any]], Iterator[tuple[Any, Any]]]
"""Does items, and yields each with what came of it, in any order."""

RETRIES = 3
"""How often a unit is tried again after its process has died."""


def require_workers(request: WorkersRequest) -> None:
    """Find out before any work is done whether the processes that are asked for can be had.

    Raises:
        ValueError: If their number is negative, or Ray is not installed.
    """
    if request.workers < 0:
        raise ValueError(f"--workers: expected 0 or more, got {request.workers}")
    if request.shared:
        installed()


@contextmanager
def doing(request: WorkersRequest, make: Make, here: Callable[[Any], Any]) -> Iterator[Doing]:
    """Yield what does items: ``here``, in this process, or those that were asked for, in theirs.

    Raises:
        ValueError: As for `Workers.sharing`.
    """
    if not request.shared:
        yield lambda items: _here(here, items)
        return
    with Workers(request.workers or 1, request.ray).sharing(make) as share:
        yield share


def _here(do: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    planned = list(items)
    return zip(planned, map(do, planned), strict=True)  # no call of ours between an item and its doing


@dataclass(frozen=True)
class Workers:
    """Processes of Ray.

    Attributes:
        count: How many; each on one thread of a core, with a share of the GPUs where there are any.
        address: Of a cluster; ``None``: this machine, where Ray is started for this run alone.
    """

    count: int
    address: str | None = None

    @contextmanager
    def sharing(self, make: Make) -> Iterator[Doing]:
        """Start the processes, and yield a function that does items, and yields each with what came of it.

        They come as they are done. A process that dies is started again, and its item done again.

        Raises:
            ValueError: If Ray is not installed, or the cluster cannot be reached.
            MemoryError: If processes die of want of memory again and again.
        """
        ray = installed()
        self._connect(ray)
        actors: list[Any] = []

        def share(items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
            planned = list(items)
            if planned and not actors:  # once for all that is shared
                actors.extend(self._actors(ray, make))
            return _done(ray, actors, planned)

        try:
            yield share
        finally:
            ray.shutdown()

    def _connect(self, ray: Any) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if self.address is None:
            options |= {"num_cpus": self.count, "include_dashboard": False}
        try:
            _reach(self.address)
            ray.init(address=self.address or "local", **options)
        except (OSError, ValueError, RuntimeError) as error:
            where = "on this machine" if self.address is None else f"at {self.address}"
            raise ValueError(f"--ray: no cluster {where} ({_first_line(error)})") from error

    def _actors(self, ray: Any, make: Make) -> list[Any]:
        actor = ray.remote(_Actor).options(
            num_cpus=1,
            num_gpus=gpus_each(int(ray.cluster_resources().get("GPU", 0)), self.count),
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
        return [actor.remote(make) for _ in range(self.count)]


def gpus_each(gpus: int, workers: int) -> float:
    """Return how many GPUs each of some workers asks for.

    A part of one, so that as few as can be share it, or whole ones: Ray puts all that a worker asks for in
    parts on one GPU.
    """
    if not gpus:
        return 0.0
    return float(gpus // workers) if workers <= gpus else 1 / math.ceil(workers / gpus)


class _Actor:
    """Lives in a process of Ray's."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._made: Callable[[Any], Any] | None = None

    def do(self, item: Any) -> Any:
        if self._made is None:  # with the first item: what is wrong is then told as it is
            import torch

            torch.set_num_threads(1)
            self._made = self._make()
        return self._made(item)

    def process(self) -> int:
        """Return the number of the process."""
        return os.getpid()


def _done(ray: Any, actors: list[Any], items: Sequence[Item]) -> Iterator[tuple[Item, Any]]:
    """Give every actor an item as soon as it is there, and another one when that is done.

    There may be no room for all of them, now or ever: nobody waits for those once nothing is left to give.
    """
    waiting = deque(items)
    busy: dict[Any, tuple[Any, Item]] = {}
    coming = {actor.process.remote(): actor for actor in actors} if waiting else {}
    while busy or waiting:
        (first, *_), _ = ray.wait([*busy, *coming], num_returns=1)
        if first in coming:
            _give(coming.pop(first), waiting, busy)
            continue
        actor, item = busy.pop(first)
        found = _found(ray, first, item)
        _give(actor, waiting, busy)
        yield item, found


def _found(ray: Any, first: Any, item: Any) -> Any:
    """Return what came of an item.

    Raises:
        LackingMemoryError: If its process died of want of memory again and again.
        OSError: If it died of something else.
    """
    try:
        return ray.get(first)
    except ray.exceptions.OutOfMemoryError as error:
        raise LackingMemoryError(
            "a worker ran out of memory; try a smaller --batch-size, or fewer --workers"
        ) from error
    except ray.exceptions.RayActorError as error:
        raise OSError(f"a worker died {RETRIES + 1} times at {item} ({_first_line(error)})") from error
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else error from None


def _give(actor: Any, waiting: deque[Any], busy: dict[Any, Any]) -> None:
    if waiting:
        item = waiting.popleft()
        busy[actor.do.remote(item)] = (actor, item)


def _reach(address: str | None) -> None:
    """Knock at HOST:PORT: Ray itself would try for minutes.

    Raises:
        OSError: If nobody answers.
    """
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.removeprefix("ray://").strip("[]"), int(port)), timeout=5).close()


def installed() -> Any:
    """Return Ray.

    Raises:
        ValueError: If it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Under `uv run` Ray would build every worker an environment of its own, for minutes; this one is right.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    return optional("ray", "work in several processes (--workers, --ray)")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200]
