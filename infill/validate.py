"""The one wording in which an unusable argument is refused."""


def require(holds: bool, argument: str, rule: str, value: object) -> None:
    """Check one rule about one argument.

    Raises:
        ValueError: "``argument`` must be ``rule``, got ``value``", unless it ``holds``.
    """
    if not holds:
        raise ValueError(f"{argument} must be {rule}, got {value!r}")
