"""Windows hold all that a kernel changes."""

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from attribution.engine.windows import Spans, Step, Windows, cut, paste


@given(st.data())
def test_what_a_kernel_changes_lies_in_the_window(data):
    side = data.draw(st.integers(4, 24))
    kernel = data.draw(st.integers(1, 4))
    stride, padding = data.draw(st.integers(1, 3)), data.draw(st.integers(0, kernel - 1))
    length = data.draw(st.integers(1, side))
    start = data.draw(st.integers(0, side - length))
    line = torch.zeros(1, 1, side)
    line[..., start : start + length] = 1
    changed = F.conv1d(line, torch.ones(1, 1, kernel), stride=stride, padding=padding)[0, 0] > 0
    after = Spans(side, length, (start,)).after(Step(kernel, stride, padding), len(changed))
    first, end = after.starts[0], after.starts[0] + after.length
    assert first >= 0
    assert end <= len(changed)
    assert not changed[:first].any()
    assert not changed[end:].any()


def test_windows_of_holes_have_one_size_and_hold_them():
    hole = torch.zeros(3, 1, 8, 8)
    hole[0, 0, 7, 7] = 1
    hole[1, 0, 2:5, 1:3] = 0.5
    windows = Windows.of(hole)
    assert (windows.down.length, windows.across.length) == (3, 2)
    assert windows.down.starts[:2] == (5, 2)
    assert windows.across.starts[:2] == (6, 1)
    pixels = cut(hole, windows)
    again = torch.zeros_like(hole)
    paste(again, Windows.everywhere(3, (8, 8)), pixels, windows)
    assert torch.equal(again, hole)
