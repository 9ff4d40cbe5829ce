"""Quiet around libraries that warn, advise and draw progress bars."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def hushed(*loggers: str) -> Iterator[None]:
    """Keep warnings, these loggers and the hub's progress bars from the user: what matters is raised."""
    from huggingface_hub import utils

    hub: Any = utils
    found = [logging.getLogger(name) for name in (*loggers, "huggingface_hub")]
    levels, bars = [logger.level for logger in found], not hub.are_progress_bars_disabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in found:
                logger.setLevel(logging.CRITICAL)
            if bars:
                hub.disable_progress_bars()
            yield
        finally:
            for logger, level in zip(found, levels, strict=True):
                logger.setLevel(level)
            if bars:
                hub.enable_progress_bars()
