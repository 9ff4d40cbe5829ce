"""`uv run python -m benchmarks.inpainting`: quality of every filler on the same pictures and holes.

On photographs what was there is the reference; on scenes it is the true background behind the object. Where
an object is removed from a photograph nobody knows the truth: there a classifier is asked whether the object
is gone, and whether the composites look like photographs to it. Sheets to look at go to `runs/inpainting`;
figures are kept there too, so that the command can be broken off and goes on where it was; those of other
code or weights are not used again.
"""

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.utils import make_grid, save_image
from tqdm import tqdm

from benchmarks import holes
from benchmarks.fillers import HERE, add_option, built, folder
from benchmarks.holes import ASSETS, MOBILENET, Case
from benchmarks.intervals import interval
from benchmarks.report import Found, command, kept, launch, table, write
from infill import Adaptive, Filler, composite
from infill.realism.artifacts import SCREEN, TRACES
from infill.realism.distances import frechet_between, gaussian
from infill.realism.similarity import Perceptual
from models.classifiers import ImageClassifier, load_classifier
from models.inpainters import small

SHEETS = Path("runs/inpainting")
FILLERS = [name for name in HERE if name != "patchmatch"]
"""That one takes hours; ``--filler patchmatch`` adds it."""
USED = ("infill.realism.artifacts", "infill.realism.similarity", "models.scenes")
"""What measures, and what draws; after a change of this file itself, delete what is kept."""
CLASSICAL = ("telea", "ns", "biharmonic")
LPIPS_GOALS = {"Squares of 29 px": 0.65, "Squares of 53 px": 0.72, "Half of 50 superpixels": 0.75}


def perceptual() -> nn.Module:
    """LPIPS with the SqueezeNet backbone of the assets, unless TORCH_HOME names another place."""
    os.environ.setdefault("TORCH_HOME", str(ASSETS / "torch_home"))
    network: nn.Module = Perceptual().network
    return network


@torch.inference_mode()
def near_truth(filler: Filler, cases: Sequence[Case], distance: nn.Module) -> Found:
    """LPIPS of the composite to the truth, and inside the hole the mean absolute error and the PSNR."""
    rng, rows = torch.Generator().manual_seed(0), []
    for case in cases:
        fill = filler(case.image[None], case.hole[None], rng)
        whole = composite(case.truth[None], case.hole[None], fill)
        error = (fill[0] - case.truth)[:, case.hole[0] > 0]
        away = distance(whole, case.truth[None], normalize=True).item()
        psnr = -10 * error.square().mean().clamp(min=1e-10).log10().item()
        rows.append((away, error.abs().mean().item(), psnr))
    return dict(zip(("lpips", "mae", "psnr"), np.array(rows).T, strict=True))


def frechet(ours: Tensor, theirs: Tensor) -> float:
    """Frechet distance of two sets of features "n d", as normal distributions (Heusel et al. 2017, eq. 6)."""
    one, other = (gaussian(features, [torch.arange(len(features))]) for features in (ours, theirs))
    return frechet_between(*one, *other)


@torch.inference_mode()
def seen(classifier: ImageClassifier, images: Iterable[Tensor]) -> Found:
    """Probabilities and pooled features of MobileNetV2, image by image."""
    rows = []
    for image in images:
        normalized = (image[None] - classifier.mean) / classifier.std
        maps = classifier.network.features(normalized)  # type: ignore[operator]
        pooled = maps.mean((2, 3))
        logits = classifier.network.classifier(pooled)  # type: ignore[operator]
        rows.append((logits.softmax(1)[0], pooled[0]))
    return {
        "p": torch.stack([p for p, _ in rows]).numpy(),
        "pooled": torch.stack([f for _, f in rows]).numpy(),
    }


@torch.inference_mode()
def traces(cases: Sequence[Case], images: Iterable[Tensor]) -> Found:
    """What is to be seen of the holes: a screen, a seam, a smear (`infill.realism.artifacts`)."""
    rows = []
    for case, image in zip(cases, images, strict=True):
        rows.append([trace(image[None], case.hole[None]).item() for trace in TRACES.values()])
    return dict(zip(TRACES, np.array(rows).T, strict=True))


def composites(filler: Filler, cases: Sequence[Case]) -> Iterator[Tensor]:
    """The images with their holes filled."""
    rng = torch.Generator().manual_seed(0)
    for case in cases:
        fill = filler(case.image[None], case.hole[None], rng)
        yield composite(case.image[None], case.hole[None], fill)[0]


def removed(before: Found, elsewhere: Found, after: Mapping[str, Found]) -> list[list[object]]:
    """Whether the object is gone for MobileNetV2, and whether what is left looks like a photograph to it."""
    top = before["p"].argmax(1)
    rows: list[list[object]] = []
    for name, found in {"untouched": before, **after}.items():
        left = np.take_along_axis(found["p"], top[:, None], 1)[:, 0]
        changed = 100 * (found["p"].argmax(1) != top).mean()
        distances = [
            f"{frechet(*(torch.from_numpy(one['pooled']) for one in (found, reference))):.1f}"
            for reference in (before, elsewhere)
        ]
        seen_of_holes = [f"{(found['periodicity'] > SCREEN).sum()}"]
        seen_of_holes += [f"{np.median(found[trace]):.2f}" for trace in TRACES]
        rows.append([name, interval(left), f"{changed:.0f} %", *distances, *seen_of_holes])
    return rows


def compared(title: str, found: Mapping[str, Found]) -> list[list[object]]:
    """The learned inpainter beside the best classical one, figure by figure."""
    rows: list[list[object]] = []
    for key, said, goal in (("lpips", "LPIPS", LPIPS_GOALS[title]), ("mae", "mean absolute error", 1)):
        best = min(CLASSICAL, key=lambda name: found[name][key].mean())
        ratio = found["inpaint"][key].mean() / found[best][key].mean()
        rows.append([title, f"{said} / that of {best}", f"{ratio:.3f}", f"at most {goal}"])
    return rows


