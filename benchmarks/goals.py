"""`uv run python -m benchmarks.goals`: the goals of speed on one page, measured here or read off other pages.

Ratios are of jobs that take turns. What stands on another page of ``results`` is read there, as it is.
"""

import argparse
import re
import statistics
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from attribution import Execution, Explainer, Lime, MaskedScore, Rise, SlidingPatch
from attribution.engine.precision import PreparedClassifier, prepare
from benchmarks.clock import Clock, networks_timed
from benchmarks.holes import MOBILENET
from benchmarks.report import RESULTS, command, launch
from benchmarks.rows import Rows
from benchmarks.runtimes import resnet50
from benchmarks.speed import memory
from benchmarks.turns import ratios, seconds, turns
from infill import Filler, Gray
from infill.network import Precision
from models.classifiers import ImageClassifier, load_classifier
from models.scenes import draw
from studio.registry.build import build_filler

GENERATIVE = {"ResNet-50": (1.1, 1.5), "MobileNetV2": (1.5, 3.0), "default scene": (3.0, 4.0)}
ENGINE = {"ResNet-50": 64, "MobileNetV2": 256}
"""Of how many holes the engine's share is taken; maps are made of more, so its fixed part weighs less."""
PAGES = (
    ("SP, patch 29, ResNet-50, incremental / captum", "runtimes", "SP, incremental float32", 0, 2, 2.5, 1),
    ("SP, patch 29, ResNet-50, eager float32 / captum", "runtimes", "SP, float32", 0, 2, 1.5, 1),
    ("SP, patch 29, ResNet-50, bfloat16 / captum", "runtimes", "SP, bfloat16", 0, 2, 4, 1),
    ("SP, patch 29, MobileNetV2, incremental / captum", "runtimes", "SP, incremental float32", 1, 2, 3, 1),
    ("RISE, covariance, for .95, share of the paper's masks, at most", "sampling", "0.95", 0, 4, 1 / 3, -1),
    ("RISE, covariance, the same, foretold", "sampling", "0.95, foretold", 0, 4, 1 / 3, -1),
    ("RISE, controlled, for .95, share of the paper's masks, at most", "sampling", "0.95", 0, 5, 1 / 3, -1),
    ("RISE, controlled, the same, foretold", "sampling", "0.95, foretold", 0, 5, 1 / 3, -1),
    ("LIME, reliability .9, share of samples, in pairs", "paired", "paired", 0, 2, 1 / 3, -1),
)
"""What another page has: its name, the row, which of those, the column, the goal, whether it is a floor."""


def verdict(value: float, goal: float, direction: int) -> str:
    """Whether a figure is at least (1) or at most (-1) its goal."""
    return "reached" if direction * value >= direction * goal else "missed"


def read_off(page: str, row: str, which: int, column: int) -> str:
    """Return a cell of a table on another page.

    Raises:
        ValueError: If there is no such page or row.
    """
    path = RESULTS / f"{page}.md"
    if not path.exists():
        raise ValueError(f"{path.name} is not there: run benchmarks.{page}")
    lines = (line.strip("| ").split(" | ") for line in path.read_text().splitlines() if line.startswith("|"))
    found = [cells for cells in lines if cells[0] == row]
    if which >= len(found):
        raise ValueError(f"{path.name} has no row {row}")
    return found[which][column]


def other(place: int) -> list[list[object]]:
    """Return the row of a figure of another page."""
    title, page, row, which, column, goal, direction = PAGES[place]
    cell = read_off(page, row, which, column)
    found = re.findall(r"\(([\d.]+)\)$" if page == "paired" else r"[\d.]+", cell)
    if cell.startswith("more than") or not found:  # one of both sides has not got there
        usual_known = (
            cell.startswith("more than") and read_off(page, "independent", which, column)[0].isdigit()
        )
        said = "missed" if usual_known else "undecided"
        return [[title, "not known", f"{goal:.2f}", said, f"{page}.md: {cell}"]]
    number = float(found[0])
    return [[title, f"{number:.2f}", f"{goal:.2f}", verdict(number, goal, direction), f"{page}.md: {cell}"]]


def networks() -> dict[str, Callable[[], nn.Module]]:
    """Return what loads each classifier."""
    return {
        "ResNet-50": resnet50,
        "MobileNetV2": partial(load_classifier, "mobilenet_v2", MOBILENET),
        "default scene": partial(load_classifier, "scenes"),
    }


