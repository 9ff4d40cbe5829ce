"""How many samples a reliable map needs: RISE as published, and as covariance of score and mask.

``python -m benchmarks.sampling`` writes ``results/sampling.md``; photograph by photograph, so that it can be
broken off and go on.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from attribution import Execution, MaskedScore, Rise
from attribution.estimate import GROUPS, QUANTILE, ROUND, MaskSums, rounds
from benchmarks.holes import ASSETS
from benchmarks.report import Found, command, kept, table, write
from infill import Gray
from models import scenes
from models.classifiers import ImageClassifier, load_classifier
from studio.data.image import read_picture

RUNS = Path("runs/sampling")
MOBILENET = ASSETS / "classifiers" / "mobilenet_v2.safetensors"
ESTIMATORS = {"paper": Rise(), "covariance": Rise(estimator="covariance")}
WANTED = (0.8, 0.9, 0.95)


def course(score: MaskedScore, most: int) -> Found:
    """The reliability of both estimators' maps after every hundred masks, the same for both."""
    holes = Rise(masks=most).holes(score)
    sums = MaskSums.of(score, GROUPS, 0.5)
    found: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    for hole, scores in score.stream(rounds(holes, score.execution.batch_size), len(holes)):
        sums.add(1 - hole[:, 0], scores)
        if sums.dealt % ROUND == 0:
            for name, method in ESTIMATORS.items():
                found[name].append(method.reliability(sums))
            if min(each[-1] for each in found.values()) >= max(WANTED):
                break
    return {name: np.array(values) for name, values in found.items()}


def coverage(classifier: ImageClassifier, number: int, masks: int, repeats: int, truth: int) -> Found:
    """How often intervals of 95 % hold what very many masks give, pixel by pixel."""
    scene = scenes.draw(number)
    score = MaskedScore(scene.image, int(scene.labels[0]), classifier, Gray(), execution=Execution(128))
    found = {}
    for name, method in ESTIMATORS.items():
        known = replace(method, masks=truth, seed=10**6)(score)[0]
        inside = []
        for seed in range(repeats):
            one = replace(method, masks=masks, seed=seed).estimate(score)
            inside.append(float(((one.heatmap[0] - known).abs() <= QUANTILE * one.error[0]).float().mean()))
        found[name] = np.array(inside)
    return found


def needed(values: np.ndarray, wanted: float) -> float:
    """After how many masks a map was as reliable; infinite if it never was."""
    reached = np.flatnonzero(values >= wanted)
    return float((reached[0] + 1) * ROUND) if len(reached) else np.inf


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=20)
    parser.add_argument("--most", type=int, default=8000, help="Masks at most.")
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--truth", type=int, default=50_000, help="Masks of what intervals should hold.")
    options = parser.parse_args()
    paths = sorted((ASSETS / "photos").glob("*.jpg"))
    paths = paths[:: max(1, len(paths) // options.photographs)][: options.photographs]
    network, rows = load_classifier("mobilenet_v2", MOBILENET), []
    for path in paths:
        view = network.view(read_picture(path).image)
        score = MaskedScore(view, 0, network, Gray(), execution=Execution(64, "auto"))
        top = int(score.clean_logits[0].argmax())
        asked = MaskedScore(view, top, network, Gray(), execution=Execution(64, "auto"))
        found = kept(RUNS / f"{path.stem}-{options.most}.npz", partial(course, asked, options.most))
        rows.append({name: [needed(found[name], wanted) for wanted in WANTED] for name in ESTIMATORS})
        print(path.name, rows[-1], flush=True)
    drawn = load_classifier("scenes")
    hits = [
        kept(
            RUNS / f"scene-{number}-{options.truth}.npz",
            partial(coverage, drawn, number, 500, 20, options.truth),
        )
        for number in range(1, 1 + options.scenes)
    ]
    body = f"{_masks(rows, options.most)}\n\n{_coverage(hits, options.truth)}"
    title = "How many masks a reliable map needs"
    write("sampling", title, command("benchmarks.sampling", parser, options), body)


def _masks(rows: list[dict[str, list[float]]], most: int) -> str:
    lines = []
    for place, wanted in enumerate(WANTED):
        counts = {name: np.array([row[name][place] for row in rows]) for name in ESTIMATORS}
        # What was never reached would have taken more: with the most instead, the ratio is an upper bound.
        capped = {name: np.minimum(each, most) for name, each in counts.items()}
        ratio = np.median(capped["covariance"] / capped["paper"])
        middle = [_number(float(np.median(each)), most) for each in counts.values()]
        never = [int(np.isinf(each).sum()) for each in counts.values()]
        lines.append([wanted, *middle, f"{ratio:.2f}", " / ".join(map(str, never))])
    head = [
        "reliability",
        *(f"{name}, masks" for name in ESTIMATORS),
        "median ratio, at most",
        "never reached",
    ]
    return (
        f"MobileNetV2, gray, {len(rows)} photographs: masks (median) after which the map of RISE is so\n"
        f"reliable, the same masks for both estimators, {most} at most.\n\n{table(head, lines)}"
    )


def _number(masks: float, most: int) -> str:
    return f"{masks:.0f}" if masks <= most else f"more than {most}"


def _coverage(hits: list[Found], truth: int) -> str:
    lines = [
        [name, " ".join(f"{100 * float(each[name].mean()):.1f} %" for each in hits)] for name in ESTIMATORS
    ]
    return (
        f"Intervals of 95 % from 500 masks that hold the map of {truth} masks, share of pixels, 20 seeds\n"
        f"for each of {len(hits)} scenes.\n\n{table(['', 'scene by scene'], lines)}"
    )


if __name__ == "__main__":
    main()
