"""What there is to compute with: devices, threads, instruction sets, and which precision is faster."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from studio import version
from studio.doctor.line import Line

if TYPE_CHECKING:
    import torch
    from torch import nn

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much of its processors a container may use."""
_IMAGES, _SIDE, _ROUNDS = 16, 224, 3


def python() -> Line:
    """Return where infill runs."""
    place = Path(__file__).resolve().parents[2]
    system = f"{platform.system()} {platform.machine()}"
    return Line("infill", f"{version()} in {place}, Python {platform.python_version()} on {system}")


def devices() -> Iterator[Line]:
    """Yield a line for each device that torch has, the one of ``--device auto`` first."""
    import torch

    for index in range(torch.cuda.device_count()) if torch.cuda.is_available() else ():
        of = torch.cuda.get_device_properties(index)
        yield Line(
            "device", f"cuda:{index}: {of.name}, {of.total_memory / 2**30:.0f} GiB" + _auto(index == 0)
        )
    yield _without_gpu() if not torch.cuda.is_available() else Line("device", "cpu")
    if getattr(torch.backends, "mps", None) and torch.backends.mps.is_available():
        yield Line("device", "mps: Apple's, with --device mps")


def threads() -> Line:
    """Return how many threads torch computes with, beside the processors that it may use."""
    import torch

    here, might = torch.get_num_threads(), processors()
    named = [
        f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ
    ]
    state = f"{here} of {might} processors" + (f" ({', '.join(named)})" if named else "")
    if here > might:
        return Line(
            "threads", state, f"OMP_NUM_THREADS={might}: more threads than processors wait for each other"
        )
    if here < might and named:
        return Line("threads", state, f"unset {named[0].partition('=')[0]} to use all processors")
    return Line("threads", state)


def processors() -> int:
    """Return how many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text("utf-8").split()
        return min(count, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        return count


def instructions() -> Line:
    """Return the instruction sets that torch uses here."""
    import torch

    from infill.network import bfloat16_instructions

    sets = [torch.backends.cpu.get_cpu_capability(), *bfloat16_instructions()]
    return Line("instructions", ", ".join(sets))


def precision() -> Line:
    """Return which precision is faster for a convolutional network, measured, and which ``auto`` takes."""
    import torch

    from infill.network import fast_dtype

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network, images = _network().to(device), torch.zeros(_IMAGES, 3, _SIDE, _SIDE, device=device)
    took = {}
    for dtype in (torch.float32, torch.bfloat16):
        one = network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        given = images.to(dtype=dtype, memory_format=torch.channels_last)
        took[dtype] = _fastest(lambda one=one, given=given: one(given).sum().item())  # type: ignore[misc]
    chosen, faster = fast_dtype(device), min(took, key=took.__getitem__)
    ratio = max(took.values()) / min(took.values())
    state = (
        f"{_name(faster)} is {ratio:.1f} times as fast as the other on {device}; auto takes {_name(chosen)}"
    )
    unlike = faster is not chosen and ratio > 1.2
    return Line("precision", state, f"--precision {_name(faster)}" if unlike else "")


def _network() -> nn.Module:
    from torch import nn

    layers = [
        nn.Conv2d(3, 32, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(64, 128, 3, 2, 1),
    ]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def _fastest(run: Callable[[], object]) -> float:
    run()  # the first call also chooses and lays out
    times = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return min(times)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _auto(first: bool) -> str:
    return " (--device auto)" if first else ""


def _without_gpu() -> Line:
    """Return what is said of the processor where torch finds no GPU."""
    import torch

    from studio.doctor.build import has_driver

    state = f"cpu{_auto(True)}; torch finds no GPU"
    built = torch.version.cuda or torch.version.hip
    if sys.platform == "linux" and has_driver() and built:
        return Line(
            "device",
            state,
            f"there is a driver: is it new enough for {built}, and visible (CUDA_VISIBLE_DEVICES)?",
        )
    if sys.platform == "linux" and has_driver():
        return Line("device", state, "there is a driver: take a build of torch for it (https://pytorch.org)")
    return Line("device", state)
