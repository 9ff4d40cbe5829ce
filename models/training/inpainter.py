"""Trains the small inpainter; one of the two jobs of `infill train`."""

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from models.checkpoints import write
from models.inpainters.small import FILE, SmallInpainter
from models.training.data import photographs, scene_arrays
from models.training.holes import grown, random_hole

Log = Callable[[str], object]
Sample = tuple[UInt8[ndarray, "h w 3"], UInt8[ndarray, "h w 3"], Bool[ndarray, "h w"]]


class Samples(IterableDataset[Sample]):
    """Endless (picture, truth, hole): scenes and photographs in equal parts.

    On a scene the truth under a hole that covers an object is the background without it, so the network
    learns to remove objects; elsewhere, and on photographs, the truth is the picture itself.
    """

    def __init__(self, data: Path, scenes: int, photos: Path | None, side: int, seed: int) -> None:
        self.arrays = scene_arrays(data, scenes)
        # Some photographs are smaller than a crop: they are left out, for enlarging them would teach blur.
        self.photos = (
            [photo for photo in photographs(photos) if min(photo.shape[:2]) >= side] if photos else []
        )
        self.side, self.seed = side, seed

    def __iter__(self) -> Iterator[Sample]:
        """Draw samples from this worker's own stream."""
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            photo = self.photos and rng.random() < 0.5
            picture, truth, hole = self._photo(rng) if photo else self._scene(rng)
            if rng.random() < 0.5:
                picture, truth, hole = picture[:, ::-1], truth[:, ::-1], hole[:, ::-1]
            yield picture.copy(), truth.copy(), hole.copy()

    def _silhouettes(self, rng: np.random.Generator) -> UInt8[ndarray, "h w"]:
        return np.asarray(self.arrays.silhouettes[rng.integers(len(self.arrays.labels))])

    def _photo(self, rng: np.random.Generator) -> Sample:
        photo = self.photos[rng.integers(len(self.photos))]
        step = 1 if min(photo.shape[:2]) < 1.5 * self.side or rng.random() < 0.6 else 2
        if step == 2 and min(photo.shape[:2]) >= 2 * self.side:
            even = photo[: photo.shape[0] // 2 * 2, : photo.shape[1] // 2 * 2].astype(np.uint16)
            photo = ((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 2) // 4).astype(
                np.uint8
            )
        y, x = (int(rng.integers(0, length - self.side + 1)) for length in photo.shape[:2])
        picture = photo[y : y + self.side, x : x + self.side]
        gain, lift = rng.uniform(0.75, 1.2, 3), rng.uniform(-15, 15)
        picture = np.clip(picture * gain + lift, 0, 255).astype(np.uint8)
        return picture, picture, random_hole(rng, self.side, self._silhouettes(rng))

    def _scene(self, rng: np.random.Generator) -> Sample:
        row = rng.integers(len(self.arrays.labels))
        pixels = self.arrays.images[row], self.arrays.backgrounds[row], self.arrays.silhouettes[row]
        y, x = rng.integers(0, pixels[0].shape[0] - self.side + 1, 2)
        picture, background, objects = (p[y : y + self.side, x : x + self.side] for p in pixels)
        if rng.random() < 0.4 and objects.any():
            hole = grown(rng, objects == rng.choice(np.unique(objects[objects > 0])))
        else:
            hole = random_hole(rng, self.side, self._silhouettes(rng))
        truth = picture
        for number in np.unique(objects[objects > 0]):
            thing = objects == number
            if hole[thing].mean() > 0.8:  # removed, rather than cut: behind it lies the background
                near = grown(np.random.default_rng(0), thing) | hole
                truth = np.where(near[..., None] & ~((objects > 0) & ~thing)[..., None], background, truth)
        return picture, truth, hole


def train_inpainter(
    data: Path, scenes: int, photos: Path | None, minutes: float, side: int, batch: int, seed: int,
    device: str, perceptual: float, start: Path | None, log: Log, out: Path = FILE, lr: float = 6e-4,
) -> None:  # fmt: skip
    """Train for `minutes` of wall time and write the averaged weights to `out`.

    The loss is the mean absolute error under the hole plus `perceptual` times LPIPS of the composite.
    """
    with torch.random.fork_rng():  # layers draw from the global generator, which is given back as it was
        torch.default_generator.manual_seed(seed)
        network = SmallInpainter().to(device).to(memory_format=torch.channels_last).train()
    if start:
        from models.checkpoints import read

        read(start, network)
    average = deepcopy(network)
    distance = _lpips(device) if perceptual else None
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=1e-4)
    loader = DataLoader(Samples(data, scenes, photos, side, seed), batch, num_workers=1, prefetch_factor=4)
    started, seen, running = time.perf_counter(), 0, np.zeros(2)
    for step, sample in enumerate(loader):
        share = (time.perf_counter() - started) / (60 * minutes)
        if share >= 1:
            break
        rate = lr * min(1, (step + 1) / 200) * (0.5 + 0.5 * np.cos(np.pi * min(share, 1)))
        optimizer.param_groups[0]["lr"] = rate
        running += _step(network, [part.to(device) for part in sample], optimizer, distance, perceptual)
        _average(average, network, min(0.999, (step + 1) / (step + 10)))
        seen += batch
        if (step + 1) % 100 == 0:
            l1, lpips = running / 100
            running[:] = 0
            seconds = time.perf_counter() - started
            speed = f"{seconds:.0f} s  {seen / seconds:.0f} images/s"
            log(f"step {step + 1}  L1 {l1:.4f}  LPIPS {lpips:.4f}  {speed}")
        if (step + 1) % 1000 == 0:
            write(out, average, {"arch": "infill.small_inpainter", "trained": f"{seen} samples, unfinished"})
    write(
        out,
        average,
        {"arch": "infill.small_inpainter", "trained": f"{seen} samples of {side} px, seed {seed}"},
    )


def _lpips(device: str) -> nn.Module:
    import lpips

    return (
        lpips.LPIPS(net="squeeze", verbose=False)
        .to(device, memory_format=torch.channels_last)
        .requires_grad_(False)
    )


def _step(
    network: SmallInpainter, sample: list[Tensor], optimizer: torch.optim.Optimizer,
    distance: nn.Module | None, perceptual: float,
) -> np.ndarray:  # fmt: skip
    picture, truth = (part.permute(0, 3, 1, 2).float() / 255 for part in sample[:2])
    hole = sample[2][:, None].float()
    with torch.autocast(picture.device.type, torch.bfloat16):
        proposal = network.proposal(picture, hole)
    # every sample weighs the square root of its hole: a large hole says more, but not in proportion
    weight = hole / (hole.sum((1, 2, 3), keepdim=True) * hole[0].numel()).sqrt()
    l1 = (weight * (proposal.float() - truth).abs()).sum() / (3 * len(hole))
    loss, seen = l1, 0.0
    if distance is not None:
        fused = torch.lerp(truth, proposal.float(), hole)
        with torch.autocast(picture.device.type, torch.bfloat16):
            away = distance(fused, truth, normalize=True).float().mean()
        loss, seen = l1 + perceptual * away, away.item()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    error = (hole * (proposal.detach().float() - truth).abs()).sum() / (3 * hole.sum())
    return np.array([error.item(), seen])


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        slow.lerp_(fast, 1 - decay)
