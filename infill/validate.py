"""The one wording in which an unusable argument is refused."""

from collections.abc import Callable
from typing import Literal, get_args

Range = Literal["positive", "at least 0", "at least 1"]
_INSIDE: dict[Range, Callable[[float], bool]] = {
    "positive": lambda value: value > 0,
    "at least 0": lambda value: value >= 0,
    "at least 1": lambda value: value >= 1,
}


def require(holds: bool, argument: str, rule: str, value: object) -> None:
    """Check one rule about one argument.

    Raises:
        ValueError: "``argument`` must be ``rule``, got ``value``", unless it ``holds``.
    """
    if not holds:
        raise ValueError(f"{argument} must be {rule}, got {value!r}")


def require_numbers(owner: object, rule: Range, *fields: str) -> None:
    """Check that fields of an object, named one by one, are numbers in a range.

    Raises:
        ValueError: If not, in the words of `require`.
    """
    for name in fields:
        value = getattr(owner, name)
        require(_INSIDE[rule](value), name, rule, value)


def require_choices(owner: object, **kinds: object) -> None:
    """Check that fields of an object are among the values of a ``Literal``: ``field=Literal[...]``.

    Raises:
        ValueError: If not, in the words of `require`.
    """
    for name, kind in kinds.items():
        value, choices = getattr(owner, name), get_args(kind)
        require(value in choices, name, f"one of {choices}", value)
