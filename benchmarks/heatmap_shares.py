"""`uv run python -m benchmarks.heatmap_shares`: how much of a method's heatmap is the filler's own evidence.

ECSSD photographs, explained for the first label of MobileNetV2. Where no object is, nothing is taken away by
removing: what a heatmap varies there is the filler's. Figures are kept in `runs/heatmap_shares`, so that
the command can be broken off and goes on where it was; those of other settings, fillers' weights
or code of fillers and methods are not used again.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from attribution import Explainer, MaskedScore
from attribution.engine.precision import prepare
from attribution.evaluation.own_evidence import own_evidence
from benchmarks import holes
from benchmarks.fillers import add_option, built, folder
from benchmarks.holes import MOBILENET, Case
from benchmarks.intervals import interval
from benchmarks.report import Found, command, kept, launch, table, write
from infill import Filler
from models.classifiers import ImageClassifier, load_classifier
from studio.registry.build import build_method
from studio.registry.tables import METHODS

RUNS = Path("runs/heatmap_shares")
FILLERS = ("gray", "blur", "telea", "inpaint")
"""Those that fill some hundred holes in seconds."""
EXPLAINERS = {
    "sp": {"patch": "53", "stride": "19"},
    "lime": {"samples": "200"},
    "rise": {"masks": "300", "estimator": "paper"},
}
"""What explains, with settings that take seconds a photograph; the rest is as the papers have it."""


def built_method(name: str) -> Explainer:
    """Return what explains."""
    return build_method(name, {name: EXPLAINERS[name]}, preset="paper")


def shares(name: str, filler: Filler, cases: Sequence[Case], classifier: ImageClassifier) -> Found:
    """By method and photograph, the share of the heatmap's variance that is the filler's own."""
    rows: dict[str, list[float]] = {method: [] for method in EXPLAINERS}
    fast = prepare(classifier, "auto", cases[0].image[None])
    for case in tqdm(cases, desc=name, mininterval=10):
        with torch.inference_mode():
            target = int(fast(case.image[None]).argmax())
        score = MaskedScore(case.image, target, fast, filler)
        for method, found in rows.items():
            heatmap = built_method(method)(score)
            found.append(own_evidence(heatmap, case.hole > 0, METHODS[method].signed).item())
    return {method: np.array(found) for method, found in rows.items()}


def paired(found: Found, base: Found) -> list[str]:
    """Each method's mean share, and its paired difference to the first filler's, with intervals."""
    return [f"{interval(found[each])} ({interval(found[each] - base[each])})" for each in EXPLAINERS]


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=12, help="Photographs.")
    add_option(parser)
    options = parser.parse_args()
    classifier = load_classifier("mobilenet_v2", MOBILENET)
    cases = list(holes.silhouettes(options.count))
    fillers = built([*FILLERS, *options.filler], cases[0].image)
    explainers, uses = [built_method(name) for name in EXPLAINERS], [own_evidence.__module__]
    found = {
        name: kept(
            folder(RUNS, name, explainers, uses, classifiers=[MOBILENET]) / f"{len(cases)}.npz",
            partial(shares, name, filler, cases, classifier),
        )
        for name, filler in fillers.items()
    }
    rows = [[name, *paired(each, found["gray"])] for name, each in found.items()]
    settings = "; ".join(
        f"{method}: " + ", ".join(f"{key} {value}" for key, value in fields.items())
        for method, fields in EXPLAINERS.items()
    )
    body = (
        f"{len(cases)} images; mean over images with its interval, in brackets the paired difference to "
        f"gray's. {settings}.\n\n" + table(["filler", *EXPLAINERS], rows)
    )
    made = command("benchmarks.heatmap_shares", parser, options)
    write("heatmap_shares", "The filler's own share of a heatmap's variance", made, body)


if __name__ == "__main__":
    launch(main)
