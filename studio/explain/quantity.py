"""What a score is a number of, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass

from attribution import Against, Value
from attribution.engine.link import Link


@dataclass(frozen=True)
class Quantity:
    """A kind of score.

    Attributes:
        kind: What it is called in the report.
        symbol: What stands before a number.
        name: What it is called in a sentence.
        end: What the score is called at which the target counts as gone.
        form: How a number is formatted.
        bounded: Whether it is in [0, 1].
    """

    kind: str
    symbol: str
    name: str
    end: str
    form: str = ".3f"
    bounded: bool = False

    def at_end(self, value: float) -> str:
        """Return in words what the score is not where the target is still there."""
        return f"at {self.end} ({self.number(value)})"

    def number(self, value: float) -> str:
        """Return a number as text."""
        return format(value, self.form)

    def written(self, value: float, sign: str = " ") -> str:
        """Return a number with its symbol, as in ``p 0.123``."""
        return f"{self.symbol}{sign}{self.number(value)}"


PROBABILITY = Quantity("probability", "p", "probability of the class", "chance", bounded=True)
LOG_ODDS = Quantity("log-odds", "log-odds", "log-odds of the two classes", "even odds", "+.2f")
REGION = Quantity("log-odds", "log-odds", "log-odds of the class in the region", "even odds", "+.2f")


def quantity_of(link: Link) -> Quantity:
    """Return what a link's scores are."""
    if isinstance(link, Value):
        form = ".4g" if link.name == "value" else ".3f"
        return REGION if link.odds else Quantity("value", link.name, link.name, "goal", form)
    return LOG_ODDS if isinstance(link, Against) else PROBABILITY
