"""How many samples a reliable map needs: RISE as published, as covariance of score and mask, and controlled.

``python -m benchmarks.sampling`` writes ``results/sampling.md``; photograph by photograph, so that it can be
broken off and go on.
"""

import argparse
import importlib.util
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from attribution import Execution, MaskedScore, Rise
from attribution.estimate import GROUPS, QUANTILE, ROUND, Estimate, MaskSums
from attribution.holes import RandomGridHoles, batches
from benchmarks.fillers import folder
from benchmarks.holes import ASSETS, MOBILENET
from benchmarks.report import Found, command, kept, launch, table, write
from infill import Gray
from models import scenes
from models.classifiers import ImageClassifier, load_classifier
from models.classifiers.runtime import converted
from models.classifiers.scenes import FILE as SHIPPED
from studio.data.image import read_picture

RUNS = Path("runs/sampling")
ESTIMATORS: dict[str, Rise] = {
    "paper": Rise(),
    "covariance": Rise(estimator="covariance"),
    "controlled": Rise(estimator="controlled"),
}
BEST = "controlled"
WANTED = (0.8, 0.9, 0.95)
GOAL = 1 / 3
"""The share of the paper's masks that the best may take."""
MOST, BATCH, CHUNK = 8000, 32, 500


def empty(score: MaskedScore, holes: RandomGridHoles) -> dict[str, MaskSums]:
    """Return the sums over no mask yet, by estimator."""
    return {
        name: MaskSums.of(score, GROUPS, method.keep, method.blocks(holes))
        for name, method in ESTIMATORS.items()
    }


@dataclass
class Course:
    """One photograph's masks, a chunk at a time, and how reliable the estimators' maps were on the way.

    Attributes:
        name: Of the photograph.
        score: Of its first class.
        holes: What the masks do not keep, the same for all estimators.
        sums: By estimator over the masks so far.
        found: By estimator the reliability after every hundred masks.
        first: By estimator the map of the first chunk.
        others: Over all masks but those of the first chunk.
    """

    name: str
    score: MaskedScore
    holes: RandomGridHoles
    sums: dict[str, MaskSums] = field(init=False)
    found: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ESTIMATORS})
    first: dict[str, Tensor] = field(default_factory=dict)
    others: MaskSums = field(init=False)

    def __post_init__(self) -> None:
        self.sums = empty(self.score, self.holes)
        self.others = MaskSums.of(self.score, 1, 0.5)

    @property
    def dealt(self) -> int:
        """How many masks have been taken."""
        return self.sums["paper"].dealt

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to learn: the paper's map is reliable, or would come too late."""
        last = {name: each[-1] for name, each in self.needed.items()}
        late = self.dealt >= last["covariance"] / GOAL
        return max(last["covariance"], last[BEST]) < np.inf and (last["paper"] < np.inf or late)

    @property
    def needed(self) -> dict[str, list[float]]:
        """After how many masks each estimator's map was as reliable as wanted; infinite if it never was."""
        return {name: [_needed(values, wanted) for wanted in WANTED] for name, values in self.found.items()}

    def foretold(self, name: str) -> float:
        """Return how many masks would make the map as reliable as is wanted most (Spearman and Brown)."""
        now, wanted = np.clip(self.found[name][-1], 1e-3, 0.999), max(WANTED)
        return float(self.dealt * wanted / (1 - wanted) * (1 - now) / now)

    def agreement(self, name: str) -> float:
        """Return the rank correlation of the first chunk's map with the covariance of all other masks."""
        pair = (self.first[name], self.others.moments().slope())
        return float(spearmanr(*(each.flatten().numpy() for each in pair)).statistic)

    def path(self, chunk: range) -> Path:
        """Return where the scores of a chunk of masks are kept."""
        scored = ("attribution.holes", "attribution.score", "attribution.methods.rise")
        place = folder(RUNS, "gray", uses=scored, classifiers=[MOBILENET])
        return place / f"{self.name}-{chunk.start}-{chunk.stop}.npz"

    def go_on(self, chunk: range) -> None:
        """Take a chunk of masks; their scores are kept on disk."""
        scores = torch.from_numpy(kept(self.path(chunk), partial(self._scored, chunk))["scores"])
        for start in range(chunk.start, chunk.stop, ROUND):
            masks = 1 - self.holes[start : start + ROUND][:, 0]
            some = scores[start - chunk.start :][: len(masks)]
            if chunk.start:
                self.others.add(masks, some)
            for name, method in ESTIMATORS.items():
                self.sums[name].add(masks, some)
                self.found[name].append(method.reliability(self.sums[name]))
        if not chunk.start:
            self.first = {name: method.map(self.sums[name].moments()) for name, method in ESTIMATORS.items()}

    def _scored(self, chunk: range) -> Found:
        parts = range(chunk.start, chunk.stop, BATCH)
        scores = [self.score(self.holes[start : min(start + BATCH, chunk.stop)]) for start in parts]
        return {"scores": torch.cat(scores).numpy()}


