"""``--fill-cache``: the same files to the last bit, and the second command fills nothing."""

import pytest
from command import refused, runner, undrawn

FAST = ("--method", "lime", "--method", "mp2-descent", "--filler", "inpaint", "--set", "lime.samples=20")
FAST += ("--set", "mp2-descent.cells=4", "--precision", "float32")


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    undrawn(monkeypatch)
    return runner(capsys)


@pytest.mark.slow
def test_heatmaps_are_the_same_with_and_without_it(run, tmp_path, monkeypatch):
    from infill.fillers.adaptive import Adaptive

    calls, fill = [], Adaptive.__call__

    def counted(self, image, hole, generator=None):
        calls.append(len(hole))
        return fill(self, image, hole, generator)

    monkeypatch.setattr(Adaptive, "__call__", counted)
    for number, options in enumerate([(), ("--fill-cache", "kept"), ("--fill-cache", "kept")]):
        calls.clear()
        assert run(*FAST, *options, "--out", number).code == 0
        assert bool(calls) is (number < 2)
    first, second, third = ((tmp_path / str(n) / "heatmaps.npz").read_bytes() for n in range(3))
    assert first == second == third


def test_a_folder_that_cannot_be_used_is_told(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(run(*FAST, "--fill-cache", "file"), "--fill-cache: cannot use file")
