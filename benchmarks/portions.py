"""`uv run python -m benchmarks.portions`: how many images at once a processor does best.

What a network keeps between its layers grows with the images, and beyond the processor's caches it comes from
memory. 64 images are given in portions of each size in turn; ratios to all at once, from one run. In
bfloat16, too, where that is what `--precision auto` takes.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.report import command, launch, table, write
from benchmarks.turns import turns
from infill.network import fast_dtype
from models.inpainters import small
from models.scenes import draw

IMAGES = 64
SIZES = (1, 2, 4, 8, 16, 32, 64)


def networks() -> dict[str, tuple[Callable[[], nn.Module], int, bool]]:
    """By name: how it is made, the side of its images, and whether it is an inpainter."""
    from torchvision.models import get_model

    from models.classifiers import load_classifier

    found: dict[str, tuple[Callable[[], nn.Module], int, bool]] = {
        name: (partial(get_model, name, weights=None), 224, False)
        for name in ("mobilenet_v2", "resnet50", "squeezenet1_0", "vit_b_32")
    }
    found["scenes"] = (lambda: load_classifier("scenes").network, load_classifier("scenes").crop, False)
    found["inpaint"] = (small.load, 224, True)
    found["inpaint, windows of 96"] = (small.load, 96, True)
    return found


def run(network: nn.Module, inputs: tuple[Tensor, ...], size: int) -> None:
    """Give the network all images, so many at once."""
    with torch.inference_mode():
        for start in range(0, IMAGES, size):
            network(*(each[start : start + size] for each in inputs))


def inputs(side: int, holes: bool, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Crops of a scene, and for an inpainter holes over half of them."""
    scene = draw(0).image[None]
    image = nn.functional.interpolate(scene, size=(side, side), mode="bilinear").to(dtype)
    images = image.expand(IMAGES, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    if not holes:
        return (images,)
    coins = torch.rand(IMAGES, 1, 7, 7, generator=torch.Generator().manual_seed(0)) < 0.5
    return images, nn.functional.interpolate(coins.float(), size=(side, side)).to(dtype)


def main() -> None:
    """Write `results/portions.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for dtype in dict.fromkeys((torch.float32, fast_dtype(torch.device("cpu")))):
        for name, (make, side, holes) in networks().items():
            network = make().eval().to(dtype).to(memory_format=torch.channels_last)
            jobs = {size: partial(run, network, inputs(side, holes, dtype), size) for size in SIZES}
            taken = {size: statistics.median(times) for size, times in turns(jobs, options.rounds).items()}
            usual = taken[IMAGES]
            ratios = [f"{usual / each:.2f}" for each in taken.values()]
            rows.append([name, str(dtype).removeprefix("torch."), f"{1e3 * usual / IMAGES:.1f}", *ratios])
            print(*rows[-1], flush=True)
    body = f"Threads: {options.threads}. How many times as fast as {IMAGES} at once, by how many at once.\n\n"
    header = ["network", "dtype", f"ms an image, {IMAGES} at once", *map(str, SIZES)]
    usual_command = command("benchmarks.portions", parser, options)
    write("portions", "Images at once", usual_command, body + table(header, rows))


if __name__ == "__main__":
    launch(main)
