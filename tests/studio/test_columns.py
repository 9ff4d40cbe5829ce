"""Tables for a terminal."""

from studio.columns import aligned


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines = [("", "kept", "images"), ("sp / gray", "100 %", "3"), ("rise", "", "12")]
    assert aligned(lines, numbers=True) == [
        "            kept  images",
        "sp / gray  100 %       3",
        "rise                  12",
    ]
    assert aligned(lines) == [
        "           kept   images",
        "sp / gray  100 %  3",
        "rise              12",
    ]
