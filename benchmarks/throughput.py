"""`uv run python -m benchmarks.throughput`: what removing by inpainting costs beside the classifier.

Ratios from one run, in which what is compared takes turns. Leave the machine alone meanwhile.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch

from attribution import Execution, Explainer, Lime, MaskedScore, SlidingPatch
from attribution.engine.precision import prepare
from benchmarks import holes
from benchmarks.fillers import HERE, add_option, built
from benchmarks.report import command, launch, table, write
from benchmarks.speed import resnet50
from benchmarks.turns import ratios, turns
from infill import Filler, Gray, Learned
from models.scenes import draw
from studio.registry.build import build_filler

BATCH = 32
WINDOW = "inpaint, window round 29 px"


def ratio(over: Sequence[float], under: Sequence[float]) -> str:
    """Median of the ratios round by round, and their range."""
    middle, spread = ratios(over, under)
    return f"{middle:.2f} ({spread})"


def each(fillers: Mapping[str, Filler], count: int) -> str:
    """Milliseconds an image of every filler, batches of 8: one small square, and half of the superpixels."""
    images, rng = [draw(i).image for i in range(8)], torch.Generator()
    image = images[0][None]
    rows: dict[str, list[object]] = {name: [name] for name in fillers}
    for cases in (holes.squares(images, 29), holes.superpixels(images)):
        hole = torch.stack([case.hole for case in cases])
        jobs = {name: partial(filler, image, hole, rng) for name, filler in fillers.items()}
        for name, times in turns(jobs, count).items():
            rows[name].append(f"{1000 * statistics.median(times) / len(hole):.1f} ms")
    header = ["filler, an image", "square of 29 px", "half of 50 superpixels"]
    return table(header, list(rows.values()))


def measure(
    fillers: Mapping[str, Filler], count: int = 7, stride: int = 13, samples: int = 256
) -> tuple[str, list[list[object]]]:
    """The inpainter's throughput against ResNet-50's, and SP and LIME with it against both with gray."""
    image = draw(0).image
    classifier = resnet50()
    fast = prepare(classifier, "bfloat16", image[None])
    images = image.expand(BATCH, -1, -1, -1).contiguous()
    filler = replace(cast(Learned, build_filler("inpaint", {}, image, "bfloat16")), batch_size=BATCH)
    whole = replace(filler, context=None)
    wide = torch.cat([case.hole[None] for case in holes.superpixels([image] * BATCH)])
    small = torch.cat([case.hole[None] for case in holes.squares([image] * BATCH, 29)])

    def classify() -> None:
        with torch.inference_mode():
            fast(images)

    batches: dict[str, Callable[[], object]] = {
        "ResNet-50": classify,
        "inpaint": lambda: whole(image[None], wide),
        WINDOW: lambda: filler(image[None], small),
    }
    times = turns(batches, count)
    methods: dict[str, Explainer] = {
        "SP": SlidingPatch(patch=29, stride=stride),
        "LIME": Lime(samples=samples),
    }
    for name, method in methods.items():
        plain, ours = (
            MaskedScore(image, 0, fast, fill, execution=Execution(batch_size=BATCH, precision="bfloat16"))
            for fill in (Gray(), filler)
        )
        jobs = {name: partial(method, plain), f"{name}-G": partial(method, ours)}
        times |= turns(jobs, max(1, count // 2))
    base = times["ResNet-50"]
    rows = [[name, f"{statistics.median(seen):.2f} s"] for name, seen in times.items()]
    body = (
        f"bfloat16, batches of {BATCH}, 224 x 224; ResNet-50 with random weights. The first "
        f"three rows: one batch. SP: patch 29, stride {stride}; LIME: {samples} samples; -G: with inpainting "
        "instead of gray. Ratios are medians over rounds, with their range.\n\n"
        + f"{table(['what', 'median time'], rows)}\n\n{each(fillers, 3)}"
    )
    goals: list[list[object]] = [
        ["speed", "inpaint's images a second / ResNet-50's", ratio(base, times["inpaint"]), "at least 1"],
        ["speed", "the same, window round 29 px", ratio(base, times[WINDOW]), "at least 4"],
        ["speed", "time of SP-G / SP", ratio(times["SP-G"], times["SP"]), "at most 2"],
        ["speed", "time of LIME-G / LIME", ratio(times["LIME-G"], times["LIME"]), "at most 2"],
    ]  # fmt: skip
    return body, goals


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_option(parser)
    options = parser.parse_args()
    body, goals = measure(built([*HERE, *options.filler], draw(0).image))
    goals_table = table(["what", "figure", "measured", "goal"], goals)
    made = command("benchmarks.throughput", parser, options)
    write("inpainting_speed", "Fillers: speed", made, f"## Goals\n\n{goals_table}\n\n{body}")


if __name__ == "__main__":
    launch(main)
