"""Gradients, class activation maps and perturbation, side by side.

``python -m benchmarks.gradients`` runs `infill evaluate` on photographs with two networks and on scenes of
two objects: what costs little on many images, the rest on the first of them. Scenes are attacked, too. It
writes ``results/gradients.md``, can be broken off, and goes on where it was: ``--only`` computes one of the
runs and writes no table, ``--as-it-is`` writes the table of what is there.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.holes import ASSETS
from benchmarks.report import command, table, write
from infill.realism.resampling import LEAST, bootstrap, mean
from studio.evaluate.request import EvaluateRequest
from studio.evaluate.run import evaluate
from studio.report.attacked import HEADS, Kept, attacked, lines
from studio.report.compare import values
from studio.report.differences import exchanged
from studio.report.figures import Figure, figures
from studio.report.results import Results, Row, read
from studio.report.tables import headed, interval, named, number

RUNS = Path("runs/gradients")
PACKAGES = ("torch", "torchvision", "captum", "grad-cam")
CHEAP = ("gradient", "integrated/gray,inpaint", "smoothgrad", "gradcam", "gradcam-plus")
INVERSION = ("gfi/blur",)
COSTLY = ("rise/gray", "dssr-plus/noise-once", "extremal/blur-pyramid", "mp2/inpaint", "scorecam/gray")
ATTACKED = ("gradient", "integrated/gray", "smoothgrad", "gradcam", "gfi/blur", "sp/gray")
ATTACK = "fgsm:0.01"
METRICS = ("localization", "localization-mean", "pointing", "deletion:gray", "deletion:inpaint")
SETTINGS = ("integrated.steps=20", "smoothgrad.samples=20")
SHOWN = (
    "localization error",
    "localization error, alpha * mean",
    "pointing",
    "deletion, gray",
    "deletion, inpaint",
)
NETWORKS = {"MobileNetV2": "mobilenet_v2", "SqueezeNet": "squeezenet1_0"}


def requests(options: argparse.Namespace) -> dict[str, EvaluateRequest]:
    """All runs by name: of each data set the cheap methods, and the costly ones on its first images."""
    photographs = EvaluateRequest(str(ASSETS / "imagenet_val"), correct_only=True, sample=options.photographs)
    data = {
        title: replace(photographs, classifier=name, weights=ASSETS / "classifiers" / f"{name}.safetensors")
        for title, name in NETWORKS.items()
    }
    data["scenes of two"] = EvaluateRequest(f"scenes-two:{options.scenes}")
    found = {}
    for title, request in data.items():
        few = 2 * options.costly_scenes if title == "scenes of two" else options.costly
        name = title.lower().replace(" ", "-")
        request = replace(request, metrics=METRICS, batch_size=32)
        found[f"{name}-cheap"] = replace(
            request, methods=CHEAP, settings=SETTINGS, out=RUNS / f"{name}-cheap", baselines=True
        )
        found[f"{name}-inversion"] = replace(
            request, methods=INVERSION, out=RUNS / f"{name}-inversion", baselines=False
        )
        found[f"{name}-costly"] = replace(
            request, methods=COSTLY, settings=("rise.masks=500",), limit=few, baselines=False,
            out=RUNS / f"{name}-costly",
        )  # fmt: skip
    scenes = EvaluateRequest(
        f"scenes:{options.attacked}", methods=ATTACKED, metrics=("pointing",), correct_only=True,
        settings=("integrated.steps=20", "smoothgrad.samples=20", "sp.stride=16"), out=RUNS / "without",
    )  # fmt: skip
    return {**found, "without": scenes, "under": replace(scenes, attack=ATTACK, out=RUNS / "under")}


@dataclass(frozen=True, eq=False)
class Compared:
    """What the runs on a data set have found; their images have the same numbers."""

    title: str
    results: Results
    figures: Mapping[str, Figure]

    @classmethod
    def read(cls, title: str, cheap: Path, others: Sequence[Path]) -> "Compared":
        """Read the folders, whatever of them is done."""
        merged = read(cheap)
        for few in map(read, others):
            for at, about in few.about.items():
                assert about["name"] == merged.about[at]["name"], "the runs are not of the same images"
            merged = replace(merged, rows={**merged.rows, **few.rows})
        found = {figure.title: figure for figure in figures(merged)}
        return cls(title, merged, {name: found[name] for name in SHOWN})

    def table(self) -> str:
        """Every figure with its interval and the number of its images."""
        cells = {name: values(figure, self.results, 0) for name, figure in self.figures.items()}
        rows = dict.fromkeys(row for each in cells.values() for row in each)
        lines = []
        for row in rows:
            line = [named(row)]
            for name, figure in self.figures.items():
                value = cells[name].get(row)
                between = interval(figure, value) if value else ""
                line.append(
                    f"{number(figure, value.value)}{f' [{between}]' if between else ''} ({value.images})"
                    if value
                    else ""
                )
            lines.append(line)
        return table(["", *(headed(figure) for figure in self.figures.values())], lines)

    def paired(self, name: str, ours: Row, theirs: Row) -> tuple[str, str]:
        """Whether one row is better than another on the images that both have, in a word, and by how much."""
        figure = self.figures[name]
        one, other = figure.values.get(ours, {}), figure.values.get(theirs, {})
        both = sorted(one.keys() & other.keys())
        if len(both) < LEAST:
            return UNDECIDED, f"{self.title}: {len(both)} images"
        change = np.array([one[at] - other[at] for at in both])
        chance = torch.Generator().manual_seed(0)
        estimate = bootstrap({"": mean(torch.from_numpy(change))}, len(both), chance)[""]
        low, high = estimate.interval or (-1.0, 1.0)
        better = (estimate.value < 0) == (figure.better == "lower")
        told = (
            f"{self.title}: {100 * estimate.value:+.1f} points [{100 * low:+.1f}…{100 * high:+.1f}], "
            f"p {exchanged([change], 0)[0]:.4f}, {len(both)} images"
        )
        return (HOLDS if better else FAILS) if low > 0 or high < 0 else UNDECIDED, told


HOLDS, FAILS, UNDECIDED = "**holds**", "**does not hold here**", "**undecided here**"
GFI, GRADIENT, GRADCAM = ("gfi", "blur"), ("gradient", "none"), ("gradcam", "none")
MEAN = "localization error, alpha * mean"
CLAIMS: Sequence[tuple[str, str, Row]] = (
    ("It localizes better than the gradient (Table 1: error 38.2 % against 41.7 %)", MEAN, GRADIENT),
    ("It points better than the gradient (Table 3)", "pointing", GRADIENT),
    ("It points better than the image's center (Table 3)", "pointing", ("center", "")),
)
"""Of guided feature inversion: what is said, the figure, and the row that it is said to be better than."""


def claims(found: Sequence[Compared], kept: Sequence[Kept]) -> list[str]:
    """One line on each of the paper's claims, for each data set."""
    told = []
    for said, name, other in CLAIMS:
        answers = [each.paired(name, GFI, other) for each in found]
        told.append(f"- {said}: " + "; ".join(f"{verdict} ({what})" for verdict, what in answers) + ".")
    alike = [each.paired("pointing", GFI, GRADCAM) for each in found]
    told.append(
        "- It points as well as Grad-CAM (Table 3): "
        + "; ".join(f"{HOLDS if verdict == HOLDS else verdict} ({what})" for verdict, what in alike)
        + ". An interval around 0 is no proof that both are the same."
    )
    return [*told, _discriminates(found[-1]), _robust(kept)]


