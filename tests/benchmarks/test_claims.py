"""A paper's claim is decided photograph by photograph, and all claims together."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import gradients
from benchmarks.claims import FAILS, GFI, GRADIENT, HOLDS, UNDECIDED, Compared, corrected
from studio.report.differences import exchanged
from studio.report.figures import Figure


def compared(change: list[float], a_scene: int) -> Compared:
    ours, theirs = dict(enumerate(change)), dict.fromkeys(range(len(change)), 0.0)
    figure = Figure("pointing", "pointing", "higher", "share", True, {GFI: ours, GRADIENT: theirs})
    results = SimpleNamespace(photograph=lambda number: number // a_scene)
    return Compared("scenes of two", results, {"pointing": figure})


def test_targets_of_a_scene_are_no_independent_images():
    change = [1.0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    pair = compared(change, 2).pair("pointing", GFI, GRADIENT)
    assert pair.photographs == 10
    assert pair.of_photograph.tolist() == [2.0] * 6 + [0.0] * 4
    (alone,) = corrected([pair]).values()
    assert alone == exchanged([pair.of_photograph], 0)[0] == pytest.approx(2 / 2**6, abs=0.01)
    (apart,) = corrected([compared(change, 1).pair("pointing", GFI, GRADIENT)]).values()
    assert apart < alone / 10


def test_claims_are_corrected_together_and_told_by_their_direction():
    better, worse = (compared([sign * 1.0] * 20, 2).pair("pointing", GFI, GRADIENT) for sign in (1, -1))
    found = corrected([better, worse])
    assert all(p == pytest.approx(2 * 2 / 2**10, abs=0.002) for p in found.values())
    assert (better.verdict(0.01), worse.verdict(0.01), better.verdict(0.11)) == (HOLDS, FAILS, UNDECIDED)


def test_of_few_scenes_nothing_is_decided():
    pair = compared([1.0] * 14, 2).pair("pointing", GFI, GRADIENT)
    assert pair.photographs == 7
    assert corrected([pair]) == {}
    assert pair.told(1.0) == "scenes of two: 14 images"
    none = compared([], 2).pair("pointing", GFI, GRADIENT)
    assert none.photographs == 0
    assert none.verdict(1.0) == UNDECIDED


def test_every_run_can_be_asked_for_and_no_other(monkeypatch, capsys):
    options = SimpleNamespace(photographs=4, costly=2, scenes=2, costly_scenes=1, attacked=2)
    assert set(gradients.requests(options)) == set(gradients.RUN_NAMES)
    monkeypatch.setattr(gradients, "evaluate", lambda *_: pytest.fail("computed"))
    monkeypatch.setattr(sys, "argv", ["benchmarks.gradients", "--only", "mobilenet"])
    with pytest.raises(SystemExit) as ended:
        gradients.main()
    assert ended.value.code == 2
    assert "mobilenetv2-cheap" in capsys.readouterr().err
    assert np.unique(gradients.RUN_NAMES).size == len(gradients.RUN_NAMES)
