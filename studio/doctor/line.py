"""A line of what ``infill doctor`` tells."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 22
"""Of the first column, in letters."""


@dataclass(frozen=True)
class Line:
    """One thing, how it stands, and what helps where it does not stand well.

    Attributes:
        thing: What it is about.
        state: How it stands, in words.
        remedy: What to do about it; empty where nothing needs doing.
        broken: Whether nothing works without it.
    """

    thing: str
    state: str
    remedy: str = ""
    broken: bool = False

    def __str__(self) -> str:
        """Return it as it is printed."""
        return f"{self.thing:{WIDTH}} {' '.join(self.state.split())}" + (
            f" -> {self.remedy}" if self.remedy else ""
        )
