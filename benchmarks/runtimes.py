"""SP beside captum's Occlusion: torch in float32 and bfloat16, incremental, and OpenVINO; all in turn.

``python -m benchmarks.runtimes`` writes ``results/runtimes.md``.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from attribution import Execution, MaskedScore, SlidingPatch
from attribution.engine.precision import PreparedClassifier, prepare
from benchmarks.holes import MOBILENET
from benchmarks.report import command, launch, table, write
from benchmarks.turns import fastest, ratios, turns
from infill import Gray
from models.classifiers import ImageClassifier, load_classifier
from models.classifiers.runtime import converted
from models.preprocessing import Preprocessing
from models.scenes import draw

GRAY = Gray()
Job: TypeAlias = Callable[[], Tensor]
USUAL = "captum, float32"
TRIED = (1, 2, 4, 8, 16, 32)
"""How many perturbations a call captum is tried with."""
INCREMENTAL = "SP, incremental float32"
INDUCTOR = "SP, torch.compile float32 (not offered)"
GOALS: dict[str, dict[str, float]] = {
    "ResNet-50": {
        "SP, float32": 1.5,
        "SP, incremental float32": 2.5,
        "SP, bfloat16": 4,
        "SP, OpenVINO float32": 2.5,
    },
    "MobileNetV2": {"SP, incremental float32": 3, "SP, OpenVINO float32": 3},
}


def resnet50() -> ImageClassifier:
    """Torchvision's ResNet-50 with random weights: the arithmetic is the same."""
    from torchvision.models import get_model

    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        network = get_model("resnet50", weights=None).eval()
    return ImageClassifier(network, Preprocessing(crop=224, resize=256))


def occlusion(classifier: ImageClassifier, image: Tensor, stride: int, batch: int) -> Tensor:
    """Captum's map for class 0, averaged over the patches that cover a pixel."""
    from captum.attr import Occlusion

    baseline = torch.tensor(GRAY.color).view(1, 3, 1, 1).expand_as(image)
    with torch.inference_mode():
        found: Tensor = Occlusion(lambda images: classifier(images).softmax(1)).attribute(
            image, (3, 29, 29), (3, stride, stride), baseline, target=0, perturbations_per_eval=batch
        )
    return found.mean(1)


def compiled(ready: PreparedClassifier, image: Tensor) -> PreparedClassifier:
    """The folded network as inductor compiles it for batches of any size; that takes most of a minute."""
    network: Callable[[Tensor], Tensor] = torch.compile(ready.network, dynamic=True)
    found = replace(ready, network=network)
    with torch.no_grad():
        for count in (1, 32):
            found(image.expand(count, -1, -1, -1))
    return found


def jobs(classifier: ImageClassifier, image: Tensor, stride: int, batch: int) -> dict[str, Job]:
    """What is run, by name; captum with so many perturbations a call."""
    method = SlidingPatch(patch=29, stride=stride, average=True)
    ready = {
        "SP, float32": prepare(classifier, "float32", image),
        INCREMENTAL: prepare(classifier, "float32", image),
        "SP, bfloat16": prepare(classifier, "auto", image),
        "SP, OpenVINO float32": prepare(converted(classifier), "float32", image),
        INDUCTOR: compiled(prepare(classifier, "float32", image), image),
    }

    def slide(name: str, network: PreparedClassifier) -> Tensor:
        execution = Execution(32, network.precision, incremental=name == INCREMENTAL)
        return method(MaskedScore(image, 0, network, GRAY, execution=execution))

    return {
        USUAL: partial(occlusion, classifier, image, stride, batch),
        **{name: partial(slide, name, each) for name, each in ready.items()},
    }


def measured(
    classifier: ImageClassifier, stride: int, rounds: int, goals: dict[str, float]
) -> tuple[int, list[list[str]]]:
    """Captum's batch, and rows: seconds, the ratio to captum round by round, and how far maps are apart."""
    image = classifier.view(draw(0).image)[None]  # of another size it would be resized, each time anew
    batch = fastest({count: partial(occlusion, classifier, image, 29, count) for count in TRIED})
    planned = jobs(classifier, image, stride, batch)
    maps: dict[str, np.ndarray] = {}

    def run(name: str) -> None:
        maps[name] = planned[name]().float().numpy()

    spent = turns({name: partial(run, name) for name in planned}, rounds)
    rows = []
    for name, times in spent.items():
        ratio, spread = ratios(spent[USUAL], times)
        goal = f" ({goals[name]:g})" if name in goals else ""
        gap = np.abs(maps[name] - maps[USUAL]).max() / max(np.abs(maps[USUAL]).max(), 1e-12)
        rows.append([name, f"{statistics.median(times):.1f}", f"{ratio:.2f}{goal}", spread, f"{gap:.1e}"])
    return batch, rows


def section(name: str, classifier: ImageClassifier, options: argparse.Namespace) -> str:
    """A network's table."""
    batch, rows = measured(classifier, options.stride, options.rounds, GOALS[name])
    head = ["", "seconds", "times captum (goal)", "all rounds", "largest difference, of the largest value"]
    return f"## {name}\n\nCaptum with {batch} a call.\n\n{table(head, rows)}"


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    mobilenet = MOBILENET
    networks = {"ResNet-50": resnet50(), "MobileNetV2": load_classifier("mobilenet_v2", mobilenet)}
    parts = [section(name, each, options) for name, each in networks.items()]
    text = (
        f"Patch 29, stride {options.stride}, gray, 224 x 224, {torch.get_num_threads()} threads, median "
        f"of {options.rounds} rounds in turn,\nafter one that does not count. Captum gets that batch of "
        f"{TRIED} with which it is fastest.\nbfloat16 is `--precision auto`, float32 where the processor has "
        "no bfloat16. Compiling is not counted."
    )
    text += f" Load of the machine at the end: {os.getloadavg()[0]:.1f}."
    said = command("benchmarks.runtimes", parser, options)
    packages = ("torch", "torchvision", "captum", "openvino")
    write("runtimes", "Runtimes", said, "\n\n".join([text, *parts]), packages)


if __name__ == "__main__":
    launch(main)