def _discriminates(scenes: Compared) -> str:
    """Whether more than half of the targets are hit, as no map is that does not know classes apart."""
    value = values(scenes.figures["pointing"], scenes.results, 0).get(GFI)
    said = "- It tells classes apart (sec. 3.3, Fig. 3: a map of no class hits one object of two)"
    if value is None or value.low is None or value.high is None:
        return f"{said}: {UNDECIDED} ({0 if value is None else value.images} targets)."
    verdict = HOLDS if value.low > 0.5 else FAILS if value.high < 0.5 else UNDECIDED
    between = f"[{100 * value.low:.0f}…{100 * value.high:.0f}]"
    return f"{said}: {verdict}; it points at {100 * value.value:.0f} % of {value.images} targets {between}."


def _robust(kept: Sequence[Kept]) -> str:
    """Whether the object is still pointed at under attack: no more than ten points less often."""
    said = "- It still shows the true class when the image is attacked (sec. 4.1.3, by one picture)"
    of_gfi = [each for each in kept if each.row == GFI and each.figure == "pointing"]
    if not of_gfi or of_gfi[0].low is None or of_gfi[0].high is None:
        return f"{said}: {UNDECIDED}."
    each = of_gfi[0]
    low, high = 100 * (each.low or 0), 100 * (each.high or 0)
    verdict = HOLDS if low >= -10 else FAILS if high < -10 else UNDECIDED
    change = f"{100 * (each.under - each.without):+.1f} points [{low:+.1f}…{high:+.1f}]"
    most = max(other.images for other in kept)
    left = (
        f"; the other {most - each.images} it refuses, for their class is at chance"
        if most > each.images
        else ""
    )
    return f"{said}: {verdict}; pointing changes by {change} on {each.images} scenes{left}."