def shown(name: str, precision: Precision) -> tuple[PreparedClassifier, torch.Tensor]:
    """Return a classifier and its view of the first scene: of another size it would be resized each time."""
    network, image = networks()[name](), draw(0).image
    view = network.view(image) if isinstance(network, ImageClassifier) else image
    return prepare(network, precision, view[None]), view


def generative(name: str, stride: int, samples: int, rounds: int) -> Iterator[list[object]]:
    """Yield how many times as long SP and LIME take with inpainting, in the command's precision."""
    classifier, image = shown(name, "auto")
    methods: dict[str, Explainer] = {
        "SP": SlidingPatch(patch=29, stride=stride),
        "LIME": Lime(samples=samples),
    }
    fillers = {"": Gray(), "-G": build_filler("inpaint", {}, image, "auto")}
    for (method, explainer), goal in zip(methods.items(), GENERATIVE[name], strict=True):
        jobs = {each: partial(run, explainer, image, classifier, filler) for each, filler in fillers.items()}
        spent = turns(jobs, rounds)
        middle, spread = ratios(spent["-G"], spent[""])
        yield [
            f"{method}-G / {method}, {name}",
            f"{middle:.2f} ({spread})",
            goal,
            verdict(middle, goal, -1),
            f"{classifier.mode}; {statistics.median(spent['']):.2f} s with gray",
        ]


def run(
    explainer: Explainer, image: torch.Tensor, classifier: PreparedClassifier, filler: Filler
) -> torch.Tensor:
    """Explain class 0."""
    execution = Execution(32, classifier.precision)
    return explainer(MaskedScore(image, 0, classifier, filler, execution=execution))


def engine(name: str, rounds: int) -> Iterator[list[object]]:
    """Yield the share of the time that is spent outside of the classifier; gray costs nothing."""
    classifier, image = shown(name, "float32")
    holes = ENGINE[name]
    methods: dict[str, Explainer] = {
        "SP": SlidingPatch(patch=29, stride=28 if holes < 100 else 14),
        "LIME": Lime(samples=holes),
        "RISE": Rise(masks=holes),
    }
    for method, explainer in methods.items():
        shares = []
        for _ in range(rounds):
            clock = Clock()
            with networks_timed(clock):
                total = seconds(partial(run, explainer, image, classifier, Gray()))[0]
            shares.append(1 - clock.spent["networks"] / total)
        share = statistics.median(shares)
        said = f"{min(shares):.1%} to {max(shares):.1%} in {rounds} rounds of {holes} holes or so"
        yield [
            f"all but the classifier, {method}, {name}",
            f"{share:.1%}",
            "3 %",
            verdict(share, 0.03, -1),
            said,
        ]


def peaks() -> Iterator[list[object]]:
    """Yield the peak memory of many holes over that of few."""
    found = memory()
    for (_, few, _, _), (name, megabytes, ratio, _) in zip(found[::2], found[1::2], strict=True):
        value = float(str(ratio).split()[0])
        yield [name, f"{value:.3f}", "1.05", verdict(value, 1.05, -1), f"{megabytes}, few holes: {few}"]


def main() -> None:
    """Measure, and write the page row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=28, help="Of SP.")
    parser.add_argument("--samples", type=int, default=64, help="Of LIME.")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = Rows(
        "goals",
        "Goals of speed",
        command("benchmarks.goals", parser, options),
        ("work", "figure", "goal", "", "from"),
        f"SP: patch 29, stride {options.stride}; LIME: {options.samples} samples; batches of 32; -G: with "
        "the inpainter that ships instead of gray.\nRISE's covariance is the quick settings' estimator; "
        "controlled: `rise.estimator=controlled`.\nThe machine is shared: ratios are of jobs that take "
        "turns. Pages that others are read off name their own conditions.",
        ("torch", "torchvision", "captum", "openvino"),
    )
    for place, (title, *_) in enumerate(PAGES):
        rows.part(title, partial(other, place))
    for name in GENERATIVE:
        rows.part(f"-G, {name}", partial(generative, name, options.stride, options.samples, options.rounds))
    for name in ("ResNet-50", "MobileNetV2"):
        rows.part(f"engine, {name}", partial(engine, name, options.rounds))
    rows.part("memory", peaks)


if __name__ == "__main__":
    launch(main)
