"""Whether samples in pairs, or drawn more evenly, make maps of LIME and RISE reliable with fewer of them.

``python -m benchmarks.paired`` writes ``results/paired.md``; photograph by photograph, so that it can be
broken off and go on. Each way of sampling is run with two seeds: its reliability is the rank correlation of
the two maps.
"""

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Generator, Tensor

from attribution import Execution, Lime, MaskedScore, Rise
from attribution.estimate import MaskSums
from attribution.holes import SegmentHoles
from attribution.methods.lime import Samples, cosine_distance, ridge
from benchmarks.fillers import folder
from benchmarks.holes import ASSETS, MOBILENET
from benchmarks.report import Found, command, kept, launch, table, write
from infill import Gray
from models.classifiers import load_classifier
from studio.data.image import read_picture

RUNS = Path("runs/paired")
STEP = 50
WANTED = (0.8, 0.9, 0.95)


def independent(count: int, segments: int, generator: Generator) -> Tensor:
    """Each segment is on with probability one half, as in LIME."""
    return torch.rand(count, segments, generator=generator) < 0.5


def paired(count: int, segments: int, generator: Generator) -> Tensor:
    """Every other sample is the complement of the one before, as in KernelSHAP."""
    half = independent(-(-count // 2), segments, generator)
    return torch.stack([half, ~half], dim=1).flatten(0, 1)[:count]


def balanced(count: int, segments: int, generator: Generator) -> Tensor:
    """In every 20 samples in a row each segment is on in 10."""
    blocks = torch.rand(-(-count // 20), 20, segments, generator=generator).argsort(dim=1) < 10
    return blocks.flatten(0, 1)[:count]


def stratified(count: int, segments: int, generator: Generator) -> Tensor:
    """The number of segments that are off is evenly covered, from 1 to all but 1 (another definition)."""
    off = 1 + (torch.rand(1, generator=generator) + torch.arange(count) * 0.6180339887) % 1 * (segments - 1)
    order = torch.rand(count, segments, generator=generator).argsort(dim=1).argsort(dim=1)
    return order >= off.long()[:, None]


WAYS: dict[str, Callable[[int, int, Generator], Tensor]] = {
    "independent": independent,
    "paired": paired,
    "balanced": balanced,
    "stratified": stratified,
}
ANOTHER = "another"
"""Independent samples that no row is of: what every way's map is held against."""


def seeded(ways: Iterable[str]) -> dict[str, tuple[int, int]]:
    """The seeds of each way and of `ANOTHER`: those that share samples agree, whatever the way is worth."""
    return {way: (2 * place, 2 * place + 1) for place, way in enumerate([*ways, ANOTHER])}


def lime(score: MaskedScore, samples: int) -> Found:
    """LIME's coefficients, pixel by pixel, after every `STEP` samples: by way "seeds steps pixels"."""
    method = Lime()
    segments = method.segment(score.image[0])
    found = {}
    for name, seeds in seeded(WAYS).items():
        draw, runs = WAYS.get(name, independent), []
        for seed in seeds:
            on = draw(samples, int(segments.max()) + 1, torch.Generator().manual_seed(seed))
            on[0] = True
            outputs = score(SegmentHoles(segments, on)[:]).double()
            weights = (-(cosine_distance(on) ** 2) / method.kernel_width**2).exp().sqrt()
            whole = Samples(on.double(), outputs, weights)
            runs.append([_fit(whole, count)[segments].flatten() for count in range(STEP, samples + 1, STEP)])
        found[name] = np.stack([np.stack([each.numpy() for each in run]) for run in runs]).astype("float32")
    return found


def _fit(samples: Samples, count: int) -> Tensor:
    some = samples.part(torch.arange(len(samples.outputs)) < count)
    return ridge(some.on, some.outputs, some.weights, 1.0)


def rise(score: MaskedScore, masks: int) -> Found:
    """RISE's covariance maps after every `STEP` masks, thinned to every fourth pixel, as for `lime`."""
    found = {}
    for name, seeds in seeded(("independent", "paired")).items():
        runs = []
        for seed in seeds:
            sums, maps = MaskSums.of(score, 1, 0.5), []
            holes = Rise(masks=masks, seed=seed).holes(score)
            for start in range(0, masks, STEP):
                hole = holes[start : start + STEP]
                if name == "paired":
                    half = holes[start // 2 : (start + STEP) // 2]
                    hole = torch.stack([half, 1 - half], dim=1).flatten(0, 1)
                sums.add(1 - hole[:, 0], score(hole))
                maps.append(sums.moments().slope()[::4, ::4].flatten().numpy())
            runs.append(np.stack(maps))
        found[name] = np.stack(runs)
    return found


def course(maps: np.ndarray) -> np.ndarray:
    """The rank correlation of both seeds' maps, step by step."""
    return np.array([spearmanr(*both).statistic for both in zip(*maps, strict=True)])


def rows(found: list[Found], most: int) -> list[list[object]]:
    """How many samples each way takes, and how well its last map agrees with that of other samples."""
    lines = []
    courses = {way: np.stack([course(each[way]) for each in found]) for way in found[0] if way != ANOTHER}
    usual = {wanted: _needed(courses["independent"], wanted) for wanted in WANTED}
    for way, values in courses.items():
        cells: list[object] = [way]
        for wanted in WANTED:
            needed = _needed(values, wanted)
            middle = float(np.median(needed))
            cells.append(
                f"{middle:.0f}{_share(needed, usual[wanted])}" if middle <= most else f"more than {most}"
            )
        own = [spearmanr(each[way][:, -1].mean(0), each[ANOTHER][:, -1].mean(0)).statistic for each in found]
        shown = [values[:, 100 // STEP - 1].mean(), values[:, -1].mean()]
        lines.append([*cells, *(f"{each:.3f}" for each in shown), f"{np.median(own):.3f}"])
    return lines


def _share(needed: np.ndarray, usual: np.ndarray) -> str:
    """The median share of what independent samples take, where these have got there in the median."""
    return f" ({np.nanmedian(needed / usual):.2f})" if np.isfinite(np.median(usual)) else ""


def _needed(values: np.ndarray, wanted: float) -> np.ndarray:
    reached = values >= wanted
    return np.where(reached.any(axis=1), (reached.argmax(axis=1) + 1) * STEP, np.inf)


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=600, help="Of LIME, at most.")
    parser.add_argument("--masks", type=int, default=1000, help="Of RISE, at most.")
    options = parser.parse_args()
    paths = sorted((ASSETS / "photos").glob("*.jpg"))
    paths = paths[:: max(1, len(paths) // 5)][: options.photographs]  # more of them keep the first
    network = load_classifier("mobilenet_v2", MOBILENET)
    parts, most = [], {"LIME": options.samples, "RISE": options.masks}
    methods = {"LIME": Lime(), "RISE": Rise()}
    found: dict[str, list[Found]] = {"LIME": [], "RISE": []}
    for path in paths:
        view = network.view(read_picture(path).image)
        top = int(MaskedScore(view, 0, network, Gray()).clean_logits[0].argmax())
        score = MaskedScore(view, top, network, Gray(), execution=Execution(STEP))
        for name, job in (("LIME", lime), ("RISE", rise)):
            place = folder(RUNS, "gray", [methods[name]], classifiers=[MOBILENET])
            found[name].append(
                kept(place / f"{name}-{path.stem}-{most[name]}.npz", partial(job, score, most[name]))
            )
            print(path.name, name, flush=True)
    for name, each in found.items():
        head = ["samples", *(f"for {wanted} (share)" for wanted in WANTED), "reliability at 100",
                f"at {most[name]}", "with other independent samples"]  # fmt: skip
        parts.append(f"## {name}\n\n{table(head, rows(each, most[name]))}")
    about = (
        f"MobileNetV2, gray, {len(paths)} photographs: samples (median) after which the maps of two seeds "
        "have such a rank correlation,\nand, where independent samples get "
        "there, the median share of theirs. RISE's map is the covariance.\nThe last column: rank correlation "
        "of the mean of both last maps with that of independent samples of other seeds; no two ways share "
        "any.\n\n"
    )
    title = "Samples in pairs, balanced or stratified"
    made = command("benchmarks.paired", parser, options)
    write("paired", title, made, about + "\n\n".join(parts), ("torch", "torchvision"))


if __name__ == "__main__":
    launch(main)
