"""Scenes to train on, drawn once into memory-mapped arrays."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray
from numpy.lib.format import open_memmap

from models.scenes import SIDE, draw
from studio.progress import Progress
from studio.runs.write import made_once

TRAINING_SEED = 1
"""The world that the shipped networks are trained in; the default world, 0, is never trained on."""


@dataclass(frozen=True)
class SceneArrays:
    """Scenes as 8-bit arrays: `silhouettes` holds 0 for the background, 1 and 2 for the objects."""

    images: UInt8[ndarray, "n h w 3"]
    backgrounds: UInt8[ndarray, "n h w 3"]
    silhouettes: UInt8[ndarray, "n h w"]
    labels: Int[ndarray, "n 2"]
    path: Path

    @classmethod
    def read(cls, path: Path) -> SceneArrays:
        """Open what `scene_arrays` has written; pixels are read when they are used.

        Raises:
            ValueError: If the file is damaged.
        """
        try:
            everything = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"{path} is damaged ({error}); remove it, and it is drawn again") from error
        pixels = everything[:, :SIDE]
        labels = everything[:, SIDE, :2, 0].astype(np.int64) - 1
        return cls(pixels[..., :3], pixels[..., 3:6], pixels[..., 6], labels, path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let other processes open the file: by content the arrays would be gigabytes."""
        return SceneArrays.read, (self.path,)


def scene_arrays(folder: Path, count: int, seed: int = TRAINING_SEED, workers: int = 2) -> SceneArrays:
    """The first `count` scenes of the world `seed`, drawn in parallel unless `folder` already holds them.

    Scenes that another infill has drawn otherwise do not count.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = sha256(draw(0, seed).image.numpy().tobytes()).hexdigest()[:8]
    path = folder / f"scenes-{seed}-{count}-{drawn}.npy"
    made_once(path, partial(_draw_all, path, count, seed, workers))
    return SceneArrays.read(path)


def _draw_all(path: Path, count: int, seed: int, workers: int) -> None:
    """Draw scenes into a file that gets its name when it is whole; nobody else draws them meanwhile."""
    unfinished = path.with_suffix(".part.npy")  # one that a killed training has left is written anew
    try:
        _reserve(unfinished, count)
        jobs = [(unfinished, seed, start, min(start + 64, count)) for start in range(0, count, 64)]
        with (
            ProcessPoolExecutor(workers, get_context("spawn")) as pool,
            Progress().aside(f"drawing scenes for {path}", "scenes") as drawn,
        ):
            for done, _ in enumerate(pool.map(_fill, jobs), start=1):
                drawn(min(64 * done, count), count)
        unfinished.replace(path)
    except BrokenProcessPool as error:
        raise OSError(f"a process that draws scenes for {path} died; is there enough memory?") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _reserve(path: Path, count: int) -> None:
    """Make a file for so many scenes, with all of its room: into a hole of a full disk nobody can write."""
    rows = open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, SIDE + 1, SIDE, 7))
    rows.flush()
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _fill(job: tuple[Path, int, int, int]) -> None:
    path, seed, start, stop = job
    rows = np.load(path, mmap_mode="r+")
    for index in range(start, stop):
        scene = draw(index, seed)
        row = np.zeros((SIDE + 1, SIDE, 7), dtype=np.uint8)  # the last line carries the labels, plus one
        row[:SIDE, :, :3] = (scene.image * 255).round().byte().permute(1, 2, 0).numpy()
        row[:SIDE, :, 3:6] = (scene.background * 255).round().byte().permute(1, 2, 0).numpy()
        for i, silhouette in enumerate(scene.silhouettes.numpy()):
            row[:SIDE][silhouette, 6] = i + 1
        row[SIDE, : len(scene.labels), 0] = np.array(scene.labels) + 1
        rows[index] = row
