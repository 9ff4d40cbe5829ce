"""Ranges of settings: what is inside, in which words the rest is refused."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infill.validate import Count, Level, Positive, Range, Share, ranges, require_settings


@dataclass(frozen=True)
class Settings:
    steps: Count = 3
    lr: Positive = 0.5
    keep: Share = 0.5
    threshold: Level = 1.0
    side: Annotated[int, Range(3, 15, odd=True)] | None = None
    color: Annotated[tuple[float, ...], Range(0, 1)] = (0.5,)
    kind: Literal["one", "other"] = "one"
    free: float = -1.0

    def __post_init__(self) -> None:
        require_settings(self)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 1}, {"steps": 10**6}, {"steps": np.int64(7)}, {"lr": 1}, {"lr": 1e-30}, {"threshold": 1},
        {"side": 3}, {"side": 15}, {"color": (0.0, 1.0)}, {"color": ()}, {"free": float("nan")},
    ],
)  # fmt: skip
def test_what_is_inside_is_taken(change):
    Settings(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 10**6 + 1}, "steps must be at most 1e6, got 1000001"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"steps": "3"}, "steps must be a whole number, got '3'"),
        ({"steps": True}, "steps must be a whole number, got True"),
        ({"lr": True}, "lr must be a number, got True"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"lr": float("nan")}, "lr must be positive, got nan"),
        ({"lr": float("inf")}, "lr must be at most 1e6, got inf"),
        ({"lr": "a"}, "lr must be a number, got 'a'"),
        ({"keep": 1.0}, "keep must be between 0 and 1, got 1.0"),
        ({"threshold": 0.0}, "threshold must be in (0, 1], got 0.0"),
        ({"threshold": 1.5}, "threshold must be in (0, 1], got 1.5"),
        ({"side": 4}, "side must be odd and between 3 and 15, got 4"),
        ({"color": (0.5, 1.5)}, "color must be in [0, 1], got (0.5, 1.5)"),
        ({"kind": "third"}, "kind must be one of ('one', 'other'), got 'third'"),
    ],
)
def test_what_is_outside_is_named(change, message):
    with pytest.raises(ValueError, match="must be") as caught:
        Settings(**change)
    assert str(caught.value) == message


@given(st.floats(allow_nan=True, allow_infinity=True), st.booleans(), st.booleans())
def test_a_range_holds_what_lies_between(value, open_low, open_high):
    above = value >= -2 and not (open_low and value == -2)
    below = value <= 5 and not (open_high and value == 5)
    assert (value in Range(-2, 5, open_low, open_high)) == (above and below)


def test_ranges_are_written_as_intervals():
    assert {name: str(each) for name, each in ranges(Settings).items()} == {
        "steps": "[1, 1e6]",
        "lr": "(0, 1e6]",
        "keep": "(0, 1)",
        "threshold": "(0, 1]",
        "side": "[3, 15], odd",
        "color": "[0, 1]",
    }
