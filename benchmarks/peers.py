"""`uv run python -m benchmarks.peers`: methods beside other libraries', in turn, on one photograph.

Seconds, images shown to the classifier, memory, and how well the maps agree. A library that is not installed
is a row that says so: ``uv run --with shap --with torchray python -m benchmarks.peers`` measures two more.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
from scipy.stats import spearmanr

from attribution import Rise
from benchmarks.report import command, launch
from benchmarks.rivals import (
    BATCH,
    Job,
    Subject,
    ablation,
    captum_linear,
    extremal,
    large,
    lime_package,
    occlusion,
    ours_lime,
    partition,
    rise_loop,
    score_cam,
    sliding,
    subject,
    torchray,
)
from benchmarks.rows import Rows, peak_of
from benchmarks.turns import fastest, seconds


def best(it: Subject, job: Callable[..., np.ndarray], *fixed: int) -> int:
    """Return the batch with which a peer is fastest."""
    return fastest({batch: partial(job, it, *fixed, batch) for batch in (1, 16, 64)})


def contests(it: Subject, samples: int, masks: int, steps: int) -> dict[str, Callable[[], Mapping[str, Job]]]:
    """What is compared: by work the jobs by name, ours first."""

    def patches() -> Mapping[str, Job]:
        batch = best(it, occlusion, 29)
        return {
            "ours": partial(sliding, it, 29, 24),
            "ours, incremental": partial(sliding, it, 29, 24, True),
            f"captum Occlusion, {batch} a call": partial(occlusion, it, 24, batch),
        }

    def squares() -> Mapping[str, Job]:
        batch = best(it, ablation, 56)
        return {
            "ours": partial(sliding, it, 28, 28),
            f"captum FeatureAblation, {batch} a call": partial(ablation, it, 28, batch),
        }

    linear: dict[str, Job] = {
        "ours": partial(ours_lime, it, samples),
        "lime package": partial(lime_package, it, samples),
        "captum Lime": partial(captum_linear, it, "Lime", samples),
        "captum KernelShap": partial(captum_linear, it, "KernelShap", samples),
        "SHAP partition": partial(partition, it, samples),
    }
    searches: dict[str, Job] = {
        "ours": partial(extremal, it, steps),
        "TorchRay extremal": partial(torchray, it, steps),
    }
    random: dict[str, Job] = {
        "ours": lambda: Rise(masks=masks, normalize="probability")(it.score())[0].numpy(),
        "authors' loop, restated": partial(rise_loop, it, masks),
        "pytorch-grad-cam ScoreCAM": partial(score_cam, it),
    }
    return {
        "occlusion, patch 29, stride 24": patches,
        "squares of 28 px": squares,
        f"LIME, {samples} samples": lambda: linear,
        f"RISE, {masks} masks": lambda: random,
        f"extremal, {steps} steps": lambda: searches,
    }


def compared(
    work: str, it: Subject, jobs: Callable[[], Mapping[str, Job]], rounds: int
) -> Iterator[list[object]]:
    """Yield a row for each job; all of them in turn, round by round."""
    planned, failed = dict(jobs()), {}
    spent: dict[str, list[float]] = {name: [] for name in planned}
    shown, peaks = {}, dict[str, float]()
    maps: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name, job in planned.items():
            if name in failed:
                continue
            before = it.network.tally.images
            try:
                peak = peak_of(lambda: spent[name].append(_kept(maps, name, job)))  # noqa: B023
            except Exception as error:  # a peer may be missing, or fail in any way
                failed[name] = f"not measured: {type(error).__name__}: {str(error).splitlines()[:1]}"
                continue
            shown[name], peaks[name] = it.network.tally.images - before, max(peak, peaks.get(name, 0.0))
    for name in planned:
        if name in failed:
            yield [work, name, failed[name]]
            continue
        middle = statistics.median(spent[name])
        ratio = statistics.median(a / b for a, b in zip(spent[name], spent["ours"], strict=True))
        rank = spearmanr(maps[name].ravel(), maps["ours"].ravel()).statistic
        gap = np.abs(maps[name] - maps["ours"]).max() / max(np.abs(maps["ours"]).max(), 1e-12)
        yield [
            work, name, f"{middle:.2f}", f"{ratio:.2f}", shown[name], f"{peaks[name]:.0f}",
            f"{rank:.3f}", f"{gap:.1e}",
        ]  # fmt: skip


def _kept(maps: dict[str, np.ndarray], name: str, job: Job) -> float:
    time, maps[name] = seconds(job)
    return time


def main() -> None:
    """Measure, and write the table row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200, help="Of LIME and its like.")
    parser.add_argument("--masks", type=int, default=300, help="Of RISE.")
    parser.add_argument("--steps", type=int, default=60, help="Of extremal perturbations.")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    it, said = subject()
    rows = Rows(
        "peers",
        "Beside other libraries",
        command("benchmarks.peers", parser, options),
        (
            "work",
            "who",
            "seconds",
            "times ours",
            "images shown",
            "MiB more",
            "Spearman to ours",
            "difference",
        ),
        f"{said}, gray, float32, batches of {BATCH}; in turn, medians of {options.rounds} rounds, on a "
        "machine that others use as well:\nratios hold, seconds do not. Ours prepares the classifier anew "
        "each time (folded, channels last; some images more).\nDifferences are shares of ours' largest "
        "value. KernelShap, SHAP, ScoreCAM and RISE's loop are other methods or draw\nother samples: only "
        "their rank says something, and with ResNet-50, whose weights are random, not even that.",
        ("torch", "torchvision", "captum", "lime", "grad-cam", "shap", "torchray"),
    )
    for work, jobs in contests(it, options.samples, options.masks, options.steps).items():
        rows.part(work, partial(compared, work, it, jobs, options.rounds))
    work, heavy = f"LIME, {options.samples} samples, ResNet-50", large()
    linear: dict[str, Job] = {
        "ours": partial(ours_lime, heavy, options.samples),
        "lime package": partial(lime_package, heavy, options.samples),
    }
    rows.part(work, partial(compared, work, heavy, lambda: linear, options.rounds))


if __name__ == "__main__":
    launch(main)
