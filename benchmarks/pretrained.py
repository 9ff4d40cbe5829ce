"""`uv run python -m benchmarks.pretrained`: what the inpainters of the literature cost, beside ResNet-50.

``--only`` measures some of them and writes no page.

Their weights are random, for the arithmetic is the same; each works at its native size, on one square hole in
the middle. Every cell of the table is measured in a process of its own, whose largest memory is told. A batch
is left out where, going by the batch before it, a run would take longer than a limit. Diffusion is too slow
to be run in full: a few steps are, and the rest is counted at the price of the last of them.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks import literature
from benchmarks.report import command, launch, table, write
from benchmarks.rows import process_peak
from infill import Learned
from infill.network import Precision

BATCHES = (1, 8, 32)
PRECISIONS = ("float32", "bfloat16")
RUNS = 3
USUAL = "resnet50"


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        seconds: For a batch, all steps counted.
        longest: How long the longest run took.
        memory: In MiB: of the device, or of the process where there is none.
        parameters: Of the network.
    """

    seconds: float
    longest: float
    memory: float
    parameters: int


Run = Callable[[int], object]


def job(name: str, precision: Precision, count: int, device: str) -> tuple[Run, int, int]:
    """What is timed: a batch of images through the network, a number of steps far; all steps; parameters."""
    side = literature.SIDES[name]
    image = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    if name == USUAL:
        import torchvision

        from attribution.engine.precision import prepare

        network = torchvision.models.resnet50().eval().to(device)
        fast = prepare(network, precision, image[:1])
        return lambda _: fast(image), 0, literature.parameters(network)
    made = literature.built(name, getattr(torch, precision))
    inpainter, network = made.inpainter, made.inpainter.network
    assert isinstance(network, torch.nn.Module)
    filler = Learned(
        network.to(device),
        size=inpainter.size,
        multiple=inpainter.multiple,
        value_range=inpainter.value_range,
        blank=inpainter.blank,
        stochastic=inpainter.stochastic,
        precision="float32" if made.steps else precision,  # diffusion stays in the one it was built in
        copy=False,
    )
    hole, quarter = torch.zeros_like(image[:, :1]), side // 4
    hole[..., quarter:-quarter, quarter:-quarter] = 1

    def run(steps: int) -> object:
        made.go(steps)
        return filler(image, hole, generator=torch.Generator().manual_seed(0))

    return run, made.steps, literature.parameters(network)


def one(name: str, precision: Precision, count: int, device: str) -> Measurement:
    """The best of some runs after one more; with steps, what a few of them come to."""
    cuda = device.startswith("cuda")
    run, steps, parameters = job(name, precision, count, device)

    def timed(number: int) -> float:
        begun = time.perf_counter()
        run(number)
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    with torch.inference_mode():
        if steps:
            few, more = literature.FEW
            timed(few)
            first, longest = timed(few), timed(more)
            seconds = first + (steps - few) * max(longest - first, 0) / (more - few)
        else:
            longest = timed(0)
            seconds = min(timed(0) for _ in range(RUNS))
    memory = torch.cuda.max_memory_allocated() / 2**20 if cuda else process_peak()
    return Measurement(seconds, longest, memory, parameters)


def measure_apart(name: str, precision: str, count: int, device: str) -> Measurement:
    """The same in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.pretrained", "--device", device]
    words += ["--one", name, precision, str(count)]
    completed = subprocess.run(words, capture_output=True, text=True, check=True, env=dict(os.environ))
    seconds, longest, memory, parameters = completed.stdout.split()
    return Measurement(float(seconds), float(longest), float(memory), int(parameters))


def row(name: str, precision: str, device: str, limit: float, usual: dict[str, float]) -> list[object]:
    """Images a second and memory for each batch size, and the best of them in units of ResNet-50's."""
    cells: list[object] = []
    measurements: list[Measurement] = []
    best, last = 0.0, 0
    for count in BATCHES:
        if measurements and measurements[-1].longest * count / last > limit:
            cells.append(f"over {limit:.0f} s")
            continue
        try:
            measurements.append(measure_apart(name, precision, count, device))
        except subprocess.CalledProcessError as error:  # of memory, often: other cells are none the worse
            print(error.stderr, file=sys.stderr, flush=True)
            cells.append("failed")
            continue
        last = count
        speed = count / measurements[-1].seconds
        best = max(best, speed)
        cells.append(f"{speed:.3g} ({measurements[-1].memory:.0f} MiB)")
    if name == USUAL and measurements:
        usual[precision] = best
    times = f"{usual[precision] / best:.3g}" if precision in usual and measurements else ""
    size = f"{measurements[0].parameters / 1e6:.1f} M" if measurements else ""
    told = [name, literature.SIDES[name], size, precision, *cells, times]
    print(told, flush=True)
    return told


def body(options: argparse.Namespace) -> str:
    """Measure; what was measured, in words and as a table."""
    usual: dict[str, float] = {}
    rows = [
        row(name, precision, options.device, options.limit, usual)
        for name in options.only or (USUAL, *literature.NAMES)
        for precision in PRECISIONS
    ]
    header = ["network", "side", "parameters", "precision"]
    header += [f"batch {count}, images/s (memory)" for count in BATCHES] + [f"times {USUAL}'s cost"]
    where = (
        f"on {torch.cuda.get_device_name()}, of its memory"
        if options.device != "cpu"
        else "of the whole process"
    )
    return (
        f"Random weights. Memory is the largest, {where}. The last column is at each network's best batch. "
        f"{literature.COUNTED}\n\n{table(header, rows)}"
    )


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("NAME", "PRECISION", "COUNT"), help="One cell; prints it.")
    names = (USUAL, *literature.NAMES)
    parser.add_argument("--only", nargs="+", choices=names, help="Measure these, and write no table.")
    parser.add_argument("--device", default="cpu", help="cpu or cuda.")
    parser.add_argument("--limit", type=float, default=20, help="Seconds that a run may take.")
    options = parser.parse_args()
    if options.one:
        name, precision, count = options.one
        cell = one(name, precision, int(count), options.device)
        print(cell.seconds, cell.longest, cell.memory, cell.parameters)
        return
    found = body(options)
    if options.only:
        print(found)
        return
    write("pretrained" if options.device == "cpu" else "pretrained-cuda",
          "Inpainters of the literature: speed and memory", command("benchmarks.pretrained", parser, options),
          found, ("torch", "torchvision", "transformers", "diffusers"))  # fmt: skip


if __name__ == "__main__":
    launch(main)
