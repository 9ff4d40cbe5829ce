"""`uv run python -m benchmarks.convergence`: what it saves and costs to stop a search whose loss rests.

Drawn scenes with the papers' settings and the shipped classifier, and ECSSD photographs with the quick
settings and MobileNetV2's first label; both filled as each method's paper has it (the first of its fillers).
Each image is explained twice, with all steps and with `patience`. Figures are kept in `runs/convergence`,
image by image, so that the command can be broken off and goes on where it was; those of other
settings, fillers' weights or code of fillers and methods are not used again.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from tqdm import tqdm

from attribution import MaskedScore
from attribution.optimize.result import Outcome
from benchmarks import holes
from benchmarks.fillers import folder, of_first_label
from benchmarks.holes import MOBILENET
from benchmarks.intervals import FEW, interval
from benchmarks.presets import filler_of
from benchmarks.report import Found, command, kept, launch, table, write
from models.classifiers import load_classifier
from models.classifiers.scenes import FILE as SHIPPED
from models.scenes import draw
from studio.registry.build import build_filler, build_method
from studio.registry.tables import OPTIMIZING, Preset

RUNS = Path("runs/convergence")
USED, ASKED = ("models.scenes",), (MOBILENET, SHIPPED)
WARM = 2
"""Steps before the time is taken: whatever runs first is slower."""
METHODS = ("mp", "fido", "extremal", "ssr", "sdr", "dssr", "dssr-plus")


def compared(name: str, preset: Preset, patience: int, score: MaskedScore) -> Found:
    """Steps, seconds and what is left of both runs, and how well their heatmaps agree."""
    method = build_method(name, {}, preset=preset)
    replace(method, steps=WARM).optimize(score)  # type: ignore[type-var, attr-defined]
    found: dict[str, float] = {}
    outcomes: dict[str, Outcome] = {}
    for run, steps in {"all": 0, "rested": patience}.items():
        begun = time.process_time()
        outcomes[run] = replace(method, patience=steps).optimize(score)  # type: ignore[type-var, attr-defined]
        found[f"{run} seconds"] = time.process_time() - begun
        found[f"{run} steps"] = float(outcomes[run].steps)
        found[f"{run} left"], found[f"{run} kept"] = float(outcomes[run].left), float(outcomes[run].kept)
    maps = (outcome.heatmap[0].flatten().numpy() for outcome in outcomes.values())
    found["spearman"] = float(spearmanr(*maps).statistic)
    return {key: np.array(value) for key, value in found.items()}


def scenes(count: int, name: str) -> Iterator[MaskedScore]:
    """Yield scores of scenes of one object, filled as the method's paper has it."""
    classifier = load_classifier("scenes")
    for index in range(count):
        scene = draw(index, objects=1)
        filler = build_filler(filler_of(name), {}, scene.image)
        score = MaskedScore(scene.image, scene.labels[0], classifier, filler)
        if bool((score.clean > 2 * score.chance).all()):
            yield score


def photographs(count: int, name: str) -> Iterator[MaskedScore]:
    """Yield scores of photographs, filled as the method's paper has it."""
    classifier = load_classifier("mobilenet_v2", MOBILENET)
    for case in holes.silhouettes(count):
        yield of_first_label(case.image, classifier, filler_of(name))


def row(name: str, preset: Preset, found: Sequence[Found]) -> list[object]:
    """A method's line."""
    figures = {key: np.array([float(each[key]) for each in found]) for key in found[0]}
    saved = [1 - figures[f"rested {key}"] / figures[f"all {key}"] for key in ("steps", "seconds")]
    both = [
        " / ".join(f"{figures[f'{run} {key}'].mean():.3f}" for run in ("all", "rested"))
        for key in ("left", "kept")
    ]
    quick = OPTIMIZING[name].quick if preset == "quick" else {}
    steps = build_method(name, {}, preset=preset).steps  # type: ignore[attr-defined]
    return [
        name, filler_of(name), steps if not quick else f"{steps} (quick)",
        *(f"{100 * np.median(each):.0f} %" for each in saved), interval(figures["spearman"], 2),
        f"{np.median(figures['spearman']):.2f}", *both,
    ]  # fmt: skip


def rows(
    title: str, preset: Preset, patience: int, scores: Callable[[str], Iterator[MaskedScore]]
) -> tuple[int, list[list[object]]]:
    """How many images there were, which may be fewer than were asked for, and a line for each method."""
    found: dict[str, list[Found]] = {name: [] for name in METHODS}
    for name, each in found.items():
        method = build_method(name, {}, preset=preset)
        place = folder(
            RUNS / f"{title}-{preset}-{patience}" / name, filler_of(name), [method], USED, classifiers=ASKED
        )
        for number, score in enumerate(tqdm(scores(name), desc=f"{title} {name}")):
            each.append(kept(place / f"{number}.npz", partial(compared, name, preset, patience, score)))
    return len(found[METHODS[0]]), [row(name, preset, each) for name, each in found.items()]


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=20, help="Scenes.")
    parser.add_argument("--photographs", type=int, default=20, help="Photographs.")
    parser.add_argument("--preset", choices=("paper", "quick"), default="paper", help="Settings for scenes.")
    parser.add_argument("--patience", type=int, default=20, help="Steps that a loss must rest.")
    options = parser.parse_args()
    header = ["method", "filler", "steps, at most", "steps saved (median)", "seconds saved (median)",
              "Spearman to all steps", "its median", "p left: all / rested",
              "p kept: all / rested"]  # fmt: skip
    groups: list[tuple[str, Preset, int, Callable[[int, str], Iterator[MaskedScore]]]] = [
        ("scenes", options.preset, options.scenes, scenes),
        ("photographs", "quick", options.photographs, photographs),
    ]
    parts = []
    for title, preset, count, of in groups:
        if count:
            used, lines = rows(title, preset, options.patience, partial(of, count))
            parts.append(f"## {used} {title}, {preset} settings\n\n" + table(header, lines))
    about = (
        f"A search stops for an image when the mean of its last {options.patience} losses is that of as many "
        "before, within their noise or a thousandth of all that the loss has changed. Means with intervals "
        f"over images; {FEW}.\n\n"
    )
    made = command("benchmarks.convergence", parser, options)
    write(
        "convergence",
        "Searches that stop when their loss rests",
        made,
        about + "\n\n".join(parts),
        ("torch", "scipy"),
    )


if __name__ == "__main__":
    launch(main)
