"""The one wording in which an unusable argument is refused, and the ranges of settings."""

from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Range:
    """What a number may be, written beside its type: ``Annotated[int, Range(1, 100)]``."""

    low: int | float
    high: int | float
    open_low: bool = False
    open_high: bool = False
    odd: bool = False

    def __contains__(self, value: Any) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return bool(above and below) and (not self.odd or value % 2 == 1)

    def __str__(self) -> str:
        brackets = "[("[self.open_low], "])"[self.open_high]
        return f"{brackets[0]}{_short(self.low)}, {_short(self.high)}{brackets[1]}" + ", odd" * self.odd

    def rule(self, value: Any) -> str:
        """Return in words what a value outside of the range breaks."""
        if self.odd:
            return f"odd and between {_short(self.low)} and {_short(self.high)}"
        if (self.open_low, self.open_high) == (True, True):
            return f"between {_short(self.low)} and {_short(self.high)}"
        if self.low == 0 and self.high == 1:
            return f"in {self}"
        if value > self.high or (self.open_high and value == self.high):
            return f"{'below' if self.open_high else 'at most'} {_short(self.high)}"
        if self.open_low:
            return "positive" if self.low == 0 else f"above {_short(self.low)}"
        return f"at least {_short(self.low)}"


Count = Annotated[int, Range(1, 10**6)]
"""How many there are: steps, samples."""
Length = Annotated[int, Range(1, 10**4)]
"""In pixels, or in cells."""
Reach = Annotated[int, Range(0, 10**4)]
"""In pixels; may be none."""
Patience = Annotated[int, Range(0, 10**6)]
"""In steps; may be none."""
Positive = Annotated[float, Range(0, 10**6, open_low=True)]
"""A rate, a width."""
Weight = Annotated[float, Range(0, 10**9)]
"""Of a term in a sum; 0 leaves it out."""
Share = Annotated[float, Range(0, 1, open_low=True, open_high=True)]
"""Some, but not all."""
Level = Annotated[float, Range(0, 1, open_low=True)]
"""From which on something counts."""
Seed = Annotated[int, Range(0, 2**63 - 1)]
"""Of a generator."""


def require(holds: bool, argument: str, rule: str, value: object) -> None:
    """Check one rule about one argument.

    Raises:
        ValueError: "``argument`` must be ``rule``, got ``value``", unless it ``holds``.
    """
    if not holds:
        raise ValueError(f"{argument} must be {rule}, got {value!r}")


def require_settings(owner: object) -> None:
    """Check the fields of a dataclass whose types say what they may be: a ``Range``, or ``Literal`` choices.

    Fields that may be ``None`` are not checked where they are; of tuples every number is. What has no such
    type is not checked.

    Raises:
        ValueError: If a field is none of what it may be, in the words of `require`.
    """
    cls: Any = type(owner)
    for name, hint in _hints(cls).items():
        value, (kind, allowed) = getattr(owner, name, None), _allowed(hint)
        if allowed is None or (value is None and NoneType in get_args(hint)):
            continue
        if isinstance(allowed, tuple):
            require(value in allowed, name, f"one of {allowed}", value)
            continue
        for number in value if isinstance(value, tuple) else (value,):
            wanted, named = (Integral, "a whole number") if kind is int else (Real, "a number")
            fits = isinstance(number, wanted) and not isinstance(number, bool)
            require(fits, name, named, value)
            require(number in allowed, name, allowed.rule(number), value)


def ranges(cls: type) -> dict[str, Range]:
    """Return the ranges of a dataclass's fields that have one."""
    found = {name: _allowed(hint)[1] for name, hint in _hints(cls).items()}
    return {name: allowed for name, allowed in found.items() if isinstance(allowed, Range)}


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _allowed(hint: Any) -> tuple[Any, Range | tuple[Any, ...] | None]:
    """Return the type of a field's numbers and their range, or the choices that a field has."""
    for part in (hint, *get_args(hint)):
        if get_origin(part) is Literal:
            return str, get_args(part)
        if get_origin(part) is Annotated:
            for extra in part.__metadata__:
                if isinstance(extra, Range):
                    kind = part.__origin__
                    return (get_args(kind)[0] if get_origin(kind) is tuple else kind), extra
    return None, None


def _short(number: int | float) -> str:
    if number == 2**63 - 1:
        return "2^63 - 1"
    return f"{number:g}" if abs(number) < 10**5 else f"{number:.0e}".replace("e+0", "e").replace("e+", "e")
