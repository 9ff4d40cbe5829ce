"""What `infill evaluate` costs beside classifier and filler: time, memory, and how well work is shared.

``python -m benchmarks.running`` writes ``results/running.md``. Nothing else should run meanwhile.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import torch

from benchmarks.clock import Clock, networks_timed
from benchmarks.holes import ASSETS, MOBILENET
from benchmarks.report import command, launch, table, write
from studio.evaluate.measures import COMPUTE
from studio.evaluate.request import EvaluateRequest
from studio.evaluate.setup import set_up
from studio.evaluate.unit import Worker
from studio.runs.folder import EXAMPLE, RunFolder, unit_name
from studio.runs.part import Part

SMALL = (
    "--method",
    "sp",
    "--filler",
    "gray",
    "--metric",
    "pointing",
    "--set",
    "sp.stride=56",
    "--no-baselines",
)
ROOT = Path(__file__).parents[1]
PEAK = """
import sys
from benchmarks.rows import process_peak
from studio.cli.main import main
try:
    main()
finally:
    print("peak", process_peak(), file=sys.stderr)
"""


def profile(request: EvaluateRequest, count: int) -> dict[str, float]:
    """Shares of the time, in percent, of the units of so many images once everything is loaded."""
    clock = Clock()
    setup = set_up(request)
    worker, folder = Worker(setup), RunFolder(request.out, setup.settings)
    names = [EXAMPLE, *(unit_name(*pair) for pair in setup.plan.pairs if setup.plan.metrics_of(pair))]
    for name in names:
        worker((0, name))
    fillers = {type(filler) for filler in worker._fillers.values()}
    with ExitStack() as stack:
        stack.enter_context(networks_timed(clock, but="fillers"))
        for kind in fillers:
            timed = clock.timed("fillers", kind.__call__)
            stack.enter_context(mock.patch.object(kind, "__call__", timed))
        for name in list(COMPUTE):
            stack.enter_context(mock.patch.dict(COMPUTE, {name: clock.timed("metrics", COMPUTE[name])}))
        stack.enter_context(mock.patch.object(Worker, "_read", clock.timed("reading", Worker._read)))
        stack.enter_context(mock.patch.object(RunFolder, "save", clock.timed("keeping", RunFolder.save)))
        begun = time.perf_counter()
        for number in range(1, count + 1):
            for name in names:
                found = worker((number, name))
                assert isinstance(found[0], Part)
                folder.save((number, name), *found)
        whole = time.perf_counter() - begun
    shares = {name: 100 * seconds / whole for name, seconds in sorted(clock.spent.items())}
    return {**shares, "the rest": 100 - sum(shares.values()), "seconds an image": whole / count}


def peak(count: int, folder: Path) -> float:
    """The most memory, in MiB, that the command takes for so many scenes."""
    out = ("--out", str(folder / f"memory-{count}"))
    words = [sys.executable, "-c", PEAK, "evaluate", f"scenes:{count}", *SMALL, "--no-baselines", *out]
    said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stderr
    return float(re.findall(r"peak ([\d.]+|nan)", said)[-1])


def heatmaps_a_second(workers: int, count: int, folder: Path, commands: int = 1) -> float:
    """Heatmaps a second in the second half of runs, when all processes have long begun.

    Several commands run side by side and know nothing of each other: what they do together is all that
    workers could.
    """
    outs = [folder / f"workers-{workers}-{commands}-{place}" for place in range(commands)]
    among = ("--workers", str(workers)) if workers else ()
    words = (*among, "--method", "rise", "--set", "rise.masks=400", "--filler", "gray")
    more = ("--metric", "pointing", "--no-baselines", "--out")
    main = (sys.executable, "-c", "from studio.cli.main import main; main()")
    lines = [[*main, "evaluate", f"scenes:{count}", *words, *more, str(out)] for out in outs]
    running = [subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for line in lines]
    if any([each.wait() for each in running]):
        raise RuntimeError(f"{' '.join(lines[0])} failed")
    return sum(map(_pace, outs))


def _pace(out: Path) -> float:
    times = sorted(path.stat().st_mtime for path in out.glob("parts/*/rise--gray.parquet"))
    half = times[len(times) // 2 :]
    return (len(half) - 1) / (half[-1] - half[0])


def profiles(count: int, folder: Path) -> str:
    """A table of where the time goes, on scenes and on photographs."""
    asked = {
        "scenes": EvaluateRequest("scenes:100", out=folder / "scenes"),
        "photographs, MobileNetV2": EvaluateRequest(
            str(ASSETS / "imagenet_val"), classifier="mobilenet_v2", weights=MOBILENET, out=folder / "photos"
        ),
    }
    found = {title: profile(request, count) for title, request in asked.items()}
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    rows = [[title, *(f"{each.get(name, 0):.1f}" for name in names)] for title, each in found.items()]
    return table(["", *(name if name.startswith("seconds") else f"{name}, %" for name in names)], rows)


def shared(count: int, folder: Path) -> str:
    """How much faster two workers are than one, and two commands than one."""
    one, two = (heatmaps_a_second(workers, count, folder) for workers in (1, 2))
    apart = heatmaps_a_second(0, count, folder, commands=2) / heatmaps_a_second(0, count, folder)
    return f"""## Two workers

Heatmaps a second (RISE with 400 masks, second half of {count} scenes): {one:.3f} by one worker, {two:.3f}
by two: {two / one:.2f} times as fast (goal: 1.8). Two commands side by side that share nothing do
{apart:.2f} times what one does: more this machine has not to give."""


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiled", type=int, default=3, help="Images whose time is taken.")
    parser.add_argument("--scenes", type=int, default=40, help="Images of the runs that are shared.")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pace = shared(options.scenes, folder)
        memory = {count: peak(count, folder) for count in (50, 500)}
        shares = profiles(options.profiled, folder)
    body = f"""All on one thread a process.

## Where the time goes

The quick preset: `sp`, `lime` and `rise` with `gray` and `inpaint`, five metrics and the baselines.
`networks` and `fillers` are classifier and filler, wherever they are called (a filler's network is the
filler's); the rest is ours.

{shares}

## Memory

{table(["scenes", "peak, MiB"], [[count, f"{value:.0f}"] for count, value in memory.items()])}

{pace}"""
    write(
        "running",
        "What `infill evaluate` costs beside its networks",
        command("benchmarks.running", parser, options),
        body,
    )


if __name__ == "__main__":
    launch(main)
