"""What lockstep and old fills save the optimising methods: ratios from one run."""

import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from scipy.stats import spearmanr

from attribution import MP2, Execution, MaskedScore, MeaningfulPerturbation
from attribution.optimize.loop import OptimizingExplainer
from benchmarks.holes import WORLD
from benchmarks.report import table
from benchmarks.throughput import ratio
from benchmarks.turns import turns
from infill import Filler, Gray
from models.classifiers import load_classifier
from models.scenes import Scene, draw
from studio.registry.build import build_filler

IMAGES = 8
REFRESH = 5


def scored(filler: Filler, images: int) -> MaskedScore:
    """The score of scenes with one object, all of which the classifier names."""
    classifier = load_classifier("scenes")
    chosen: list[Scene] = []
    index = 0
    while len(chosen) < images:
        scene = draw(index, WORLD, objects=1)
        with torch.inference_mode():
            if int(classifier(scene.image[None]).argmax()) == scene.labels[0]:
                chosen.append(scene)
        index += 1
    pixels = torch.stack([scene.image for scene in chosen])
    return MaskedScore(
        pixels,
        [scene.labels[0] for scene in chosen],
        classifier,
        filler,
        execution=Execution(precision="auto"),
    )


def one_by_one(method: OptimizingExplainer, score: MaskedScore) -> None:
    """Solve image after image."""
    for one in score:
        method.optimize(one)


def lockstep(count: int) -> list[list[object]]:
    """Eight images at once against one after another, with and without a network as filler."""
    image = draw(0).image
    jobs: dict[str, tuple[OptimizingExplainer, Filler]] = {
        "MP, gray": (MeaningfulPerturbation(steps=20), Gray()),
        "MP, inpaint": (MeaningfulPerturbation(steps=20), build_filler("inpaint", {}, image, "auto")),
        "MP2 descent, gray": (MP2(rank="descent"), Gray()),
        "MP2 descent, inpaint": (MP2(rank="descent"), build_filler("inpaint", {}, image, "auto")),
    }
    rows: list[list[object]] = []
    for name, (method, filler) in jobs.items():
        score = scored(filler, IMAGES)
        ways: dict[str, Callable[[], object]] = {
            "alone": partial(one_by_one, method, score),
            "together": partial(method.optimize, score),
        }
        alone, together = turns(ways, count).values()
        times = [f"{statistics.median(times):.2f} s" for times in (alone, together)]
        rows.append([name, *times, ratio(alone, together), "at least 1.5"])
    return rows


def refreshed(images: int, method: MP2 = MP2(rank="descent", graded=True)) -> list[object]:  # noqa: B008 (frozen)
    """What fills made anew every few steps only save MP2-G, and how far its heatmap moves."""
    score = scored(build_filler("inpaint", {}, draw(0).image, "auto"), images)
    fresh, old = method.optimize(score), replace(method, refresh=REFRESH).optimize(score)
    moved = [
        spearmanr(a.flatten(), b.flatten()).statistic
        for a, b in zip(fresh.heatmap.numpy(), old.heatmap.numpy(), strict=True)
    ]
    calls = [float(one.fills.float().mean()) for one in (fresh, old)]
    areas = [f"{100 * one.hole.mean():.1f} %" for one in (fresh, old)]
    saved = f"{100 * (1 - calls[1] / calls[0]):.0f} %"
    return [f"{calls[0]:.0f}", f"{calls[1]:.0f}", saved, f"{statistics.mean(moved):.3f}", *areas]


def measure(count: int = 3, images: int = 24) -> str:
    """Both tables."""
    header = ["method", "one after another", "lockstep", "ratio", "goal"]
    first = table(header, lockstep(count))
    header = ["fills an image", "refresh", "saved", "Spearman of the heatmaps", "area", "area, refresh"]
    second = table(header, [refreshed(images)])
    return (
        f"## Lockstep\n\n{IMAGES} scenes, {torch.get_num_threads()} threads; ratios are medians over {count} "
        f"rounds, with their range.\n\n{first}\n\n"
        f"## MP2-G descent, fills made anew every {REFRESH} steps only\n\n"
        f"{images} scenes with one object.\n\n{second}"
    )
