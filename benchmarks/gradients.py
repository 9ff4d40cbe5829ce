"""Gradients, class activation maps and perturbation, side by side.

``python -m benchmarks.gradients`` runs `infill evaluate` on photographs with two networks and on scenes of
two objects: what costs little on many images, the rest on the first of them. Scenes are attacked, too. It
writes ``results/gradients.md``, can be broken off, and goes on where it was: ``--only`` computes one of the
runs and writes no table, ``--as-it-is`` writes the table of what is there.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.claims import Compared, claims
from benchmarks.holes import ASSETS
from benchmarks.report import command, launch, table, write
from studio.evaluate.request import EvaluateRequest
from studio.evaluate.run import evaluate
from studio.report.attacked import HEADS, attacked, lines
from studio.report.results import read

RUNS = Path("runs/gradients")
PACKAGES = ("torch", "torchvision", "captum", "grad-cam")
CHEAP = ("gradient", "integrated/gray,inpaint", "smoothgrad", "gradcam", "gradcam-plus")
INVERSION = ("gfi/blur",)
COSTLY = ("rise/gray", "dssr-plus/noise-once", "extremal/blur-pyramid", "mp2/inpaint", "scorecam/gray")
ATTACKED = ("gradient", "integrated/gray", "smoothgrad", "gradcam", "gfi/blur", "sp/gray")
ATTACK = "fgsm:0.01"
METRICS = ("localization", "localization-mean", "pointing", "deletion:gray", "deletion:inpaint")
SETTINGS = ("integrated.steps=20", "smoothgrad.samples=20")
NETWORKS = {"MobileNetV2": "mobilenet_v2", "SqueezeNet": "squeezenet1_0"}
SCENES = "scenes of two"
NAMES = {title: title.lower().replace(" ", "-") for title in (*NETWORKS, SCENES)}
"""Of data sets, as their runs begin."""
KINDS = ("cheap", "inversion", "costly")
RUN_NAMES = (*(f"{name}-{kind}" for name in NAMES.values() for kind in KINDS), "without", "under")


def requests(options: argparse.Namespace) -> dict[str, EvaluateRequest]:
    """All runs by name: of each data set the cheap methods, and the costly ones on its first images."""
    photographs = EvaluateRequest(str(ASSETS / "imagenet_val"), correct_only=True, sample=options.photographs)
    data = {
        title: replace(photographs, classifier=name, weights=ASSETS / "classifiers" / f"{name}.safetensors")
        for title, name in NETWORKS.items()
    }
    data[SCENES] = EvaluateRequest(f"scenes-two:{options.scenes}")
    found = {}
    for title, request in data.items():
        few = 2 * options.costly_scenes if title == SCENES else options.costly
        name = NAMES[title]
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


INTRODUCTION = """\
`infill evaluate` on ImageNet photographs that the network sees rightly, and on scenes of two objects of
different classes, each the target in turn. Every figure with its 95 % interval over photographs or scenes
and, in brackets, the number of images: methods that cost much ran on the first of the same images, and
comparisons are made on the images that both have. Both targets of a scene count as one of it; below ten
photographs or scenes there is no interval, and nothing is decided; p of all claims are corrected together
(Holm). In scenes of two no object stands in the center. Thresholds of localization are tuned on the other
half of the images. Methods at quick settings (RISE 500 masks; integrated gradients 20 steps, SmoothGrad 20
copies), fillers as their papers have them; `object` and `background` are the annotated boxes or silhouettes
and all but them."""


UNFINISHED = """\
The runs were broken off before they ended: the numbers in brackets say how far they came, and rows of a few
images say little."""


def body(options: argparse.Namespace) -> str:
    """All tables, and the claims."""
    asked = requests(options)
    found = [
        Compared.read(
            title,
            asked[f"{name}-cheap"].out,
            [asked[f"{name}-{kind}"].out for kind in ("costly", "inversion")],
        )
        for title, name in NAMES.items()
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
    parser.add_argument("--only", choices=RUN_NAMES, help="Compute this run, and write no table.")
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
    launch(main)
