"""What a page says of something that went wrong."""

from __future__ import annotations

import traceback

from studio.memory import lacks_memory
from studio.web import views

BROKEN = (
    "Something went wrong in infill itself; the terminal has the details. Your settings are as they were."
)
NO_MEMORY = "out of memory; try a smaller picture or fewer samples"


def told(error: BaseException) -> str:
    """Return a notice of an error; of one that nobody foresaw, the terminal gets the details."""
    if isinstance(error, ValueError):
        return views.notice(str(error))
    if lacks_memory(error):
        return views.notice(NO_MEMORY)
    traceback.print_exception(error)  # in the terminal, for whoever is to mend it
    return views.notice(f"{BROKEN} ({type(error).__name__}: {error})")
