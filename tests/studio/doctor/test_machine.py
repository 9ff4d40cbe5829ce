"""What is told of the machine is what there is."""

import os
from pathlib import Path

import pytest
import torch

from studio.doctor import machine
from studio.doctor.machine import processors, threads


def test_a_container_has_as_many_processors_as_it_may_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "_QUOTA", quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert processors() == 8
    quota.write_text("max 100000\n")
    assert processors() == 8
    quota.write_text("250000 100000\n")
    assert processors() == 2


@pytest.mark.parametrize(
    ("here", "might", "remedy"), [(4, 2, "OMP_NUM_THREADS=2: "), (1, 8, "unset OMP_NUM_THREADS"), (8, 8, "")]
)
def test_threads_that_do_not_fit_have_a_remedy(
    here: int, might: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(here))
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: here)
    monkeypatch.setattr(machine, "processors", lambda: might)
    line = threads()
    assert line.state == f"{here} of {might} processors (OMP_NUM_THREADS={here})"
    assert line.remedy.startswith(remedy)
    assert bool(line.remedy) == bool(remedy)


def test_the_precision_that_auto_takes_is_told_if_it_is_the_slower_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter([1.0, 3.0, 3.0, 1.0])  # float32, bfloat16; then the other way round
    monkeypatch.setattr(machine, "_fastest", lambda run: next(times))
    monkeypatch.setattr("infill.network.fast_dtype", lambda device: torch.bfloat16)
    slow, fast = machine.precision(), machine.precision()
    assert slow.state.startswith("float32 is 3.0 times as fast as the other on c")
    assert slow.state.endswith("auto takes bfloat16")
    assert slow.remedy == "--precision float32"
    assert fast.state.startswith("bfloat16 is 3.0 times")
    assert not fast.remedy


def test_a_gpu_that_torch_does_not_find_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("studio.doctor.build.has_driver", lambda: True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    (line,) = machine.devices()
    assert line.state == "cpu (--device auto); torch finds no GPU"
    assert "new enough for 13.2" in line.remedy
    monkeypatch.setattr("studio.doctor.build.has_driver", lambda: False)
    (line,) = machine.devices()
    assert not line.remedy
