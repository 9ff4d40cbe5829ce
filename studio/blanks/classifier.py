"""The classifier that the job trains, once, and keeps in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from models.classifiers.digits import ARCH, DigitClassifier, load
from models.weights.checkpoint import read_checkpoint, save_safetensors
from studio.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from models.classifiers import ImageClassifier
    from studio.blanks.data import Labelled

FILE = "classifier.safetensors"
STEPS, BATCH, RATE = 600, 64, 3e-3
NOISE = 0.5
"""Standard deviation of the noise on the images that it learns from."""


def trained(data: Labelled, seed: int, folder: Path, device: torch.device) -> ImageClassifier:
    """Return the classifier in the folder; one of these images is trained there if there is none.

    Raises:
        ValueError: If there is one, of other images or another seed.
    """
    path, described = folder / FILE, {"data": data.title, "seed": str(seed), "training": _recipe(data)}
    if path.exists():
        before = read_checkpoint(path).metadata
        differences = [
            f"{name} {before.get(name)} there, {now} now"
            for name, now in described.items()
            if before.get(name) != now
        ]
        if differences:
            found = "; ".join(differences)
            raise ValueError(f"--out: {path} is another run's classifier; give another folder. {found}")
    else:
        network = _learned(data, seed, device)
        named = {"arch": ARCH, "labels": json.dumps(list(data.classes)), **described}
        save_safetensors(path, network, named)
    return load(str(path)).to(device)  # as it is kept: in half precision, now as later


def _recipe(data: Labelled) -> str:
    assert data.training is not None
    return f"{len(data.training[0])} images, {STEPS} steps of {BATCH}, noise {NOISE}"


def _learned(data: Labelled, seed: int, device: torch.device) -> DigitClassifier:
    assert data.training is not None
    images, targets = data.training
    chance = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():  # layers and dropout draw from the global generator
        torch.manual_seed(seed)  # of every device: dropout draws where the network is
        network = DigitClassifier(len(data.classes)).to(device).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
        with Progress() as progress:
            progress.plan(STEPS, "steps")
            with progress.run(f"training on {len(images)} of {data.title}"):
                for step in range(STEPS):
                    rows = torch.randint(len(images), (BATCH,), generator=chance)
                    shown = _varied(images[rows], chance).to(device)
                    loss = F.cross_entropy(network(shown), targets[rows].long().to(device))
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    schedule.step()
                    progress(step + 1, STEPS)
    return network.eval()


def _varied(images: Tensor, chance: torch.Generator) -> Tensor:
    """Return images in [0, 1], moved by up to a pixel, with noise."""
    down, across = torch.randint(-1, 2, (2,), generator=chance).tolist()
    moved = images.float().div(255).roll((down, across), (2, 3))
    return (moved + NOISE * torch.randn(moved.shape, generator=chance)).clamp(0, 1)
