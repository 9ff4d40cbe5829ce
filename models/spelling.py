"""Names that somebody may have meant."""

import difflib
from collections.abc import Sequence


def suggestion(name: str, names: Sequence[str], cutoff: float = 0.6) -> str:
    """Return ``; did you mean 'NAME'?`` for the nearest of the names, or nothing if none is near.

    Capital letters do not count. ``cutoff`` is how similar it must be, from 0 to 1.
    """
    folded = [known.casefold() for known in names]
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=cutoff)
    return f"; did you mean {names[folded.index(near[0])]!r}?" if near else ""
