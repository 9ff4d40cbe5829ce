"""`uv run python -m benchmarks.speed`: methods beside captum and lime, engine overhead, memory, start-up.

What is compared takes turns in one process, after a warm-up of each, so that a ratio holds when the
machine's speed drifts. The comparison with captum takes every composite of stride 3, four times over;
`--stride` thins the grid. What cannot be measured (a library that is missing, photographs that are not here)
is a row that says so, and every row is written when it is there.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from attribution import Execution, Explainer, Lime, MaskedScore, Rise, SlidingPatch
from benchmarks.report import command, launch
from benchmarks.rows import Rows, process_peak
from benchmarks.turns import fastest, ratios, seconds, turns
from infill import Gray
from infill.network import Precision
from models.classifiers.scenes import load
from models.scenes import draw

GRAY = Gray()


def resnet50() -> nn.Module:
    """Torchvision's ResNet-50 with random weights (the arithmetic is the same), normalization in front."""
    from torchvision.models import get_model
    from torchvision.transforms import Normalize

    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        network = get_model("resnet50", weights=None).eval()
    return nn.Sequential(Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), network).eval()


def against_captum(stride: int, batches: tuple[int, ...], rounds: int) -> list[list[object]]:
    """SP with patch 29 against captum's Occlusion at its best batch size."""
    from captum.attr import Occlusion

    network, image = resnet50(), draw(0).image[None]
    with torch.inference_mode():
        target = int(network(image).argmax())
    forward = lambda images: network(images).softmax(1)  # noqa: E731
    baseline = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand_as(image)

    def captum(step: int, batch: int) -> Tensor:
        with torch.inference_mode():
            return Occlusion(forward).attribute(
                image, (3, 29, 29), (3, step, step), baseline, target=target, perturbations_per_eval=batch
            )

    best = fastest({batch: partial(captum, 28, batch) for batch in batches})
    method = SlidingPatch(patch=29, stride=stride, average=True)
    jobs: dict[str, Callable[[], Tensor]] = {
        "captum float32": lambda: captum(stride, best).mean(1),
        "SP float32": lambda: method(MaskedScore(image, target, network, GRAY)),
        "SP bfloat16": lambda: method(
            MaskedScore(image, target, network, GRAY, execution=Execution(precision="bfloat16"))
        ),
    }
    maps: dict[str, np.ndarray] = {}

    def run(name: str) -> None:
        maps[name] = jobs[name]().float().numpy()

    spent = turns({name: partial(run, name) for name in jobs}, rounds)
    gap = np.abs(maps["SP float32"] - maps["captum float32"]).max()
    rank = spearmanr(maps["SP bfloat16"].ravel(), maps["SP float32"].ravel()).statistic
    usual = spent["captum float32"]
    return [
        ["captum Occlusion, float32", f"{statistics.median(usual):.1f} s at {best} a call", "1", ""],
        beside("SP float32", spent, usual, " (1.5)", f"; largest difference {gap:.1e} (1e-4)"),
        beside("SP bfloat16", spent, usual, " (4)", f"; Spearman to float32 {rank:.4f} (0.99)"),
    ]


def beside(
    name: str, spent: Mapping[str, list[float]], usual: list[float], goal: str = "", note: str = ""
) -> list[object]:
    """A job's row: its median time, and how many times as fast it is as the usual one, round by round."""
    ratio, spread = ratios(usual, spent[name])
    return [name, f"{statistics.median(spent[name]):.1f} s", f"{ratio:.2f}{goal}", f"{spread}{note}"]


