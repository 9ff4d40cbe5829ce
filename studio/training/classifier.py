"""Trains the classifier of scenes; one of the two jobs of `infill train`."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from infill.validate import require
from models.classifiers.scenes import FILE, PREPROCESSING, SceneClassifier
from models.scenes import CLASSES
from models.weights.checkpoint import check_writable, save_safetensors
from studio.output import new_folder
from studio.training.data import SceneArrays, scene_arrays

Log = Callable[[str], object]


def train_classifier(
    data: Path, scenes: int, epochs: int, batch: int, seed: int, device: str, log: Log, out: Path = FILE
) -> None:
    """Train on `scenes` scenes and their empty backgrounds, and write the weights to `out`.

    A scene's target is uniform over its objects, and uniform over all classes when it has none: an emptied
    scene is then at chance, which is what counterfactual removal is judged by.

    Raises:
        ValueError: If a number is out of its range, ``out`` is no name of a safetensors file, or the training
            diverges.
        OSError: If ``out`` cannot be written.
    """
    for name, number, least in (("scenes", scenes, 1), ("epochs", epochs, 1), ("seed", seed, 0)):
        require(number >= least, name, f"at least {least}", number)
    require(1 <= batch <= scenes, "batch", f"from 1 to the number of scenes {scenes}", batch)
    with new_folder(out.parent):
        check_writable(out)
        network = _trained(scene_arrays(data, scenes), epochs, batch, seed, device, log)
        save_safetensors(out, network, _metadata(scenes, epochs, seed))


def _trained(
    arrays: SceneArrays, epochs: int, batch: int, seed: int, device: str, log: Log
) -> SceneClassifier:
    scenes = len(arrays.labels)
    torch_rng = torch.Generator().manual_seed(seed)
    network = _initialised(seed).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02)
    steps = epochs * (scenes // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.15)
    started, step = time.perf_counter(), 0
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(scenes, generator=torch_rng).split(batch)[: scenes // batch]:
            images, targets = _batch(arrays, np.sort(rows.numpy()), torch_rng)
            loss = _step(network, images.to(device), targets.to(device), optimizer)
            schedule.step()
            total, step = total + loss, step + 1
        seconds = time.perf_counter() - started
        mean, speed = total / (scenes // batch), step * batch / seconds
        log(f"epoch {epoch + 1}/{epochs}  loss {mean:.4f}  {seconds:.0f} s  {speed:.0f} images/s")
    return network


def _initialised(seed: int) -> SceneClassifier:
    with torch.random.fork_rng():  # layers draw from the global generator, which is given back as it was
        torch.default_generator.manual_seed(seed)
        return SceneClassifier().train()


def _step(network: nn.Module, images: Tensor, targets: Tensor, optimizer: torch.optim.Optimizer) -> float:
    with torch.autocast(images.device.type, torch.bfloat16):
        logits = network(images)
    loss = F.cross_entropy(logits.float(), targets, label_smoothing=0.02)
    # Before the step, or the weights would not be finite either.
    require(bool(loss.isfinite()), "loss", "finite; this training has diverged", loss.item())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def _batch(arrays: SceneArrays, rows: np.ndarray, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Normalized images and target distributions; one image in eight is the empty background."""
    empty = torch.rand(len(rows), generator=rng) < 1 / 8
    pixels = np.where(empty.numpy()[:, None, None, None], arrays.backgrounds[rows], arrays.images[rows])
    labels = torch.from_numpy(arrays.labels[rows])
    targets = torch.zeros(len(rows), len(CLASSES) + 1).scatter_(1, labels % (len(CLASSES) + 1), 1.0)[:, :-1]
    targets[empty] = 1.0
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
    images = _vary(images, rng)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (PREPROCESSING.mean, PREPROCESSING.std))
    images = (images - mean) / std
    return images.contiguous(memory_format=torch.channels_last), targets / targets.sum(1, keepdim=True)


def _vary(images: Tensor, rng: torch.Generator) -> Tensor:
    """Flips, quarter turns and brightness; nothing that looks like a removal."""
    if torch.rand(1, generator=rng) < 0.5:
        images = images.flip(3)
    images = images.rot90(int(torch.randint(4, (1,), generator=rng)), (2, 3))
    gain = 0.8 + 0.4 * torch.rand(len(images), 1, 1, 1, generator=rng)
    return (images * gain).clamp(0, 1)


def _metadata(scenes: int, epochs: int, seed: int) -> dict[str, str]:
    return {
        "arch": "scenes",
        "crop": "224",
        "resize": "224",
        "mean": ",".join(map(str, PREPROCESSING.mean)),
        "std": ",".join(map(str, PREPROCESSING.std)),
        "labels": json.dumps(CLASSES),
        "trained": f"{scenes} scenes, {epochs} epochs, seed {seed}",
    }
