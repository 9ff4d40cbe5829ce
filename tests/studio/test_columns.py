"""Tables for a terminal, and for a spreadsheet."""

import csv
import io

from studio.columns import aligned, comma_separated


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


def test_a_spreadsheet_reads_back_whatever_names_have() -> None:
    lines = [["cat\r", "a, b", "", "1"], ["\r\nx", 'say "x"', "y\nz", " "]]
    text = comma_separated(lines)
    assert list(csv.reader(io.StringIO(text, newline=""))) == lines
    assert comma_separated([("run", 1), ("a b", "")]) == "run,1\na b,\n"