def coverage(classifier: ImageClassifier, number: int, masks: int, repeats: int, truth: int) -> Found:
    """How often intervals of 95 % hold what very many masks give, pixel by pixel."""
    scene = scenes.draw(number)
    score = MaskedScore(scene.image, int(scene.labels[0]), classifier, Gray(), execution=Execution(128))

    def estimates(count: int, seed: int) -> dict[str, Estimate]:
        holes = Rise(masks=count, seed=seed).holes(score)
        sums = empty(score, holes)
        for hole, scores in score.stream(batches(holes, 128), count):
            for each in sums.values():
                each.add(1 - hole[:, 0], scores)
        return {name: method.estimated(sums[name]) for name, method in ESTIMATORS.items()}

    known, inside = estimates(truth, 10**6), defaultdict(list)
    for seed in range(repeats):
        for name, one in estimates(masks, seed).items():
            held = (one.heatmap - known[name].heatmap).abs() <= QUANTILE * one.error
            inside[name].append(float(held.float().mean()))
    return {name: np.array(values) for name, values in inside.items()}


def photographs(count: int) -> list[Course]:
    """Return as many photographs, with MobileNetV2; OpenVINO runs it if it is installed."""
    paths = sorted((ASSETS / "photos").glob("*.jpg"))
    network = load_classifier("mobilenet_v2", MOBILENET)
    fast = converted(network) if importlib.util.find_spec("openvino") else network
    courses = []
    for path in paths[:: max(1, len(paths) // count)][:count]:
        score = MaskedScore(
            network.view(read_picture(path).image), 0, fast, Gray(), execution=Execution(BATCH)
        )
        holes = Rise(masks=MOST).holes(score)  # where masks lie depends on how many are drawn
        top = int(score.clean_logits[0].argmax())
        courses.append(Course(path.stem, replace(score, target=top), holes))
    return courses


def _needed(values: list[float], wanted: float) -> float:
    reached = np.flatnonzero(np.array(values) >= wanted)
    return float((reached[0] + 1) * ROUND) if len(reached) else np.inf


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=20)
    parser.add_argument("--most", type=int, default=MOST, help=f"Masks at most, {MOST} or fewer.")
    parser.add_argument("--kept", action="store_true", help="Only what is on disk from runs before.")
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--truth", type=int, default=50_000, help="Masks of what intervals should hold.")
    options = parser.parse_args()
    courses = photographs(options.photographs)
    for start in range(0, options.most, CHUNK):
        chunk = range(start, min(start + CHUNK, options.most))
        going = [course for course in courses if not course.ended]
        if options.kept:
            going = [course for course in going if course.dealt == start and course.path(chunk).exists()]
        for course in going:
            course.go_on(chunk)
        last = ", ".join(f"{course.name} {course.found[BEST][-1]:.3f}" for course in going)
        if not going:
            break
        print(f"{chunk.stop} masks: {last}", flush=True)
    drawn = load_classifier("scenes")
    place = folder(RUNS, "gray", list(ESTIMATORS.values()), ["models.scenes"], classifiers=[SHIPPED])
    hits = [
        kept(
            place / f"scene-{number}-{options.truth}.npz",
            partial(coverage, drawn, number, 500, 20, options.truth),
        )
        for number in range(1, 1 + options.scenes)
    ]
    body = _masks(courses, options.most) + (f"\n\n{_coverage(hits, options.truth)}" if hits else "")
    title = "How many masks a reliable map needs"
    write("sampling", title, command("benchmarks.sampling", parser, options), body)


def _masks(courses: list[Course], most: int) -> str:
    lines, dealt = [], np.array([course.dealt for course in courses])
    for place, wanted in enumerate(WANTED):
        counts = {name: np.array([course.needed[name][place] for course in courses]) for name in ESTIMATORS}
        missed = [int(np.isinf(each).sum()) for each in counts.values()]
        # What was not reached would have taken more: with all masks instead, the ratio is an upper bound.
        capped = {name: np.minimum(each, dealt) for name, each in counts.items()}
        lines.append([wanted, *_compared(counts, capped), " / ".join(map(str, missed))])
    told = {name: np.array([course.foretold(name) for course in courses]) for name in ESTIMATORS}
    lines.append([f"{max(WANTED)}, foretold", *_compared(told, told), ""])
    head = [
        "reliability",
        *(f"{name}, masks" for name in ESTIMATORS),
        *(f"{name} / paper (median, at most)" for name in list(ESTIMATORS)[1:]),
        "not reached",
    ]
    return (
        f"MobileNetV2, gray, {len(courses)} photographs: masks (median) after which the map of RISE is so\n"
        f"reliable, the same masks for all estimators; {most} at most, and no more of a photograph once the\n"
        f"paper's map would take over {1 / GOAL:.0f} times as many as the covariance: {dealt.min()} to "
        f"{dealt.max()} were taken.\nWhat was not reached within them may take any number more. Foretold: by "
        "Spearman and Brown\nfrom all masks of each photograph.\n\n"
        f"{table(head, lines)}{_agreement(courses)}"
    )


def _agreement(courses: list[Course]) -> str:
    """Return how the maps of the first chunk agree with what knows nothing of them, where there is such."""
    more = [course for course in courses if course.others.dealt]
    if not more:
        return ""
    middle = [f"{np.median([course.agreement(name) for course in more]):.3f}" for name in ESTIMATORS]
    return (
        f"\n\nRank correlation (median) of the map of the first {CHUNK} masks with the covariance of all\n"
        f"others, which knows nothing of them, {len(more)} photographs:\n\n"
        f"{table(list(ESTIMATORS), [middle])}"
    )


def _compared(counts: Found, capped: Found) -> list[str]:
    """Return the median of each estimator, and those of their ratios to the paper's."""
    others = list(capped.values())[1:]
    shares = [f"{np.median(each / capped['paper']):.2f}" for each in others]
    return [*(median_of(each, capped[name]) for name, each in counts.items()), *shares]


def median_of(counts: np.ndarray, capped: np.ndarray) -> str:
    """Return the median, or its bounds: an infinite count may be anything above what it is capped at."""
    low, high = float(np.median(capped)), float(np.median(counts))
    if high == np.inf:
        return "not within the masks taken"
    return f"{high:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def _coverage(hits: list[Found], truth: int) -> str:
    lines = [
        [name, " ".join(f"{100 * float(each[name].mean()):.1f} %" for each in hits)] for name in ESTIMATORS
    ]
    return (
        f"Intervals of 95 % from 500 masks that hold the map of {truth} masks, share of pixels, 20 seeds\n"
        f"for each of {len(hits)} scenes.\n\n{table(['', 'scene by scene'], lines)}"
    )


if __name__ == "__main__":
    launch(main)
