"""Quiet around libraries that warn, advise and draw progress bars, and their errors in one line."""

import importlib
import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def silent(loggers: Iterable[str], bars: Iterable[Any]) -> Iterator[None]:
    """Keep warnings, these loggers and progress bars from the user: what matters is raised.

    ``bars`` switch progress bars on and off, as ``utils.logging`` of transformers and of diffusers does.
    """
    found = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in found]
    drawn = [one for one in bars if one.is_progress_bar_enabled()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in found:
                logger.setLevel(logging.CRITICAL)
            for one in drawn:
                one.disable_progress_bar()
            yield
        finally:
            for logger, level in zip(found, levels, strict=True):
                logger.setLevel(level)
            for one in drawn:
                one.enable_progress_bar()


@contextmanager
def hushed(*loggers: str) -> Iterator[None]:
    """Keep warnings, these loggers and the hub's progress bars from the user."""
    with silent((*loggers, "huggingface_hub"), [_HubBars()]):
        yield


class _HubBars:
    """The hub's progress bars, whose switches have other names than those of the libraries that use it."""

    def __init__(self) -> None:
        from huggingface_hub import utils

        hub: Any = utils
        self.is_progress_bar_enabled = lambda: not hub.are_progress_bars_disabled()
        self.disable_progress_bar = hub.disable_progress_bars
        self.enable_progress_bar = hub.enable_progress_bars


def required(library: str, by: str) -> Any:
    """Import a library, without the warnings that it begins with.

    Raises:
        ValueError: If it cannot be imported; the message begins with whom it is needed ``by``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(library)
        except ImportError as error:
            reason = f"needs the library {library} ({line(error)}): pip install {library}"
            raise ValueError(f"{by} {reason}") from error


def line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