def against_lime(samples: int, batch: int, batches: tuple[int, ...], rounds: int) -> list[list[object]]:
    """LIME against the lime package at its best batch, with the same segments and float32 network."""
    from lime.lime_image import LimeImageExplainer

    network, image = resnet50(), draw(0).image
    segments = Lime().segment(image)

    def classify(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch_ = torch.from_numpy(images).permute(0, 3, 1, 2).float()
            return network(batch_).softmax(1).numpy()

    def lime(samples: int, batch: int) -> object:
        return LimeImageExplainer(random_state=0).explain_instance(
            image.permute(1, 2, 0).double().numpy(), classify, hide_color=0.45, num_samples=samples,
            batch_size=batch,
            segmentation_fn=lambda _: segments.numpy(),
        )  # fmt: skip

    def ours(precision: Precision) -> object:
        execution = Execution(batch_size=batch, precision=precision)
        score = MaskedScore(image, 0, network, GRAY, execution=execution)
        return Lime(samples=samples, segmentation=segments)(score)

    best = fastest({each: partial(lime, min(samples, 64), each) for each in batches})
    spent = turns(
        {
            "lime": partial(lime, samples, best),
            "LIME float32": partial(ours, "float32"),
            "LIME bfloat16": partial(ours, "bfloat16"),
        },
        rounds,
    )
    usual = spent["lime"]
    told = f"{samples} samples, batch {best}; ours {batch}"
    return [
        ["lime package, float32", f"{statistics.median(usual):.1f} s", "1", told],
        beside("LIME float32", spent, usual),
        beside("LIME bfloat16", spent, usual, " (3)"),
    ]


def fidelity(photographs: int = 3) -> list[list[object]]:
    """Rank correlation of heatmaps in bfloat16 with float32, MobileNetV2 with real weights."""
    from benchmarks.holes import ASSETS, MOBILENET
    from benchmarks.localization import truths
    from models.classifiers import load_classifier
    from studio.data.image import read_picture

    classifier = load_classifier("mobilenet_v2", MOBILENET)
    found = []
    for name, (label, _) in list(truths().items())[:photographs]:
        view = classifier.view(read_picture(ASSETS / "imagenet_val" / "images" / name).image)
        maps = [
            SlidingPatch(patch=29, stride=9)(
                MaskedScore(view, label, classifier, GRAY, execution=Execution(precision=precision))
            )
            for precision in ("float32", "bfloat16")
        ]
        found.append(spearmanr(*[heatmap.numpy().ravel() for heatmap in maps]).statistic)
    note = ", ".join(f"{value:.4f}" for value in found)
    return [
        ["SP bfloat16, MobileNetV2, real weights", f"Spearman to float32: {note}", "(0.99)", "photographs"]
    ]


def overhead(rounds: int, batch: int = 64) -> list[list[object]]:
    """The engine's time over bare forward passes of the same prepared network, round by round."""
    network, image = resnet50(), draw(0).image
    rows: list[list[object]] = []
    for precision in ("float32", "bfloat16"):
        score = MaskedScore(
            image, 0, network, GRAY, execution=Execution(batch_size=batch, precision=precision)
        )
        holes = SlidingPatch().holes(score)
        bare_input = score.perturbed(holes[0:batch])

        @torch.inference_mode()
        def bare(score: MaskedScore = score, images: Tensor = bare_input) -> None:
            score.classifier(images)

        def engine(score: MaskedScore = score) -> None:
            for _ in score.stream(iter([holes[0:batch]]), batch):  # noqa: B023
                pass

        bare()
        engine()
        ratios = [seconds(engine)[0] / seconds(bare)[0] for _ in range(rounds)]
        rows.append(
            [
                f"engine {precision}",
                f"median of {rounds} pairs",
                f"{statistics.median(ratios):.3f} (1.05)",
                f"{min(ratios):.3f} to {max(ratios):.3f}",
            ]
        )
    return rows


JOBS: dict[str, Explainer] = {
    "SP stride 24": SlidingPatch(patch=29, stride=24),
    "SP stride 2": SlidingPatch(patch=29, stride=2),
    "RISE 500": Rise(masks=500),
    "RISE 8000": Rise(masks=8000),
}


def peak(name: str) -> None:
    """Run one job with the small classifier and print this process's peak memory in MiB."""
    network, scene = load(), draw(0)
    JOBS[name](
        MaskedScore(scene.image, scene.labels[0], network, GRAY, execution=Execution(precision="auto"))
    )
    print(process_peak())


def memory(rounds: int = 3) -> list[list[object]]:
    """Peak memory of a whole process for few and for many holes: medians, for one job's differ by 5 %."""

    def once(name: str) -> float:
        words = [sys.executable, "-m", "benchmarks.speed", "--peak", name]
        return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1])

    peaks = {name: statistics.median(once(name) for _ in range(rounds)) for name in JOBS}
    few = {"SP": peaks["SP stride 24"], "RISE": peaks["RISE 500"]}
    return [
        [f"peak memory, {name}", f"{value:.0f} MiB", f"{value / few[name.split()[0]]:.3f} (1.05)", ""]
        for name, value in peaks.items()
    ]


def startup(rounds: int = 5) -> list[list[object]]:
    """Time from the command to the end of `infill --help`."""
    words = [sys.executable, "-c", "from studio.cli.main import main; main()", "--help"]
    times = [
        seconds(lambda: subprocess.run(words, capture_output=True, check=True))[0] for _ in range(rounds)
    ]
    return [["`infill --help`", f"{statistics.median(times):.2f} s (1)", "", f"{rounds} runs"]]


def main() -> None:
    """Run the chosen parts and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=3)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--turns", type=int, default=3, help="Of ours and captum's, of ours and lime's.")
    parser.add_argument("--rounds", type=int, default=7, help="Of the engine and bare forward passes.")
    parser.add_argument("--peak", choices=JOBS)
    options = parser.parse_args()
    if options.peak:
        return peak(options.peak)
    rows = Rows(
        "speed",
        "Speed and memory",
        command("benchmarks.speed", parser, options),
        ("what", "measured", "ratio (goal)", "note"),
        "SP: patch 29, gray, ResNet-50 with random weights, 224 x 224, against captum at the fastest of "
        f"{options.batches} perturbations a call, and lime at the fastest batch of them;\n"
        f"stride {options.stride}; beside captum and lime medians "
        f"of {options.turns} rounds in turn, with the range of the ratios. Memory and start-up are of whole "
        "processes; memory with the classifier of scenes.",
        ("torch", "torchvision", "captum", "lime"),
    )
    parts: dict[str, Callable[[], list[list[object]]]] = {
        "beside captum": partial(against_captum, options.stride, tuple(options.batches), options.turns),
        "beside the lime package": partial(
            against_lime, options.samples, 32, tuple(options.batches), options.turns
        ),
        "bfloat16 with real weights": fidelity,
        "the engine": partial(overhead, options.rounds),
        "memory": memory,
        "start-up": startup,
    }
    for name, part in parts.items():
        rows.part(name, part)


if __name__ == "__main__":
    launch(main)
