"""Where the time goes: seconds by what they were spent on."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules import module as torch_module


class Clock:
    """Adds up seconds by what they were spent on; what is timed inside of it counts for itself."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._open: list[tuple[str, float]] = []

    def enter(self, name: str) -> None:
        """Something that is timed begins; what it is part of waits."""
        now = time.perf_counter()
        if self._open:
            outer, begun = self._open[-1]
            self.spent[outer] += now - begun
        self._open.append((name, now))

    def leave(self) -> None:
        """It ends, and what it is part of goes on."""
        now = time.perf_counter()
        name, begun = self._open.pop()
        self.spent[name] += now - begun
        if self._open:
            self._open[-1] = (self._open[-1][0], now)

    def inside(self, name: str) -> bool:
        """Whether something of this name has begun and not ended."""
        return any(name == open_ for open_, _ in self._open)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def run(*arguments: Any, **options: Any) -> Any:
            self.enter(name)
            try:
                return function(*arguments, **options)
            finally:
                self.leave()

        return run


@contextmanager
def networks_timed(clock: Clock, but: str | None = None) -> Iterator[None]:
    """Time every call of a torch module as ``networks``; inside of what is timed as ``but``, as that."""

    def begin(*_: object) -> None:
        clock.enter(but if but and clock.inside(but) else "networks")

    hooks = [
        torch_module.register_module_forward_pre_hook(begin),
        torch_module.register_module_forward_hook(lambda *_: clock.leave(), always_call=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
