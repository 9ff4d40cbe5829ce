"""`uv run python -m benchmarks.inpainting`: quality and speed of every filler on the same pictures and holes.

On photographs what was there is the reference; on scenes it is the true background behind the object. Where
an object is removed from a photograph nobody knows the truth: there a classifier is asked whether the object
is gone, and whether the composites look like photographs to it. Sheets to look at go to `runs/inpainting`.
"""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.utils import make_grid, save_image
from tqdm import tqdm

from benchmarks import holes, throughput
from benchmarks.holes import ASSETS, Case
from benchmarks.report import table, write
from infill import Biharmonic, Blur, Filler, Gray, Mean, NavierStokes, Noise, Telea, composite
from models.classifiers import ImageClassifier, load_classifier
from studio.registry import build_filler

SHEETS = Path("runs/inpainting")
CLASSICAL = ("telea", "ns", "biharmonic")
FILLERS: dict[str, Filler] = {
    "gray": Gray(), "mean": Mean(), "noise": Noise(), "blur": Blur(), "telea": Telea(), "ns": NavierStokes(),
    "biharmonic": Biharmonic(),
}  # fmt: skip
Found = Mapping[str, np.ndarray]


def perceptual() -> nn.Module:
    """LPIPS with the SqueezeNet backbone of the assets, unless TORCH_HOME names another place."""
    os.environ.setdefault("TORCH_HOME", str(ASSETS / "torch_home"))
    import lpips

    return lpips.LPIPS(net="squeeze", verbose=False).eval()


@torch.inference_mode()
def near_truth(filler: Filler, cases: Sequence[Case], distance: nn.Module) -> Found:
    """LPIPS of the composite to the truth, and inside the hole the mean absolute error and the PSNR."""
    rng, rows = torch.Generator().manual_seed(0), []
    for case in cases:
        started = time.perf_counter()
        fill = filler(case.image[None], case.hole[None], rng)
        spent = time.perf_counter() - started
        whole = composite(case.truth[None], case.hole[None], fill)
        error = (fill[0] - case.truth)[:, case.hole[0] > 0]
        away = distance(whole, case.truth[None], normalize=True).item()
        psnr = -10 * error.square().mean().clamp(min=1e-10).log10().item()
        rows.append((away, error.abs().mean().item(), psnr, spent))
    return dict(zip(("lpips", "mae", "psnr", "seconds"), np.array(rows).T, strict=True))