INTRODUCTION = """\
`infill evaluate` on ImageNet photographs that the network sees rightly, and on scenes of two objects of
different classes, each the target in turn. Every figure with its 95 % interval over images and, in brackets,
the number of images: methods that cost much ran on the first of the same images, and comparisons are made on
the images that both have; below ten there is no interval, and nothing is decided. In scenes of two no object
stands in the center. Thresholds of localization are tuned on the other half of the images. Methods at
quick settings (RISE 500 masks; integrated gradients 20 steps, SmoothGrad 20 copies), fillers as their papers
have them; `object` and `background` are the annotated boxes or silhouettes and all but them."""


UNFINISHED = """\
The runs were broken off before they ended: the numbers in brackets say how far they came, and rows of a few
images say little."""


def body(options: argparse.Namespace) -> str:
    """All tables, and the claims."""
    asked = requests(options)
    names = {title: title.lower().replace(" ", "-") for title in (*NETWORKS, "scenes of two")}
    found = [
        Compared.read(
            title,
            asked[f"{name}-cheap"].out,
            [asked[f"{name}-{kind}"].out for kind in ("costly", "inversion")],
        )
        for title, name in names.items()
    ]
    (under,) = attacked([read(asked["without"].out), read(asked["under"].out)])
    before, after = (f"{100 * share:.0f} %" for share in under.right)
    listed = "\n".join(claims(found, under.kept))
    return "\n\n".join(
        [
            INTRODUCTION,
            *([UNFINISHED] if options.as_it_is else []),
            *(f"## {each.title}\n\n{each.table()}" for each in found),
            f"## Under attack: {under.attack}\n\nScenes of one object that the classifier sees rightly. "
            f"Their class is its first choice for {before} of them before the attack, for {after} after.\n\n"
            f"{table(HEADS, lines(under))}",
            f"## What Du et al. (2018) claim of guided feature inversion\n\n{listed}",
            "What Deelaka et al. (2024) claim of filling in blanks has [its own table](fill_in_blanks.md).",
        ]
    )


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--photographs", type=int, default=120, help="Drawn by chance; those seen rightly count."
    )
    parser.add_argument("--costly", type=int, default=40, help="The first of them, for what costs much.")
    parser.add_argument("--scenes", type=int, default=60, help="Of two objects each.")
    parser.add_argument("--costly-scenes", type=int, default=20)
    parser.add_argument("--attacked", type=int, default=60, help="Scenes of one object.")
    parser.add_argument("--only", help="Compute this run, and write no table.")
    parser.add_argument("--as-it-is", action="store_true", help="Compute nothing.")
    options = parser.parse_args()
    for name, request in requests(options).items():
        if not options.as_it_is and options.only in (None, name):
            print(f"== {name}", flush=True)
            evaluate(request, lambda text: print(text, flush=True))
    if options.only is None:
        title = "Gradients, class activation maps and perturbation"
        made = command("benchmarks.gradients", parser, options, without=("as_it_is",))
        write("gradients", title, made, body(options), PACKAGES)


if __name__ == "__main__":
    main()
