"""Optional libraries: imported without their warnings, run without their bars, with errors in one line."""

import importlib
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from infill.extras import optional


@contextmanager
def quiet_loggers(loggers: Iterable[str], bars: Iterable[Any]) -> Iterator[None]:
    """Keep warnings, these loggers and progress bars from the user: what matters is raised.

    ``bars`` switch progress bars on and off, as ``utils.logging`` of transformers and of diffusers does.
    """
    chosen = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in chosen]
    shown = [one for one in bars if one.is_progress_bar_enabled()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in chosen:
                logger.setLevel(logging.CRITICAL)
            for one in shown:
                one.disable_progress_bar()
            yield
        finally:
            for logger, level in zip(chosen, levels, strict=True):
                logger.setLevel(level)
            for one in shown:
                one.enable_progress_bar()


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keep warnings, these loggers and the hub's progress bars from the user."""
    with quiet_loggers((*loggers, "huggingface_hub"), [_HubBars()] if _has_hub() else []):
        yield


def _has_hub() -> bool:
    """Return whether the hub's library is installed, and import it."""
    try:
        importlib.import_module("huggingface_hub.utils")
    except ImportError:
        return False
    return True


class _HubBars:
    """The hub's progress bars, whose switches have other names than those of the libraries that use it."""

    def __init__(self) -> None:
        hub = sys.modules["huggingface_hub.utils"]
        self.is_progress_bar_enabled = lambda: not hub.are_progress_bars_disabled()
        self.disable_progress_bar = hub.disable_progress_bars
        self.enable_progress_bar = hub.enable_progress_bars


def import_library(name: str, user: str) -> Any:
    """Import a library that an extra brings, without the warnings that it begins with.

    Raises:
        ValueError: If it cannot be imported; the message begins with the ``user`` who needs it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optional(name, user)


def one_line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return next((text.strip() for text in str(error).splitlines() if text.strip()), type(error).__name__)
