"""`uv run python -m benchmarks.presets`: how near the quick settings come to the papers'.

ECSSD photographs, explained for the first label of MobileNetV2 with the filler of each method's paper (of
several, the first). Figures are kept in `runs/presets`, photograph by photograph, so that the command can be
broken off and goes on where it was; those of other settings, fillers' weights
or code of fillers and methods are not used again.
"""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor
from tqdm import tqdm

from attribution import MaskedScore
from attribution.explainer import SamplingExplainer
from attribution.optimize.loop import OptimizingExplainer
from benchmarks import holes
from benchmarks.fillers import folder, of_first_label
from benchmarks.holes import MOBILENET, Case
from benchmarks.intervals import FEW, interval
from benchmarks.report import Found, command, kept, launch, table, write
from models.classifiers import ImageClassifier, load_classifier
from studio.registry.build import build_method
from studio.registry.papers import INPAINTER, PUBLISHED, STAND_IN
from studio.registry.tables import METHODS, Preset

RUNS = Path("runs/presets")
SKIPPED = ("pda",)
"""Its paper's settings take half a million composites a photograph."""
PRESETS: tuple[Preset, ...] = ("quick", "paper")
TOP = 0.1
"""The share of the pixels whose overlap is measured."""


def compared(name: str, case: Case, classifier: ImageClassifier) -> Found:
    """Both heatmaps of a method on a photograph, their rank correlation and overlap."""
    score = of_first_label(case.image, classifier, filler_of(name))
    maps: dict[str, Tensor] = {}
    found: dict[str, float] = {}
    for preset in PRESETS:
        method = build_method(name, {}, preset=preset)
        if isinstance(method, OptimizingExplainer):
            outcome = method.optimize(score)
            maps[preset], found[preset] = outcome.heatmap[0], float(outcome.left)
            found[f"{preset} kept"] = float(outcome.kept)
        else:
            maps[preset] = method(score)[0]
    found["spearman"] = float(spearmanr(*(each.flatten().numpy() for each in maps.values())).statistic)
    found["iou"] = overlap(maps["quick"], maps["paper"])
    found["clean"] = float(score.clean)
    return {key: np.array(value) for key, value in found.items()}


def folder_of(name: str) -> Path:
    """Return where a method's figures are kept."""
    methods = [build_method(name, {}, preset=preset) for preset in PRESETS]
    return folder(RUNS / name, filler_of(name), methods, classifiers=[MOBILENET])


def filler_of(name: str) -> str:
    """Return what fills: the first of the paper's fillers, on views of photographs."""
    return PUBLISHED[name].fillers[0].replace(INPAINTER, STAND_IN).partition("@")[0]


def overlap(one: Tensor, other: Tensor) -> float:
    """Intersection over union of the pixels that are largest in either map."""
    count = round(TOP * one.numel())
    tops = [set(each.flatten().topk(count).indices.tolist()) for each in (one, other)]
    return len(tops[0] & tops[1]) / len(tops[0] | tops[1])


def composites(name: str, preset: Preset, score: MaskedScore) -> int:
    """How many composites a method scores, at most."""
    method = build_method(name, {}, preset=preset)
    if isinstance(method, OptimizingExplainer):
        return method.composites
    assert isinstance(method, SamplingExplainer)
    return len(method.holes(score))


def row(name: str, found: list[Mapping[str, np.ndarray]], score: MaskedScore) -> list[object]:
    """A method's line: means over photographs."""
    figures = {key: np.array([float(each[key]) for each in found]) for key in found[0]}
    searched = "quick" in figures
    left = [f"{figures[key].mean():.3f}" if searched else "" for key in PRESETS]
    rest = [f"{figures[key].mean():.3f}" if searched else "" for key in ("quick kept", "paper kept")]
    counts = " / ".join(str(composites(name, preset, score)) for preset in PRESETS)
    return [
        name, filler_of(name), interval(figures["spearman"], 2), interval(figures["iou"], 2),
        " / ".join(left) if searched else "", " / ".join(rest) if searched else "", counts,
    ]  # fmt: skip


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5, help="Photographs.")
    options = parser.parse_args()
    classifier = load_classifier("mobilenet_v2", MOBILENET)
    names = [
        name for name in METHODS if name in PUBLISHED and PUBLISHED[name].classifiers and name not in SKIPPED
    ]
    found: dict[str, list[Found]] = {name: [] for name in names}
    folders = {name: folder_of(name) for name in names}
    cases = list(holes.silhouettes(options.count))
    for number, case in enumerate(tqdm(cases)):
        for name in names:
            path = folders[name] / f"{number}.npz"
            found[name].append(kept(path, partial(compared, name, case, classifier)))
    score = MaskedScore(next(holes.silhouettes(1)).image, 0, classifier)
    header = ["method", "filler", "Spearman", f"IoU of the top {TOP:.0%}", "p left: quick / paper",
              "p of what is kept: quick / paper", "composites, at most"]  # fmt: skip
    clean = np.mean([float(each["clean"]) for each in found[names[0]]])
    body = (
        f"{len(cases)} photographs, p of the first label {clean:.3f} on average; means with intervals "
        f"over photographs ({FEW}). Left out: {', '.join(SKIPPED)}, whose paper's settings take half a "
        f"million composites for each.\n\n" + table(header, [row(name, found[name], score) for name in names])
    )
    made = command("benchmarks.presets", parser, options)
    write("presets", "Quick settings beside the papers'", made, body, ("torch", "scipy"))


if __name__ == "__main__":
    launch(main)
