"""`uv run python -m benchmarks.localization`: do heatmaps find the object? Methods x fillers on photographs.

MobileNetV2 on every ImageNet validation photograph of the assets that it classifies correctly, beside the
image's center and random maps; and the same on those whose boxes miss the center, where a center prior is
of no use. Heatmaps are kept under `runs/`, so the command can be broken off and goes on where it was.
Thresholds are tuned in two folds: on the one half of the images for the other.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from attribution import Execution, Explainer, Lime, MaskedScore, Rise, SlidingPatch
from attribution.engine.precision import prepare
from attribution.evaluation.baselines import center_map, random_map
from attribution.evaluation.localization import ALPHAS_OF_PEAK, localization_error
from attribution.evaluation.pointing import pointing_hit
from benchmarks.fillers import folder
from benchmarks.holes import ASSETS, MOBILENET
from benchmarks.intervals import FEW, percent
from benchmarks.report import Found, command, kept, launch, table, write
from infill import Filler, Learned
from models.classifiers import load_classifier
from studio.data.image import read_picture
from studio.registry.build import build_filler
from studio.registry.parse import parse_filler

RUNS = Path("runs/localization")
RANDOM = 10
"""Random maps an image, whose mean is reported."""


def truths() -> dict[str, tuple[int, Tensor]]:
    """For every photograph its class and its boxes: left, top, right, bottom."""
    rows: dict[str, list[list[int]]] = defaultdict(list)
    with (ASSETS / "imagenet_val" / "boxes.csv").open() as file:
        for row in csv.DictReader(file):
            rows[row["file"]].append([int(row[key]) for key in ("label", "xmin", "ymin", "xmax", "ymax")])
    return {name: (boxes[0][0], torch.tensor(boxes)[:, 1:]) for name, boxes in rows.items()}


def methods(options: argparse.Namespace) -> dict[str, Explainer]:
    """The sampling methods at the sizes asked for."""
    return {
        "sp": SlidingPatch(patch=options.patch, stride=options.stride),
        "lime": Lime(samples=options.samples),
        "rise": Rise(masks=options.masks),
    }


def folder_of(options: argparse.Namespace, filler: str) -> Path:
    """Where the heatmaps of these settings are kept: all that changes them is in the name."""
    return folder(
        RUNS / f"{options.size or 'full'}", filler, list(methods(options).values()), classifiers=[MOBILENET]
    )


def filler_of(name: str, view: Tensor, size: int | None) -> Filler:
    """A filler by name; a learned one works at the size asked for."""
    filler = build_filler(name, {}, view, precision="auto")
    return replace(filler, size=size) if size and isinstance(filler, Learned) else filler


def explain(options: argparse.Namespace, images: Mapping[str, tuple[int, Tensor]]) -> list[str]:
    """Compute the heatmaps that are missing, and return the correctly classified photographs."""
    for filler_name in options.filler:  # before hundreds of photographs are read for one that is none
        parse_filler(filler_name)
    classifier = load_classifier("mobilenet_v2", MOBILENET)
    views, right = {}, []
    fast = None
    for name, (label, _) in images.items():
        image = read_picture(ASSETS / "imagenet_val" / "images" / name).image
        views[name] = (classifier.view(image), (image.shape[1], image.shape[2]))
        fast = fast or prepare(classifier, "float32", views[name][0][None])
        with torch.inference_mode():
            if int(fast(views[name][0][None]).argmax()) == label:
                right.append(name)
    fast = prepare(classifier, "auto", views[right[0]][0][None])
    print(f"{len(right)} of {len(images)} photographs are classified correctly; {fast.mode}")

    def job(name: str, filler_name: str) -> Found:
        view, size = views[name]
        filler = filler_of(filler_name, view, options.size)
        score = MaskedScore(view, images[name][0], fast, filler, execution=Execution(precision="auto"))
        return {
            key: classifier.to_input(method(score)[0], size).numpy().astype(np.float32)
            for key, method in methods(options).items()
        }

    for filler_name in options.filler:
        place = folder_of(options, filler_name)
        for name in tqdm(right, desc=filler_name, mininterval=10):
            kept(place / f"{Path(name).stem}.npz", partial(job, name, filler_name))
    return right


def off_center(boxes: Tensor, size: tuple[int, int]) -> bool:
    """Whether no box holds the image's center."""
    y, x = size[0] / 2, size[1] / 2
    return not any(left <= x < right and top <= y < bottom for left, top, right, bottom in boxes.tolist())


