"""`uv run python -m benchmarks.realism`: what every filler leaves of an object, on scenes and on photographs.

The two tables are those of `infill realism scenes:500` and `infill realism ecssd`; what they find is kept
under `runs/realism`, so the command can be broken off. In the end: where the time goes, on the first images.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
import torchvision
from safetensors.torch import save_file

from benchmarks.clock import Clock, networks_timed
from benchmarks.holes import ASSETS, MOBILENET
from benchmarks.report import command, launch, table, write
from infill.realism import similarity as figures
from infill.realism.similarity import Perceptual
from studio.progress import Progress
from studio.realism.batches import Reader
from studio.realism.cache import Cache
from studio.realism.request import RealismRequest
from studio.realism.run import RealismRun, realism
from studio.realism.setup import set_up
from studio.realism.table import markdown_table, remarks
from studio.realism.unit import Worker

RUNS = Path("runs/realism")
WARM = 16
"""Images that are measured before the time is taken: whatever runs first is slower."""
FILLERS = ("gray", "noise", "blur", "telea", "inpaint")


def requests(scenes: int, photographs: int | None) -> dict[str, RealismRequest]:
    """The commands of the issue, by what they are about."""
    return {
        f"scenes:{scenes}": RealismRequest(f"scenes:{scenes}", fillers=FILLERS, out=RUNS / "scenes"),
        "ecssd": RealismRequest(
            str(ASSETS / "ecssd"),
            fillers=FILLERS,
            limit=photographs,
            out=RUNS / "ecssd",
            classifier="mobilenet_v2",
            weights=MOBILENET,
        ),
    }


@contextmanager
def timed(clock: Clock) -> Iterator[None]:
    """Time all networks, LPIPS's own arithmetic with them, and what else there is to do."""
    places = {
        (Perceptual, "features"): "networks",
        (Perceptual, "distance"): "networks",
        (figures, "ms_ssim"): "MS-SSIM",
        (Reader, "read"): "reading and drawing",
        (Worker, "composites"): "other fillers",
        (Cache, "save"): "keeping",
    }
    with ExitStack() as stack:
        stack.enter_context(networks_timed(clock))
        for (owner, name), said in places.items():
            stack.enter_context(mock.patch.object(owner, name, clock.timed(said, getattr(owner, name))))
        yield


def profile(request: RealismRequest, count: int) -> dict[str, float]:
    """Shares of the time, in percent, of measuring so many images once everything is loaded."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        short = replace(request, limit=count, out=Path(folder))
        setup = set_up(short)
        few = replace(short, limit=min(WARM, count))
        warm = Cache(Path(folder) / "warm", setup.identity)
        RealismRun(few, replace(setup, data=set_up(few).data), warm).measure(Progress())
        run = RealismRun(short, setup, Cache(Path(folder) / "timed", setup.identity))
        begun = time.perf_counter()
        with timed(clock):
            run.measure(Progress())
        whole = time.perf_counter() - begun
    shares = {
        name: 100 * seconds / whole
        for name, seconds in sorted(clock.spent.items(), key=lambda item: -item[1])
    }
    return {**shares, "the rest": 100 - sum(shares.values()), "ms an image": 1000 * whole / count}


def as_large_as_resnet(request: RealismRequest, folder: Path) -> RealismRequest:
    """The same with ResNet-50 as the judge, of random weights: the work is that of trained ones."""
    path = folder / "random.safetensors"
    with torch.random.fork_rng(devices=[]):
        save_file(torchvision.models.resnet50().state_dict(), path, {"arch": "torchvision.resnet50"})
    return replace(request, judge="resnet50", judge_weights=path)


def profiles(asked: dict[str, RealismRequest], count: int) -> str:
    """A table of where the time goes."""
    found = {title: profile(request, count) for title, request in asked.items()}
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    rows = [[title, *(f"{each.get(name, 0):.0f}" for name in names)] for title, each in found.items()]
    return table(["data", *(f"{name}, %" if name != "ms an image" else name for name in names)], rows)


def part(title: str, request: RealismRequest) -> str:
    """One table, and what must be said below it."""
    realism(request, print)
    found = json.loads((request.out / "realism.json").read_text())
    asked = {key: value for key, value in found["settings"].items() if key not in ("fillers", "weights")}
    said = ", ".join(f"{key} {value}" for key, value in asked.items() if value is not None)
    notes = "\n".join(f"- {remark.strip()}" for remark in remarks(found))
    share = 100 * found["area"]
    head = f"## {title}: {found['images']} images, {share:.1f} % of the view removed"
    return f"{head}\n\n{said}\n\n{markdown_table(found)}\n\n{notes}"


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--photographs", type=int, help="All by default.")
    parser.add_argument("--profiled", type=int, default=64, help="Images whose time is taken.")
    options = parser.parse_args()
    os.environ.setdefault("TORCH_HOME", str(ASSETS / "torch_home"))
    asked = requests(options.scenes, options.photographs)
    parts = [part(title, request) for title, request in asked.items()]
    with tempfile.TemporaryDirectory() as folder:
        asked["ecssd, judged by ResNet-50"] = as_large_as_resnet(asked["ecssd"], Path(folder))
        time_table = profiles(asked, options.profiled)
    body = "\n\n".join([*parts, f"## Where the time goes\n\n{time_table}"])
    made = command("benchmarks.realism", parser, options)
    write("realism", "Realism: is it really removed, and does it look real?", made,
          body, ("torch", "torchvision", "lpips", "pytorch-msssim", "scikit-learn"))  # fmt: skip


if __name__ == "__main__":
    launch(main)