@torch.inference_mode()
def seen(classifier: ImageClassifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and pooled features of MobileNetV2."""
    maps = classifier.network.features((images - classifier.mean) / classifier.std)  # type: ignore[operator,union-attr]
    pooled = maps.mean((2, 3))
    return classifier.network.classifier(pooled), pooled  # type: ignore[operator]


def frechet(ours: Tensor, theirs: Tensor) -> float:
    """Frechet distance of two sets of features "n d", as normal distributions (Heusel et al. 2017, eq. 6).

    The trace of the root of the product of the covariances is the sum of the singular values of the product
    of the centered sets: exact, with no root of a singular matrix to take.
    """
    a, b = ours.double(), theirs.double()
    center = (a.mean(0) - b.mean(0)).square().sum()
    a, b = ((x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b))
    shared = torch.linalg.svdvals(a @ b.T).sum()
    return float(center + a.square().sum() + b.square().sum() - 2 * shared)


def removed(fillers: Mapping[str, Filler], cases: Sequence[Case], others: list[Tensor]) -> list[list[object]]:
    """Whether the object is gone for MobileNetV2, and whether what is left looks like a photograph to it."""
    classifier = load_classifier("mobilenet_v2", ASSETS / "classifiers" / "mobilenet_v2.safetensors")
    logits, before = map(torch.cat, zip(*[seen(classifier, case.image[None]) for case in cases], strict=True))
    _, elsewhere = map(torch.cat, zip(*[seen(classifier, image[None]) for image in others], strict=True))
    top = logits.argmax(1)
    first = logits.softmax(1).gather(1, top[:, None])[:, 0].numpy()
    rows: list[list[object]] = [
        ["untouched", interval(first), "0 %", "0", f"{frechet(before, elsewhere):.1f}"]
    ]
    for name, filler in fillers.items():
        rng, after, pooled = torch.Generator().manual_seed(0), [], []
        for case in tqdm(cases, desc=f"silhouettes {name}", mininterval=10, leave=False):
            fill = filler(case.image[None], case.hole[None], rng)
            scores, features = seen(classifier, composite(case.image[None], case.hole[None], fill))
            after.append(scores), pooled.append(features)
        scores, features = torch.cat(after), torch.cat(pooled)
        left = scores.softmax(1).gather(1, top[:, None])[:, 0].numpy()
        changed = 100 * (scores.argmax(1) != top).float().mean().item()
        distances = [f"{frechet(features, reference):.1f}" for reference in (before, elsewhere)]
        rows.append([name, interval(left), f"{changed:.0f} %", *distances])
    return rows


def interval(values: np.ndarray, places: int = 3) -> str:
    """Mean and bootstrap 95 % interval."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (1000, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{values.mean():.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def compared(title: str, found: Mapping[str, Found]) -> list[list[object]]:
    """The learned inpainter beside the best classical one, figure by figure."""
    ours = found["inpaint"]
    rows: list[list[object]] = []
    for key, said, goal in (("lpips", "LPIPS", "0.8"), ("mae", "mean absolute error", "1")):
        best = min(CLASSICAL, key=lambda name: found[name][key].mean())
        ratio = ours[key].mean() / found[best][key].mean()
        rows.append([title, f"{said} / that of {best}", f"{ratio:.3f}", f"at most {goal}"])
    return rows


def sheet(name: str, fillers: Mapping[str, Filler], cases: Sequence[Case]) -> None:
    """One line a picture: the picture, the hole in it, each filler's composite."""
    rows, rng = [], torch.Generator().manual_seed(0)
    for case in cases:
        rows += [case.image, torch.lerp(case.image, torch.tensor([1.0, 0, 1]).view(3, 1, 1), case.hole)]
        for filler in fillers.values():
            rows.append(composite(case.image, case.hole, filler(case.image[None], case.hole[None], rng)[0]))
    SHEETS.mkdir(parents=True, exist_ok=True)
    save_image(make_grid(rows, nrow=2 + len(fillers)), SHEETS / f"{name}.png")


def quality(
    fillers: Mapping[str, Filler], kinds: Mapping[str, Sequence[Case]]
) -> tuple[list[str], list[list[object]]]:
    """A table for every kind of hole, and the goals."""
    distance, parts, goals = perceptual(), [], []
    for title, cases in kinds.items():
        found = {
            name: near_truth(
                filler, tqdm(cases, desc=f"{title} {name}", mininterval=10, leave=False), distance
            )
            for name, filler in fillers.items()
        }
        rows = [
            [name, interval(one["lpips"], 4), interval(one["mae"], 4), interval(one["psnr"], 2),
             f"{1000 * np.median(one['seconds']):.0f} ms"]
            for name, one in found.items()
        ]  # fmt: skip
        header = ["filler", "LPIPS (lower)", "MAE in the hole (lower)", "PSNR in the hole, dB (higher)"]
        parts.append(f"## {title}, {len(cases)} images\n\n{table([*header, 'median time'], rows)}")
        if title.startswith("Scenes"):
            best = max(CLASSICAL, key=lambda name: found[name]["psnr"].mean())
            ahead = found["inpaint"]["psnr"].mean() - found[best]["psnr"].mean()
            goals.append([title, f"PSNR over that of {best}", f"{ahead:+.2f} dB", "at least +2 dB"])
        else:
            goals += compared(title, found)
        print(parts[-1], flush=True)
    return parts, goals


def cases_of(count: int | None, scenes: int) -> dict[str, list[Case]]:
    """Everything that is measured against a truth."""
    images = holes.photographs(count)
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
    parser.add_argument("--no-speed", action="store_true")
    options = parser.parse_args()
    kinds = cases_of(options.count, options.scenes)
    objects = list(holes.silhouettes(options.count))
    fillers = {**FILLERS, "inpaint": build_filler("inpaint", {}, kinds["Squares of 29 px"][0].image, "auto")}
    parts, goals = quality(fillers, kinds)
    header = [
        "composites",
        "p of the object's class (lower)",
        "top-1 changed",
        "Frechet distance",
        "to others",
    ]
    rows = removed(fillers, objects, holes.photographs(options.count))
    parts.append(f"## ECSSD, the object removed, {len(objects)} images\n\n{table(header, rows)}")
    print(parts[-1], flush=True)
    for name, cases in {**kinds, "ECSSD": objects}.items():
        sheet(name.lower().replace(" ", "-").replace(",", ""), fillers, cases[:24])
    if not options.no_speed:
        speed, more = throughput.measure()
        parts.append(speed)
        goals += more
    body = f"## Goals\n\n{table(['holes', 'figure', 'measured', 'goal'], goals)}\n\n" + "\n\n".join(parts)
    write("inpainting", "Fillers: quality and speed", "python -m benchmarks.inpainting", body,
          ("torch", "torchvision", "lpips", "scikit-image", "opencv-python-headless"))  # fmt: skip


if __name__ == "__main__":
    main()
