"""Attacks on images, as users write them: ``fgsm:0.01``, ``pgd:0.01:20``."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from studio.registry.fields import known

if TYPE_CHECKING:
    from attribution.integrations.attacks import Attack

FORM = "fgsm:EPSILON or pgd:EPSILON[:STEPS], as in fgsm:0.01"


def parse_attack(text: str | None) -> Attack | None:
    """Return the attack that a text means; ``None``: none.

    Raises:
        ValueError: If there is no such attack, a number is none or out of range, or captum is not installed.
    """
    if text is None:
        return None
    from attribution.integrations.attacks import Fgsm, Pgd

    name, *numbers = text.split(":")
    try:
        known(name, ("fgsm", "pgd"), "attack")
        if not 1 <= len(numbers) <= (2 if name == "pgd" else 1):
            raise ValueError(f"expected {FORM}, got {text!r}")
        epsilon = _number(numbers[0], float, text)
        if name == "fgsm":
            return Fgsm(epsilon)
        return Pgd(epsilon, *(_number(each, int, text) for each in numbers[1:]))
    except ValueError as error:
        raise ValueError(f"--attack: {error}") from error


def identity(attack: Attack) -> dict[str, Any]:
    """Return all that an attack's results depend on, in values that JSON has."""
    return {"name": type(attack).__name__.lower(), **asdict(attack), "captum": version("captum")}  # type: ignore[call-overload]


def _number(text: str, kind: type, whole: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"expected {FORM}, got {whole!r}") from None
