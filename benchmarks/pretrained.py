"""`uv run python -m benchmarks.pretrained`: what the inpainters of the literature cost, beside ResNet-50.

Their weights are random, for the arithmetic is the same; each works at its native size, on one square hole in
the middle. Every row runs in a process of its own, whose largest memory is told. Batches that would take
longer than a limit are left out.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from benchmarks.report import table, write
from infill import Learned
from infill.network import Precision
from models.inpainters.inpainter import Inpainter

BATCHES = (1, 8, 32)
NAMES = ("resnet50", "inpaint", "deepfill-v1", "deepfill-v2", "lama", "mae")
SIDES = {"resnet50": 224, "inpaint": 224, "deepfill-v1": 256, "deepfill-v2": 256, "lama": 256, "mae": 224}


def built(name: str) -> Inpainter:
    """The inpainter at its published size with random weights."""
    from models.inpainters import deepfill, lama, mae, small

    if name == "inpaint":
        return Inpainter(small.load(), multiple=small.MULTIPLE)
    if name.startswith("deepfill"):
        network = deepfill.DeepFill("v1" if name.endswith("1") else "v2")
        return Inpainter(network.eval(), size=deepfill.SIZE, value_range=(-1.0, 1.0))
    if name == "lama":
        return Inpainter(lama.Lama().eval(), multiple=lama.MULTIPLE)
    import transformers

    network = transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig())
    return Inpainter(mae.MaskedAutoencoder(network, (0.5,) * 3, (0.5,) * 3).eval(), size=224)


def job(name: str, precision: Precision, count: int) -> Callable[[], object]:
    """What is timed: a batch of images through the network."""
    image = torch.rand(count, 3, SIDES[name], SIDES[name], generator=torch.Generator().manual_seed(0))
    if name == "resnet50":
        import torchvision

        from attribution.precision import prepare

        fast = prepare(torchvision.models.resnet50().eval(), precision, image[:1])
        return lambda: fast(image)
    inpainter = built(name)
    filler = Learned(
        inpainter.network, size=inpainter.size, multiple=inpainter.multiple,
        value_range=inpainter.value_range, blank=inpainter.blank, precision=precision,
    )  # fmt: skip
    hole, quarter = torch.zeros_like(image[:, :1]), SIDES[name] // 4
    hole[..., quarter:-quarter, quarter:-quarter] = 1
    return lambda: filler(image, hole)


def one(name: str, precision: Precision, count: int) -> None:
    """Print seconds a batch (the best of three, after one more) and the process's largest memory in MiB."""
    with torch.inference_mode():
        run = job(name, precision, count)
        times = []
        for _ in range(4):
            begun = time.perf_counter()
            run()
            times.append(time.perf_counter() - begun)
    print(min(times[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def asked(name: str, precision: str, count: int) -> tuple[float, float]:
    """The same in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.pretrained", "--one", name, precision, str(count)]
    said = subprocess.run(words, capture_output=True, text=True, check=True, env=dict(os.environ))
    seconds, memory = map(float, said.stdout.split())
    return seconds, memory


def row(name: str, precision: str, limit: float) -> list[object]:
    """Images a second and memory for each batch size."""
    cells: list[object] = [name, SIDES[name], precision]
    each = 0.0
    for count in BATCHES:
        if each * count > limit:
            cells.append(f"over {limit:.0f} s")
            continue
        seconds, memory = asked(name, precision, count)
        each = seconds / count
        cells.append(f"{1 / each:.2f} ({memory:.0f} MiB)")
    print(cells, flush=True)
    return cells


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("NAME", "PRECISION", "COUNT"), help="One cell; prints it.")
    parser.add_argument("--limit", type=float, default=20, help="Seconds that a batch may take.")
    options = parser.parse_args()
    if options.one:
        name, precision, count = options.one
        one(name, precision, int(count))
        return
    rows = [row(name, precision, options.limit) for name in NAMES for precision in ("float32", "bfloat16")]
    header = ["network", "side", "precision", *(f"batch {count}, images/s (memory)" for count in BATCHES)]
    body = f"Random weights. Memory is the largest of the whole process.\n\n{table(header, rows)}"
    write("pretrained", "Inpainters of the literature: speed and memory", "python -m benchmarks.pretrained",
          body, ("torch", "torchvision", "transformers"))  # fmt: skip


if __name__ == "__main__":
    main()
