"""Long work for a page: one piece at a time for all, one a session, to be watched and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from studio.progress import Progress

MOST = 12
"""How many may wait."""
EVERY = 0.25
"""Seconds between two looks at a piece of work."""


class Stopped(Exception):  # noqa: N818  it is no error
    """Somebody has stopped the work."""


class Work:
    """A piece of work that runs in another thread.

    Attributes:
        done: How many of the ``total`` composites have been looked at.
        doing: What is being done, in a word or two.
        live: What the work shows while it is going on; it sets this itself.
        result: What came of it.
        error: What went wrong.
        stopped: Whether it was stopped before its end.
    """

    def __init__(self, do: Callable[[Work], Any]) -> None:
        self.done, self.total, self.doing = 0, 0, ""
        self.live: Any = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.stopped = False
        self.seconds = 0.0
        self._do, self._begun, self._counted, self._lock = do, 0.0, 0.0, threading.Lock()
        self._stop, self._changed, self.ended = threading.Event(), threading.Event(), threading.Event()

    @property
    def begun(self) -> bool:
        """Whether its turn has come."""
        return self._begun > 0

    @property
    def stopping(self) -> bool:
        """Whether it is to end: it may go on until the end of a batch."""
        return self._stop.is_set()

    @property
    def left(self) -> float | None:
        """Return how many seconds it will still take, if that can be told."""
        if not (self.done and self.total):
            return None
        return (time.monotonic() - self._counted) * (self.total - self.done) / self.done

    def stop(self) -> None:
        """Have it end at the next batch, or now, if its turn has not come."""
        with self._lock:
            self._stop.set()
            if not self.begun and not self.ended.is_set():
                self.stopped = True
                self.ended.set()
                self._changed.set()

    def tell(self, done: int | None = None, doing: str | None = None) -> None:
        """Say how far it is, from within.

        Raises:
            Stopped: If it is to end.
        """
        self.done = self.done if done is None else done
        self.doing = self.doing if doing is None else doing
        self._changed.set()
        if self._stop.is_set():
            raise Stopped

    def recount(self) -> None:
        """Say, from within, that what follows is counted by itself."""
        self.done = self.total = 0
        self._counted = time.monotonic()

    def run(self) -> None:
        """Do it, unless it was stopped while it waited; whatever goes wrong is kept for those who watch."""
        with self._lock:
            if self.ended.is_set():
                return
            self._begun = self._counted = time.monotonic()
        try:
            self.tell()
            self.result = self._do(self)
        except Stopped:
            self.stopped = True
        except BaseException as error:  # it is told to the one who asked, in the thread that watches
            self.error = error
        finally:
            self.seconds = time.monotonic() - self._begun
            self.ended.set()
            self._changed.set()

    def watch(self, every: float = EVERY) -> Iterator[Work]:
        """Yield it whenever there is something new, at most every so many seconds, and at its end.

        Whoever stops watching leaves it to itself.
        """
        while not self.ended.is_set():
            self._changed.clear()
            yield self
            self._changed.wait(2.0)
            self.ended.wait(every)
        yield self


class Turns:
    """Gives every piece of work its turn, in the order in which they came."""

    def __init__(self, most: int = MOST) -> None:
        self._line: list[tuple[str, Work]] = []
        self._most, self._lock = most, threading.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="studio")

    def begin(self, session: str, do: Callable[[Work], Any]) -> Work:
        """Have the work done for this session, after what of it is being stopped.

        Raises:
            ValueError: If the session has other work going on, or too many wait.
        """
        with self._lock:
            self._line = [(whose, work) for whose, work in self._line if not work.ended.is_set()]
            if any(whose == session and not work.stopping for whose, work in self._line):
                raise ValueError("this page has a run going on; stop it, or wait for its end")
            if len(self._line) >= self._most:
                raise ValueError(f"{len(self._line)} runs are waiting for their turn; try again later")
            work = Work(do)
            self._line.append((session, work))
            self._thread.submit(work.run)
        return work

    def ahead(self, work: Work) -> int:
        """Return how many pieces of work come before this one."""
        with self._lock:
            going = [each for _, each in self._line if not each.ended.is_set()]
        return going.index(work) if work in going else 0

    def stop(self, session: str) -> bool:
        """Stop the work of a session; return whether there was any."""
        with self._lock:
            works = [work for whose, work in self._line if whose == session and not work.ended.is_set()]
        for work in works:
            work.stop()
        return bool(works)

    def close(self) -> None:
        """Stop all work, and wait for its end."""
        with self._lock:
            for _, work in self._line:
                work.stop()
        self._thread.shutdown(wait=True, cancel_futures=True)


class Telling(Progress):
    """Progress that is told to a piece of work, which it ends if that is stopped."""

    def __init__(self, work: Work) -> None:
        super().__init__(quiet=True)
        self._work = work
        self._before_run = 0

    def plan(self, total: int, things: str = "composites") -> None:
        """Say how many composites the whole job has; the first word counts."""
        self._work.total = self._work.total or total

    @contextmanager
    def run(self, name: str, things: str = "") -> Iterator[Callable[[int], object]]:
        """One run of the job."""
        self._before_run = self._work.done
        self._work.tell(doing=name)
        yield lambda count: None

    def __call__(self, done: int, total: int) -> None:
        """Take note that so many of the run's composites are done."""
        self._work.tell(done=self._before_run + done)
