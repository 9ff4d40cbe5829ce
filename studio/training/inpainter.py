"""Trains the small inpainter; one of the two jobs of `infill train`."""

import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from infill.network import fast_dtype
from infill.realism.similarity import Perceptual
from infill.validate import Count, Positive, Range, Seed, Weight, require, require_settings
from models.inpainters.small import FILE, MULTIPLE, SOFTEN_IN_TRAINING, TILE, SmallInpainter, evened, load
from models.scenes import SIDE
from models.weights.checkpoint import check_writable, save_safetensors
from models.weights.libraries import one_line
from studio.training.adversary import Critic, critic_loss, fooling_loss, perceptual
from studio.training.photographs import identity
from studio.training.samples import Sample, Samples

Log = Callable[[str], object]
REPORTED_EVERY = 100
"""After so many steps there is a line in the log, with the means since the last one."""
EVERY = 1000
"""Steps between two sheets and two states to resume from."""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        minutes: Wall time, that of what is resumed included.
        side: Side of the crops in pixels, a multiple of 8; scenes have 224.
        batch: Crops a step.
        lr: Highest learning rate; it warms up over 200 steps and falls as a cosine.
        perceptual: Weight of LPIPS of the composite, beside the mean absolute error under the hole.
        adversarial: Weight of the critic's verdict on the composite.
        seed: Seed of weights and samples.

    Raises:
        ValueError: If one is out of its range.
    """

    minutes: Positive = 60.0
    side: Annotated[int, Range(32, SIDE)] = 128
    batch: Count = 16
    lr: Positive = 6e-4
    perceptual: Weight = 0.5
    adversarial: Weight = 0.01
    seed: Seed = 0

    def __post_init__(self) -> None:
        require_settings(self)
        require(self.side % MULTIPLE == 0, "side", f"a multiple of {MULTIPLE}", self.side)


class Training:
    """The networks, their optimizers, and how far they have come; ``data`` is what they learn from."""

    def __init__(
        self, recipe: Recipe, device: str, start: Path | None, data: Mapping[str, object] | None = None
    ) -> None:
        self.recipe, self.data = recipe, dict(data or {})
        with torch.random.fork_rng():  # layers draw from the global generator, which is given back as it was
            torch.default_generator.manual_seed(recipe.seed)
            network = evened(load(start)) if start else SmallInpainter(even=True)
            self.network = network.to(device).to(memory_format=torch.channels_last).train()
            self.critic = Critic().to(device)
        self.average = deepcopy(self.network)
        self.lpips = None
        if recipe.perceptual or recipe.adversarial:
            self.lpips = perceptual().to(device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), recipe.lr, betas=(0.9, 0.98), weight_decay=1e-4
        )
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), 4e-4, betas=(0.0, 0.98))
        self.chance = torch.Generator().manual_seed(recipe.seed)
        self.step, self.seconds = 0, 0.0

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """What has to be kept to go on."""
        return {
            "network": self.network, "average": self.average, "critic": self.critic,
            "optimizer": self.optimizer, "critic_optimizer": self.critic_optimizer,
        }  # fmt: skip

    def keep(self, path: Path) -> None:
        """Write everything that is needed to go on from here."""
        state: dict[str, object] = {name: part.state_dict() for name, part in self.parts().items()}
        unfinished = path.with_suffix(".part")
        recipe = {**asdict(self.recipe), **self.data}
        more = {"step": self.step, "seconds": self.seconds, "recipe": recipe}
        torch.save({**state, **more}, unfinished)
        unfinished.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from what `keep` wrote.

        Raises:
            ValueError: If there is nothing to go on from, it is damaged, or of a training by another recipe
                or on other data; only ``minutes`` may be others. A state of before data were told says
                nothing of them.
        """
        if not path.is_file():
            raise ValueError(f"nothing to resume: {path} is missing")
        device = next(self.network.parameters()).device
        try:
            state = torch.load(path, weights_only=True, map_location=device)
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
        except Exception as error:  # unpickling what is damaged may fail in any way
            raise ValueError(
                f"{path} is damaged, or no state of this training ({one_line(error)}); start without --resume"
            ) from error
        recipe = {**asdict(self.recipe), **self.data}
        others = [
            f"{name} {value} there, {recipe[name]} now"
            for name, value in state.get("recipe", {}).items()
            if name in recipe.keys() - {"minutes"} and recipe[name] != value
        ]
        require(not others, "resume", "with the settings and data that it began with", "; ".join(others))
        self.chance.manual_seed(self.recipe.seed + self.step)

    def rate(self) -> float:
        """The learning rate now."""
        share = min(1, self.seconds / (60 * self.recipe.minutes))
        return float(self.recipe.lr * min(1, (self.step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * share)))

    @staticmethod
    def _autocast(device: torch.device) -> torch.autocast:
        """bfloat16 where it is native; elsewhere it is slower than float32."""
        return torch.autocast(device.type, torch.bfloat16, enabled=fast_dtype(device) is torch.bfloat16)

    def advance(self, sample: list[Tensor]) -> np.ndarray:
        """One step; returns the mean absolute error, LPIPS, and the losses of critic and inpainter.

        Raises:
            ValueError: If loss or gradients are not finite; the inpainter is as it was before.
        """
        picture, truth = (part.permute(0, 3, 1, 2).float() / 255 for part in sample[:2])
        hole = sample[2][:, None].float()
        self.optimizer.param_groups[0]["lr"] = self.rate()
        shift: list[int] = torch.randint(0, TILE, (2,), generator=self.chance).tolist()
        with self._autocast(picture.device):
            proposal = self.network.proposal(picture, hole, (shift[0], shift[1]), SOFTEN_IN_TRAINING)
        away = (proposal.float() - truth).abs()
        # every sample weighs the square root of its hole: a large hole says more, but not in proportion
        weight = hole / (hole.sum((1, 2, 3), keepdim=True) * hole[0].numel()).sqrt()
        loss = (weight * away).sum() / (3 * len(hole))
        losses = np.zeros(3)
        if self.lpips is not None:
            more, losses = self._perceived(self.lpips, torch.lerp(truth, proposal.float(), hole), truth, hole)
            loss = loss + more
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        steepness = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        finite = bool((loss.detach() + steepness).isfinite())
        rule = f"so low that losses and gradients stay finite (step {self.step + 1}: loss {loss.item()})"
        require(finite, "lr", rule, self.recipe.lr)
        self.optimizer.step()
        self.step += 1
        _average(self.average, self.network, min(0.999, self.step / (self.step + 10)))
        return np.array([((hole * away).sum() / (3 * hole.sum())).item(), *losses])

    def _perceived(
        self, lpips: Perceptual, fused: Tensor, truth: Tensor, hole: Tensor
    ) -> tuple[Tensor, np.ndarray]:
        """The losses on features, for the inpainter; the critic takes its own step."""
        # The backbone's strides see some pixels more often than others: from another corner each time, that
        # leaves no pattern in what is learned.
        y, x = torch.randint(0, 8, (2,), generator=self.chance).tolist()
        fused, truth, hole = (part[..., y:, x:] for part in (fused, truth, hole))
        with self._autocast(fused.device):
            with torch.no_grad():
                theirs = lpips.features(truth)
            ours = lpips.features(fused)
            distance = lpips.distance(ours, theirs).mean()
            loss = self.recipe.perceptual * distance
            if not self.recipe.adversarial:
                return loss, np.array([distance.item(), 0, 0])
            judged = critic_loss(self.critic(theirs), self.critic([one.detach() for one in ours]), hole)
            self.critic_optimizer.zero_grad(set_to_none=True)
            judged.backward()
            self.critic_optimizer.step()
            self.critic.requires_grad_(False)
            fooling = fooling_loss(self.critic(ours), hole)
            self.critic.requires_grad_(True)
        return loss + self.recipe.adversarial * fooling, np.array(
            [distance.item(), judged.item(), fooling.item()]
        )


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
    check_writable(out)
    state = run / "state.pt"
    seen = {"scenes": scenes, "photos": identity(photos) if photos else "none"}
    training = _begun(recipe, device, start, state, resume, seen)
    samples = Samples(data, scenes, photos, recipe.side, [recipe.seed, training.step])
    if samples.left_out:
        log(f"{samples.left_out} photographs are smaller than a crop of {recipe.side} px, and left out")
    for wrong in samples.damaged:
        log(f"left out: {wrong}")
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
    trained = f"{training.step * recipe.batch} crops of {recipe.side} px, seed {recipe.seed}"
    save_safetensors(out, training.average, {"arch": "infill.small_inpainter", "trained": trained})


def _begun(
    recipe: Recipe, device: str, start: Path | None, state: Path, resume: bool, data: Mapping[str, object]
) -> Training:
    """Return a training from its beginning, or from where ``state`` is; its folder is there from now on.

    Raises:
        ValueError: If that cannot be, or the folder holds a training that is not to be resumed.
    """
    rule = "left out where a training goes on from its own state"
    require(not (start and resume), "start", rule, str(start))
    rule = "a folder without a training (go on with that by --resume, or give another --run)"
    require(resume or not state.exists(), "run", rule, str(state.parent))
    training = Training(recipe, device, start, data)
    state.parent.mkdir(parents=True, exist_ok=True)
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


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        slow.lerp_(fast, 1 - decay)
