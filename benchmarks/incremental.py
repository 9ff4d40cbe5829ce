"""SP whose patches' maps are computed whole, and where they change alone; in turn, round by round.

``python -m benchmarks.incremental`` writes ``results/incremental.md``.
"""

import argparse
import os
import statistics
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from attribution import Execution, MaskedScore, SlidingPatch
from attribution.engine.incremental import saving
from attribution.engine.precision import PreparedClassifier, prepare
from attribution.holes import PatchHoles
from benchmarks.report import command, launch, table, write
from benchmarks.turns import seconds
from infill import Gray
from models.classifiers import ImageClassifier
from models.preprocessing import Preprocessing
from models.scenes import draw

NETWORKS = ("resnet50", "vgg16", "mobilenet_v2", "resnet18", "googlenet", "densenet121", "efficientnet_b0")


@dataclass(frozen=True)
class SomePatches:
    """Patches drawn by chance from SP's grid: a share of its time, the same holes."""

    holes: PatchHoles
    chosen: Tensor

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, part: slice) -> Tensor:
        return torch.cat([self.holes[int(i) : int(i) + 1] for i in self.chosen[part]])


def network(name: str) -> ImageClassifier:
    """Torchvision's network with random weights: the arithmetic is the same."""
    from torchvision.models import get_model

    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        options = {"init_weights": False} if name == "googlenet" else {}
        made = get_model(name, weights=None, **options).eval()
    return ImageClassifier(made, Preprocessing(crop=224, resize=256))


def scores(classifier: PreparedClassifier, batch: int, patches: int, incremental: bool) -> Tensor:
    """Logits of class 0 of a score's composites, streamed as SP streams them."""
    from attribution.engine.link import logit

    execution = Execution(batch, incremental=incremental)
    score = MaskedScore(draw(0).image, 0, classifier, Gray(), logit, execution)
    holes = SlidingPatch(patch=29, stride=3).holes(score)
    chosen = torch.randperm(len(holes), generator=torch.Generator().manual_seed(0))[:patches]
    some = SomePatches(holes, chosen)
    chunks = (some[start : start + batch] for start in range(0, len(some), batch))
    return torch.cat([found for _, found in score.stream(chunks, len(some))])


def measured(name: str, batch: int, patches: int, rounds: int) -> list[object]:
    """A row of the table."""
    image = draw(0).image[None]
    classifier = prepare(network(name), "float32", image)
    spent, found = defaultdict(list), {}
    for _ in range(rounds):
        for incremental in (False, True):
            time, found[incremental] = seconds(partial(scores, classifier, batch, patches, incremental))
            spent[incremental].append(time)
    ratios = [whole / part for whole, part in zip(spent[False], spent[True], strict=True)]
    gap = (found[True] - found[False]).abs().max() / found[False].abs().max().clamp_min(1e-12)
    effect = (found[False] - found[False].mean()).abs().max() / found[False].abs().max().clamp_min(1e-12)
    return [
        name,
        *(f"{patches / statistics.median(spent[each]):.1f}" for each in (False, True)),
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        f"{saving(classifier, image):.2f}",
        f"{float(gap):.1e} ({float(effect):.1e})",
    ]


def main() -> None:
    """Measure and write the table, network by network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--patches", type=int, default=64, help="Patches of SP's 4356, drawn by chance.")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    head = ["network", "whole, images/s", "incremental, images/s", "times", "all rounds",
            "times less arithmetic", "largest difference of logits (what patches change)"]  # fmt: skip
    rows: list[list[object]] = []
    for name in options.networks:
        rows.append(measured(name, options.batch, options.patches, options.rounds))
        load = os.getloadavg()[0]
        about = (
            f"SP, patch 29, gray, 224 x 224, float32, batches of {options.batch}, {torch.get_num_threads()} "
            f"thread(s), {options.patches} patches of the grid of stride 3, random weights; the untouched "
            "image's own maps counted.\nWhole and incremental in turn, median of "
            f"{options.rounds} rounds, on a machine that others use as well (load {load:.1f}). "
            '"Times less arithmetic" is\nfor a hole of an eighth of each side in the middle. Differences are '
            "shares of the largest logit of class 0.\n\n"
        )
        write(
            "incremental",
            "Only what a patch changes",
            command("benchmarks.incremental", parser, options),
            about + table(head, rows),
            ("torch", "torchvision"),
        )


if __name__ == "__main__":
    launch(main)