def sheet(name: str, fillers: Mapping[str, Filler], cases: Sequence[Case]) -> None:
    """One line a picture: the picture, the hole in it, each filler's composite."""
    rows, magenta = [], torch.tensor([1.0, 0, 1]).view(3, 1, 1)
    columns = [composites(filler, cases) for filler in fillers.values()]
    for case, *filled in zip(cases, *columns, strict=True):
        rows += [case.image, torch.lerp(case.image, magenta, case.hole), *filled]
    SHEETS.mkdir(parents=True, exist_ok=True)
    save_image(make_grid(rows, nrow=2 + len(fillers)), SHEETS / f"{name}.png")


def quality(
    fillers: Mapping[str, Filler], kinds: Mapping[str, Sequence[Case]], folders: Mapping[str, Path]
) -> tuple[list[str], list[list[object]]]:
    """A table for every kind of hole, and the goals."""
    distance = perceptual()
    parts: list[str] = []
    goals: list[list[object]] = []

    def job(filler: Filler, cases: Sequence[Case]) -> Found:
        return near_truth(filler, tqdm(cases, mininterval=10), distance)

    for title, cases in kinds.items():
        found = {
            name: kept(folders[name] / f"{slug(title)}.npz", partial(job, filler, cases))
            for name, filler in fillers.items()
        }
        rows = [
            [name, interval(one["lpips"], 4), interval(one["mae"], 4), interval(one["psnr"], 2)]
            for name, one in found.items()
        ]
        header = ["filler", "LPIPS (lower)", "MAE in the hole (lower)", "PSNR in the hole, dB (higher)"]
        parts.append(f"## {title}, {len(cases)} images\n\n{table(header, rows)}")
        if title.startswith("Scenes"):
            best = max(CLASSICAL, key=lambda name: found[name]["psnr"].mean())
            ahead = found["inpaint"]["psnr"].mean() - found[best]["psnr"].mean()
            goals.append([title, f"PSNR over that of {best}", f"{ahead:+.2f} dB", "at least +2 dB"])
        else:
            goals += compared(title, found)
        print(parts[-1], flush=True)
    return parts, goals


def judged(
    fillers: Mapping[str, Filler], cases: Sequence[Case], others: list[Tensor], folders: Mapping[str, Path]
) -> str:
    """The table of objects removed from photographs, beside other photographs."""
    classifier = load_classifier("mobilenet_v2", MOBILENET)

    def job(filler: Filler) -> Found:
        filled = list(composites(filler, cases))
        return {**seen(classifier, tqdm(filled, mininterval=10)), **traces(cases, filled)}

    after = {
        name: kept(folders[name] / "ecssd.npz", partial(job, filler)) for name, filler in fillers.items()
    }
    images = [case.image for case in cases]
    before = {**seen(classifier, images), **traces(cases, images)}
    elsewhere = seen(classifier, others)
    header = ["composites", "p of the object's class (lower)", "top-1 changed", "Frechet distance (lower)"]
    rows = removed(before, elsewhere, after)
    title = f"## ECSSD, the object removed, {len(cases)} images"
    header += ["to ImageNet photographs (lower)", f"periodicity > {SCREEN:g} (lower)"]
    header += [f"median {trace}" for trace in TRACES]
    return f"{title}\n\n{table(header, rows)}"


def slug(title: str) -> str:
    """A title as a file name."""
    return title.lower().replace(" ", "-").replace(",", "")


def cases_of(images: list[Tensor], scenes: int) -> dict[str, list[Case]]:
    """Everything that is measured against a truth."""
    return {
        "Squares of 29 px": list(holes.squares(images, 29)),
        "Squares of 53 px": list(holes.squares(images, 53)),
        "Half of 50 superpixels": list(holes.superpixels(images)),
        "Scenes, the object removed": list(holes.scene_objects(scenes)),
        "Scenes without object, squares of 53 px": list(holes.squares(holes.empty_scenes(scenes), 53)),
    }


def main() -> None:
    """Measure, write the table and the sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="Photographs of each kind; all by default.")
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--weights", type=Path, help="Another inpainter's weights than those that ship.")
    add_option(parser)
    options = parser.parse_args()
    weights = options.weights or small.FILE
    photographs = holes.photographs(options.count)
    kinds = cases_of(photographs, options.scenes)
    fillers = built([*FILLERS, *options.filler], photographs[0])
    for name, filler in fillers.items():
        if isinstance(filler, Adaptive) and name.split("@")[0] == "inpaint":
            fillers[name] = replace(filler, network=small.load(weights))
    root = SHEETS / f"{options.count or 'all'}-{options.scenes}"
    folders = {name: folder(root, name, (), USED, weights, [MOBILENET]) for name in fillers}
    parts, goals = quality(fillers, kinds, folders)
    objects = list(holes.silhouettes(options.count))
    parts.append(judged(fillers, objects, photographs, folders))
    print(parts[-1], flush=True)
    for name, cases in {**kinds, "ECSSD": objects}.items():
        sheet(slug(name), fillers, cases[:24])
    body = f"## Goals\n\n{table(['holes', 'figure', 'measured', 'goal'], goals)}\n\n" + "\n\n".join(parts)
    made = command("benchmarks.inpainting", parser, options)
    write("inpainting", "Fillers: quality", made, body,
          ("torch", "torchvision", "lpips", "scikit-image", "opencv-python-headless"))  # fmt: skip


if __name__ == "__main__":
    launch(main)
