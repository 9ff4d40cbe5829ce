"""Trains the small inpainter; one of the two jobs of `infill train`."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from infill.validate import require
from models.inpainters.small import FILE, SmallInpainter
from models.weights.checkpoint import check_writable, save_safetensors
from studio.output import new_folder
from studio.training.photographs import identity
from studio.training.samples import Sample, Samples
from studio.training.steps import Recipe, Training

Log = Callable[[str], object]
REPORTED_EVERY = 100
"""After so many steps there is a line in the log, with the means since the last one."""
EVERY = 1000
"""Steps between two sheets and two states to resume from."""


def train_inpainter(
    data: Path, scenes: int, photos: Path | None, recipe: Recipe, device: str, run: Path, log: Log,
    start: Path | None = None, resume: bool = False, out: Path = FILE, workers: int = 1,
) -> None:  # fmt: skip
    """Train, and write the averaged weights to `out`; states, log and sheets of samples go to `run`.

    Raises:
        ValueError: If weights, photographs or what is to be resumed are missing, a number is out of range,
            ``out`` is no name of a safetensors file, ``run`` holds a training that is not to be resumed, or
            the training diverges (then the last state and ``out`` stay as they were).
        OSError: If ``out`` cannot be written.
    """
    for name, number, least in (("scenes", scenes, 1), ("workers", workers, 0)):
        require(number >= least, name, f"at least {least}", number)
    state = run / "state.pt"
    with new_folder(out.parent), new_folder(run):
        check_writable(out)
        seen = {"scenes": scenes, "photos": identity(photos) if photos else "none"}
        training = _begun(recipe, device, start, state, resume, seen)
        samples = Samples(data, scenes, photos, recipe.side, [recipe.seed, training.step])
        if samples.left_out:
            log(f"{samples.left_out} photographs are smaller than a crop of {recipe.side} px, and left out")
        for wrong in samples.damaged:
            log(f"left out: {wrong}")
        _train(training, samples, device, run, log, workers)
        trained = f"{training.step * recipe.batch} crops of {recipe.side} px, seed {recipe.seed}"
        save_safetensors(out, training.average, {"arch": "infill.small_inpainter", "trained": trained})


def _train(training: Training, samples: Samples, device: str, run: Path, log: Log, workers: int) -> None:
    """Take steps until the time is over; keep states, log and sheets of samples in ``run``."""
    recipe, state = training.recipe, run / "state.pt"
    shown = _batch(samples.stream([recipe.seed, 1 << 31, 0]), 12, device)
    loader = DataLoader(
        samples, recipe.batch, num_workers=workers, prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # or else the loader would draw from the global one
    )  # fmt: skip
    before, started, first = training.seconds, time.perf_counter(), training.step
    running, reported = np.zeros(4), first
    for sample in loader:
        training.seconds = before + time.perf_counter() - started
        if training.seconds >= 60 * recipe.minutes:
            break
        running += training.advance([part.to(device) for part in sample])
        if training.step % REPORTED_EVERY == 0:
            speed = (training.step - first) * recipe.batch / (time.perf_counter() - started)
            _report(training, running / (training.step - reported), speed, run, log)
            running[:], reported = 0, training.step
        if training.step % EVERY == 0:
            training.keep(state)
            _sheet(training.average, shown, run / f"step-{training.step:07d}.png")
    training.keep(state)
    _sheet(training.average, shown, run / "last.png")


def _begun(
    recipe: Recipe, device: str, start: Path | None, state: Path, resume: bool, data: Mapping[str, object]
) -> Training:
    """Return a training from its beginning, or from where ``state`` is.

    Raises:
        ValueError: If that cannot be, or the folder holds a training that is not to be resumed.
    """
    rule = "left out where a training goes on from its own state"
    require(not (start and resume), "start", rule, str(start))
    rule = "a folder without a training (go on with that by --resume, or give another --run)"
    require(resume or not state.exists(), "run", rule, str(state.parent))
    training = Training(recipe, device, start, data)
    if resume:
        training.resume(state)
        _cut(state.with_name("log.csv"), training.step)
    else:  # one that was stopped before its first state may have left a log
        state.with_name("log.csv").unlink(missing_ok=True)
    return training


def _cut(path: Path, step: int) -> None:
    """Leave out of the log what came after the state that is gone on from: it comes again."""
    if not path.exists():
        return
    head, *rows = path.read_text("utf-8").splitlines(keepends=True)
    kept = [row for row in rows if int(row.partition(",")[0]) <= step]
    unfinished = path.with_suffix(".part")
    unfinished.write_text("".join([head, *kept]), "utf-8")
    unfinished.replace(path)


def _report(training: Training, figures: np.ndarray, speed: float, run: Path, log: Log) -> None:
    names = ("L1", "LPIPS", "critic", "fooling")
    text = "  ".join(f"{name} {value:.4f}" for name, value in zip(names, figures, strict=True))
    log(f"step {training.step}  {text}  {training.seconds:.0f} s  {speed:.0f} crops/s")
    path = run / "log.csv"
    new = not path.exists()
    with path.open("a") as file:
        if new:
            file.write("step,seconds,l1,lpips,critic,fooling\n")
        values = ",".join(f"{value:.5f}" for value in figures)
        file.write(f"{training.step},{training.seconds:.1f},{values}\n")


def _batch(samples: Iterator[Sample], count: int, device: str) -> list[Tensor]:
    columns = zip(*islice(samples, count), strict=True)
    return [torch.from_numpy(np.stack(column)).to(device) for column in columns]


@torch.no_grad()
def _sheet(network: SmallInpainter, sample: list[Tensor], path: Path) -> None:
    """Pictures, their holes, the composites and the truth, one line each."""
    from torchvision.utils import make_grid, save_image

    picture, truth = (part.permute(0, 3, 1, 2).float() / 255 for part in sample[:2])
    hole = sample[2][:, None].float()
    composites = torch.lerp(picture, network(picture, hole), hole)
    rows = torch.cat([picture, picture * (1 - hole), composites, torch.lerp(picture, truth, hole)])
    save_image(make_grid(rows, nrow=len(picture)), path)
