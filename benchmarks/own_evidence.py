"""`uv run python -m benchmarks.own_evidence`: what a classifier takes for evidence and is the filler's own.

ECSSD photographs, judged by MobileNetV2. First the hole of another photograph's object is put where no object
is: whatever the classifier then says differently, it says because of the fill. Then the objects are removed:
are they gone, does what is left look like photographs, and which traces are there? Figures are kept in
`runs/own_evidence`, so that the command can be broken off and goes on where it was; those of other code or
weights are not used again.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks import holes
from benchmarks.fillers import HERE, add_option, built, folder
from benchmarks.holes import MOBILENET, Case
from benchmarks.inpainting import composites, frechet, seen, sheet, traces
from benchmarks.intervals import interval
from benchmarks.origin import origin
from benchmarks.report import Found, command, kept, launch, table, write
from infill import Filler
from infill.realism.artifacts import SCREEN, TRACES
from infill.realism.similarity import divergence
from models.classifiers import ImageClassifier, load_classifier
from studio.registry.identity import content

RUNS = Path("runs/own_evidence")
FILLERS = [name for name in HERE if name not in ("mean", "noise", "biharmonic")]
USED = ("infill.realism.artifacts",)
"""What measures; after a change of this file itself delete what is kept."""
SIZES = (2, 5, 10, 20)
"""Of holes in the background, in percent."""


@torch.inference_mode()
def measured(filler: Filler | None, cases: Sequence[Case], classifier: ImageClassifier) -> Found:
    """Probabilities, features and traces of composites; without a filler, of the images as they are."""
    images = [case.image for case in cases] if filler is None else list(composites(filler, cases))
    return {**seen(classifier, tqdm(images, mininterval=10)), **traces(cases, images)}


def changes(before: Found, after: Found) -> tuple[np.ndarray, np.ndarray]:
    """By image: how far the probability of the first label moves, and the divergence of the prediction."""
    top = before["p"].argmax(1)[:, None]
    moved = np.abs(np.take_along_axis(after["p"] - before["p"], top, 1)[:, 0])
    p, q = (torch.from_numpy(one["p"]).double().clamp(min=1e-38).log() for one in (before, after))
    return moved, divergence(q, p).double().numpy()


def apart(one: Found, other: Found) -> float:
    """Frechet distance of pooled features."""
    return frechet(torch.from_numpy(one["pooled"]), torch.from_numpy(other["pooled"]))


def over(values: Sequence[float]) -> list[str]:
    """Each value over the first."""
    return [f"{value / values[0]:.2f}" for value in values]


def background(found: Mapping[str, Found]) -> str:
    """The table of holes where no object is; the first row of ``found`` is that of the images themselves."""
    before, *_ = found.values()
    names = list(found)[1:]
    moved, diverged = zip(*(changes(before, found[name]) for name in names), strict=True)
    distances = [apart(found[name], before) for name in names]
    columns = (
        names,
        [interval(values, 4) for values in moved], over([values.mean() for values in moved]),
        [interval(values, 4) for values in diverged], over([values.mean() for values in diverged]),
        [f"{distance:.3f}" for distance in distances], over(distances),
    )  # fmt: skip
    header = ["filler", "mean change of p", "over gray's", "KL, nats", "over gray's",
              "Frechet to the same", "over gray's"]  # fmt: skip
    return table(header, list(zip(*columns, strict=True)))


def by_size(sizes: Mapping[int, Mapping[str, Found]]) -> str:
    """Mean change of p, and that, divergence and Frechet distance over gray's, by the size of the hole."""
    columns = []
    for found in sizes.values():
        before, *fills = found.values()
        means = [[float(values.mean()) for values in changes(before, after)] for after in fills]
        distances = [apart(after, before) for after in fills]
        figures = zip(*(over(values) for values in (*zip(*means, strict=True), distances)), strict=True)
        moved = (p for p, _ in means)
        columns.append([f"{p:.3f}: {' / '.join(each)}" for p, each in zip(moved, figures, strict=True)])
    names = list(next(iter(sizes.values())))[1:]
    header = [f"{size} % ({len(found['untouched']['p'])})" for size, found in sizes.items()]
    return table(["filler", *header], list(zip(names, *columns, strict=True)))


def removal(found: Mapping[str, Found], elsewhere: Found) -> str:
    """The table of objects removed; the first row of ``found`` is that of the images themselves."""
    before = found["untouched"]
    top = before["p"].argmax(1)
    distances = {name: apart(one, elsewhere) for name, one in found.items()}
    rows = [
        [
            name,
            f"{100 * (one['p'].argmax(1) == top).mean():.1f} %",
            f"{distances[name]:.3f}",
            f"{distances[name] / distances['gray']:.2f}",
            f"{(one['periodicity'] > SCREEN).sum()}",
            *(f"{np.median(one[trace]):.2f}" for trace in TRACES),
        ]
        for name, one in found.items()
    ]
    header = ["composites", "top-1 kept", "Frechet to other photographs", "over gray's",
              f"periodicity > {SCREEN:g}", *(f"median {trace}" for trace in TRACES)]  # fmt: skip
    return table(header, rows)


def main() -> None:
    """Measure, and write the tables and a sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="Photographs; all by default.")
    add_option(parser)
    options = parser.parse_args()
    classifier = load_classifier("mobilenet_v2", MOBILENET)
    objects = list(holes.silhouettes(options.count))
    names = [*FILLERS, *options.filler]
    fillers = built(names, objects[0].image)
    root = RUNS / f"{options.count or 'all'}"
    folders = {"untouched": root / f"untouched-{origin(USED, content(MOBILENET))}"}
    folders |= {name: folder(root, name, uses=USED, classifiers=[MOBILENET]) for name in names}

    def found(kind: str, cases: Sequence[Case]) -> dict[str, Found]:
        return {
            name: kept(folders[name] / f"{kind}.npz", partial(measured, filler, cases, classifier))
            for name, filler in {"untouched": None, **fillers}.items()
        }

    whole = list(holes.backgrounds(objects))
    area = np.mean([case.hole.mean().item() for case in whole])
    sizes = {size: found(f"background-{size}", list(holes.backgrounds(objects, size))) for size in SIZES}
    elsewhere = seen(classifier, holes.photographs(options.count))
    parts = {
        f"Background removed, {len(whole)} images, {100 * area:.1f} % of each": background(
            found("background", whole)
        ),
        "Background removed: change of p: that / KL / Frechet, over gray's, by the size of the hole (images)":
            by_size(sizes),
        f"Objects removed, {len(objects)} images": removal(found("objects", objects), elsewhere),
    }  # fmt: skip
    for kind, cases in {"background": whole, "objects": objects}.items():
        sheet(f"own-evidence-{kind}", fillers, cases[:24])
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in parts.items())
    made = command("benchmarks.own_evidence", parser, options)
    write("own_evidence", "Evidence of the fillers' own", made, body)


if __name__ == "__main__":
    launch(main)
