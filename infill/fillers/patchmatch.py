"""Exemplars by randomized search: the PyPatchMatch library as a filler."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from threading import Lock
from typing import Annotated, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import Tensor

from infill.filler import Chance, Fill, Hole, Images, check_rgb, spawn
from infill.fillers.crops import Windows, windows
from infill.fillers.static import IMAGENET_MEAN, Color, check_empty
from infill.validate import Length, Level, Range, require_settings

_SEEDS = 2**32
# The library keeps one seed for the whole process: while holes are being filled, nobody may set another.
_SEEDED = Lock()


@dataclass(frozen=True)
class PatchMatch:
    """Patches from elsewhere in the image, found by chance and propagation (Barnes et al. 2009).

    This is the PyPatchMatch library, coarse to fine and in 8 bits: overlapping patches vote on each hidden
    pixel (Wexler et al. 2007), and every patch outside looks for its like inside, too (Simakov et al. 2008).
    Its search starts from ``seed``, so the same image and hole give the same fill, whatever the batch and the
    number of threads. For several fills of a hole make it ``stochastic``: then the generator of each hole
    draws the seed, and holes are filled one after another.

    Args:
        radius: Patches have ``2 * radius + 1`` rows and columns; 1 to 50.
        seed: Of the search, 0 to 2^32 - 1.
        stochastic: Whether the seed is drawn for each hole instead.
        context: Only so many pixels round the hole are searched; ``None`` searches the whole image.
        threads: Holes filled at a time; ``None`` is as many as torch has threads.
        threshold: Pixels with ``hole >= threshold`` are hidden from the library and filled.
        empty: The fill's color where an image has no observed pixel to take.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    radius: Annotated[int, Range(1, 50)] = 3
    seed: Annotated[int, Range(0, _SEEDS - 1)] = 0
    stochastic: bool = False
    context: Length | None = None
    threads: Annotated[int, Range(1, 1024)] | None = None
    threshold: Level = 0.5
    empty: Color = IMAGENET_MEAN
    per_hole: ClassVar[bool] = True
    sees_hidden: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_settings(self)
        check_empty(self.empty)

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Return the fill of each hole, "n 3 h w" in [0, 1].

        Raises:
            ValueError: If shapes do not fit together, the image is not RGB, a stochastic filler has no
                generator, or the library is not installed.
        """
        check_rgb(image, hole)
        hidden = hole.detach().cpu() >= self.threshold
        seeds = [self.seed] * len(hole)
        if self.stochastic:
            seeds = [
                int(torch.randint(_SEEDS, (), generator=each, device="cpu"))
                for each in spawn(generator, len(hole))
            ]
        fill = image.detach().cpu().float().clamp(0, 1).expand(len(hole), -1, -1, -1).clone()
        gone = hidden.flatten(1).all(1)
        fill[gone] = fill.new_tensor(self.empty).view(3, 1, 1)
        for group in windows(hidden & ~gone[:, None, None, None], self.context, 1):
            group.paste(self._filled(group, fill, hidden, seeds), fill)
        return fill.to(image.device, image.dtype)

    def _filled(self, group: Windows, images: Tensor, hidden: Tensor, seeds: list[int]) -> Tensor:
        """What the library makes of the windows, in [0, 1]."""
        holes = group.cut(hidden)
        pixels = (group.cut(images).where(~holes, 0) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        own = [seeds[index] for index in group.index]
        made = self._each(list(zip(pixels, holes[:, 0].numpy(), own, strict=True)))
        return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float() / 255

    def _each(
        self, jobs: list[tuple[UInt8[ndarray, "h w 3"], Bool[ndarray, "h w"], int]]
    ) -> list[UInt8[ndarray, "h w 3"]]:
        inpaint, set_seed = _library()
        made: list[UInt8[ndarray, "h w 3"]] = []
        with _SEEDED, ThreadPoolExecutor(self.threads or torch.get_num_threads()) as pool:
            for seed, alike in groupby(jobs, key=lambda job: job[2]):
                set_seed(seed)
                made += pool.map(lambda job: inpaint(job[0], job[1], patch_size=self.radius), alike)
        return made


def _library() -> tuple[Callable[..., ndarray], Callable[[int], None]]:
    """Return the library's functions to fill and to set the seed.

    Raises:
        ValueError: If it is not installed, or its binary part cannot be loaded.
    """
    try:
        import patchmatch
    except ImportError as error:
        raise _missing(str(error)) from error
    if not patchmatch.patchmatch_available:
        raise _missing("its binary part cannot be loaded")
    return patchmatch.inpaint, patchmatch.set_random_seed


def _missing(reason: str) -> ValueError:
    return ValueError(
        f"patchmatch needs PyPatchMatch ({reason}); pip install pypatchmatch, "
        "or take exemplar, which fills alike without it"
    )
