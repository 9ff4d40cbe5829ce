"""`uv run python -m benchmarks.peers`: methods beside other libraries', in turn, on one photograph.

Seconds, images shown to the classifier, memory, and how well the maps agree. A library that is not installed
is a row that says so: ``uv run --with shap --with torchray python -m benchmarks.peers`` measures two more.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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
    last_map,
    lime_package,
    occlusion,
    ours_lime,
    partition,
    rise_loop,
    score_cam,
    shown,
    sliding,
    subject,
    torchray,
)
from benchmarks.rows import Rows, peak_of
from benchmarks.turns import fastest, seconds

TRIED = (1, 2, 4, 8, 16, 32, 64)
"""How many images at once every peer is tried with."""
FEW = 64
"""Samples, masks or evaluations that the trials take."""


def tuned(name: str, trial: Callable[[int], object], job: Callable[[int], np.ndarray]) -> dict[str, Job]:
    """Return a peer's job, by a name that says with which batch: that of the fastest trial.

    One that is missing, or fails in the trial, fails again when it is its turn, where the row says why.
    """
    try:
        batch = fastest({count: partial(trial, count) for count in TRIED})
    except Exception:
        return {name: partial(job, BATCH)}
    return {f"{name}, {batch} a call": partial(job, batch)}


def packaged(it: Subject, samples: int) -> dict[str, Job]:
    """Return ours and the lime package."""
    return {
        "ours": partial(ours_lime, it, samples),
        **tuned("lime package", partial(lime_package, it, FEW), partial(lime_package, it, samples)),
    }


def linear(it: Subject, samples: int) -> dict[str, Job]:
    """Return the linear models and what is like them."""
    jobs = packaged(it, samples)
    for name in ("Lime", "KernelShap"):
        one = partial(captum_linear, it, name)
        jobs |= tuned(f"captum {name}", partial(one, FEW), partial(one, samples))
    return jobs | tuned("SHAP partition", partial(partition, it, FEW), partial(partition, it, samples))


def random(it: Subject, masks: int) -> dict[str, Job]:
    """Return ours and what else weighs maps by scores."""
    layer = last_map(it)
    return {
        "ours": lambda: Rise(masks=masks, normalize="probability")(it.score())[0].numpy(),
        **tuned("authors' loop, restated", partial(rise_loop, it, FEW), partial(rise_loop, it, masks)),
        **tuned("pytorch-grad-cam ScoreCAM", partial(shown, it, FEW), partial(score_cam, it, layer)),
    }


def contests(it: Subject, samples: int, masks: int, steps: int) -> dict[str, Callable[[], Mapping[str, Job]]]:
    """What is compared: by work the jobs by name, ours first."""

    def patches() -> Mapping[str, Job]:
        return {
            "ours": partial(sliding, it, 29, 24),
            "ours, incremental": partial(sliding, it, 29, 24, True),
            **tuned("captum Occlusion", partial(occlusion, it, 29), partial(occlusion, it, 24)),
        }

    def squares() -> Mapping[str, Job]:
        return {
            "ours": partial(sliding, it, 28, 28),
            **tuned("captum FeatureAblation", partial(ablation, it, 56), partial(ablation, it, 28)),
        }

    searches: dict[str, Job] = {
        "ours": partial(extremal, it, steps),
        "TorchRay extremal": partial(torchray, it, steps),
    }
    return {
        "occlusion, patch 29, stride 24": patches,
        "squares of 28 px": squares,
        f"LIME, {samples} samples": partial(linear, it, samples),
        f"RISE, {masks} masks": partial(random, it, masks),
        f"extremal, {steps} steps": lambda: searches,
    }


@dataclass
class Rounds:
    """What jobs took and found, round by round.

    Attributes:
        failed: By job, why it is not measured.
        spent: Seconds.
        shown: Images that the classifier was shown, in the last round.
        peaks: The most MiB more.
        maps: The last ones.
    """

    failed: dict[str, str] = field(default_factory=dict)
    spent: dict[str, list[float]] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    maps: dict[str, np.ndarray] = field(default_factory=dict)

    def attempt(self, name: str, job: Callable[[], object]) -> None:
        """Run something of a job's, unless that has failed before; or note why it fails now."""
        if name in self.failed:
            return
        try:
            job()
        except Exception as error:  # a peer may be missing, or fail in any way
            self.failed[name] = f"not measured: {type(error).__name__}: {str(error).splitlines()[:1]}"

    def go(self, it: Subject, name: str, job: Job) -> None:
        """Measure a job once more."""
        before = it.network.tally.images
        spent = self.spent.setdefault(name, [])
        peak = peak_of(lambda: spent.append(_kept(self.maps, name, job)))
        self.shown[name] = it.network.tally.images - before
        self.peaks[name] = max(peak, self.peaks.get(name, 0.0))

    def row(self, name: str) -> list[object]:
        """Return a job's cells."""
        if name in self.failed:
            return [self.failed[name]]
        ours, mine = self.maps["ours"], self.maps[name]
        ratio = statistics.median(a / b for a, b in zip(self.spent[name], self.spent["ours"], strict=True))
        return [
            f"{statistics.median(self.spent[name]):.2f}", f"{ratio:.2f}", self.shown[name],
            f"{self.peaks[name]:.0f}", f"{spearmanr(mine.ravel(), ours.ravel()).statistic:.3f}",
            f"{np.abs(mine - ours).max() / max(np.abs(ours).max(), 1e-12):.1e}",
        ]  # fmt: skip


def compared(
    work: str, it: Subject, jobs: Callable[[], Mapping[str, Job]], rounds: int
) -> Iterator[list[object]]:
    """Yield a row for each job; all of them in turn, round by round, after one that does not count."""
    planned, found = dict(jobs()), Rounds()
    for name, job in planned.items():
        found.attempt(name, job)  # libraries are loaded then, which is none of a job's memory
    for _ in range(rounds):
        for name, job in planned.items():
            found.attempt(name, partial(found.go, it, name, job))
    for name in planned:
        yield [work, name, *found.row(name)]


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
        f"{said}, gray, float32; ours in batches of {BATCH}, of which a processor gives a network few "
        f"at once, others with the fastest of {TRIED} at once; in turn, medians of {options.rounds} rounds, "
        "on a machine that others use as well:\nratios hold, seconds do not. Ours prepares the classifier "
        "anew each time (folded, channels last; some images more).\nDifferences are shares of ours' largest "
        "value. KernelShap, SHAP, ScoreCAM and RISE's loop are other methods or draw\nother samples: only "
        "their rank says something, and with ResNet-50, whose weights are random, not even that.",
        ("torch", "torchvision", "captum", "lime", "grad-cam", "shap", "torchray"),
    )
    for work, jobs in contests(it, options.samples, options.masks, options.steps).items():
        rows.part(work, partial(compared, work, it, jobs, options.rounds))
    work, heavy = f"LIME, {options.samples} samples, ResNet-50", large()
    heavies = partial(packaged, heavy, options.samples)
    rows.part(work, partial(compared, work, heavy, heavies, options.rounds))


if __name__ == "__main__":
    launch(main)