def errors(maps: Sequence[Tensor], boxes: Sequence[Tensor], fold: Sequence[int]) -> np.ndarray:
    """Map by map whether the object is missed, the threshold tuned on all maps of the other fold."""
    missed = np.array(
        [
            [localization_error(one[None].float(), [true], alpha) for alpha in ALPHAS_OF_PEAK]
            for one, true in zip(maps, boxes, strict=True)
        ]
    )
    folds = np.array(fold)
    best = [int(missed[folds != this].mean(0).argmin()) for this in (0, 1)]
    return missed[np.arange(len(missed)), np.array(best)[folds]]


def hits(maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> np.ndarray:
    """Map by map whether its maximum lies in a box."""
    return np.array(
        [float(pointing_hit(one[None].float(), [true])) for one, true in zip(maps, boxes, strict=True)]
    )


def rows_of(
    maps: Mapping[str, Sequence[Tensor]], boxes: Sequence[Tensor], away: Sequence[bool]
) -> list[list[str]]:
    """One row a kind of map: pointing accuracy and localization error on all images, then off center.

    A kind may have several maps an image, one after another; they count as one image.
    """
    rows = []
    everything, some = range(len(boxes)), [i for i, flag in enumerate(away) if flag]
    for name, heatmaps in maps.items():
        times, row = len(heatmaps) // len(boxes), [name]
        for chosen in (everything, some):
            these = [heatmaps[times * i + k] for i in chosen for k in range(times)]
            true = [boxes[i] for i in chosen for _ in range(times)]
            fold = [place % 2 for place in range(len(chosen)) for _ in range(times)]
            for values in (hits(these, true), errors(these, true, fold)):
                row.append(percent(values.reshape(len(chosen), times).mean(1)))
        rows.append(row)
    return rows


def main() -> None:
    """Explain every photograph and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filler", nargs="+", default=["gray", "blur", "inpaint"])
    parser.add_argument("--patch", type=int, default=53)
    parser.add_argument("--stride", type=int, default=14)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--masks", type=int, default=300)
    parser.add_argument("--size", type=int, help="Side at which the inpainter works; in full by default.")
    parser.add_argument("--limit", type=int, help="Only so many photographs.")
    options = parser.parse_args()
    images = dict(list(truths().items())[: options.limit])
    right = explain(options, images)
    places = {filler: folder_of(options, filler) for filler in options.filler}
    maps: dict[str, list[Tensor]] = defaultdict(list)
    boxes, away = [], []
    size = (0, 0)
    for i, name in enumerate(right):
        for filler in options.filler:
            with np.load(places[filler] / f"{Path(name).stem}.npz") as found:
                for method in found:
                    maps[f"{method} / {filler}"].append(torch.from_numpy(found[method]))
                    size = (found[method].shape[0], found[method].shape[1])
        maps["image center"].append(center_map(size))
        seeds = range(RANDOM * i, RANDOM * (i + 1))
        maps["random map"] += [random_map(size, torch.Generator().manual_seed(seed)) for seed in seeds]
        boxes.append(images[name][1])
        away.append(off_center(images[name][1], size))
    header = [
        "map",
        "pointing, % (higher)",
        "localization error, % (lower)",
        "pointing, off center",
        "error, off center",
    ]
    where = "boxes that miss the center"
    at = f"at {options.size} px" if options.size else "in full size"
    body = (
        f"{len(right)} correctly classified photographs of {len(images)}, {sum(away)} of them with {where}. "
        f"SP patch {options.patch} stride {options.stride}, LIME {options.samples} samples, RISE "
        f"{options.masks} masks, inpainting {at}; with 95 % intervals (Wilson's; of random maps, several a "
        f"photograph, the bootstrap's over photographs; {FEW}); thresholds tuned on the other half of the "
        "images.\n\n"
    )
    order = sorted(maps, key=lambda name: (name in ("image center", "random map"), name))
    body += table(header, rows_of({name: maps[name] for name in order}, boxes, away))
    write(
        "localization",
        "Localization on photographs, MobileNetV2",
        command("benchmarks.localization", parser, options),
        body,
    )


if __name__ == "__main__":
    launch(main)
