"""What the small inpainter learns from: pictures, what is behind their holes, and the holes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image
from torch.utils.data import IterableDataset, get_worker_info

from infill.validate import require
from studio.training.data import scene_arrays
from studio.training.holes import grown, random_hole
from studio.training.photographs import Photographs, photographs

PHOTOS = 0.7
"""Share of photographs among the samples, where there are any."""

Sample = tuple[UInt8[ndarray, "h w 3"], UInt8[ndarray, "h w 3"], Bool[ndarray, "h w"]]


class Samples(IterableDataset[Sample]):
    """Endless (picture, truth, hole) from scenes and photographs.

    On a scene the truth under a hole that covers an object is the background without it, so the network
    learns to remove objects; elsewhere, and on photographs, the truth is the picture itself.

    Attributes:
        large: The numbers of the photographs that are large enough.
        left_out: How many photographs are smaller than a crop.
        damaged: What is wrong with the photographs that cannot be read.

    Raises:
        ValueError: If there are no photographs, or none that is large enough.
    """

    def __init__(
        self, data: Path, scenes: int, photos: Path | None, side: int, seed: int | list[int]
    ) -> None:
        # Some photographs are smaller than a crop: they are left out, for enlarging them would teach blur.
        self.photos = photographs(photos, data) if photos else None
        sizes, wrong = (self.photos.sizes, self.photos.wrong) if self.photos else ([], {})
        self.large = [number for number, size in enumerate(sizes) if min(size) >= side]
        self.left_out, self.damaged = len(sizes) - len(self.large), list(wrong.values())
        if sizes and not self.large:
            rule = f"a folder with photographs whose short side has at least {side} px"
            require(False, "photos", rule, f"at most {max(map(min, sizes))} px in {photos}")
        self.arrays = scene_arrays(data, scenes)  # which takes longest
        self.side = side
        self.seed = [seed] if isinstance(seed, int) else seed

    def __iter__(self) -> Iterator[Sample]:
        """Draw samples from this worker's own stream."""
        worker = get_worker_info()
        return self.stream([*self.seed, worker.id if worker else 0])

    def stream(self, seed: Sequence[int]) -> Iterator[Sample]:
        """Draw samples without end; the same seed draws the same ones."""
        rng = np.random.default_rng(seed)
        while True:
            shown = self.photos if self.large and rng.random() < PHOTOS else None
            picture, truth, hole = self._scene(rng) if shown is None else self._photo(rng, shown)
            if rng.random() < 0.5:
                picture, truth, hole = picture[:, ::-1], truth[:, ::-1], hole[:, ::-1]
            yield picture.copy(), truth.copy(), hole.copy()

    def _silhouettes(self, rng: np.random.Generator) -> UInt8[ndarray, "h w"]:
        return np.asarray(self.arrays.silhouettes[rng.integers(len(self.arrays.labels))])

    def _photo(self, rng: np.random.Generator, photos: Photographs) -> Sample:
        photo = photos[self.large[rng.integers(len(self.large))]]
        # a photograph is shown at many sizes: the same holes are cut into near and far views of things
        largest = min(photo.shape[:2])
        region = int(min(self.side / rng.uniform(0.45, 1), largest))
        y, x = (int(rng.integers(0, length - region + 1)) for length in photo.shape[:2])
        cut = Image.fromarray(photo[y : y + region, x : x + region])
        picture = np.asarray(cut.resize((self.side, self.side), Image.Resampling.LANCZOS))
        gain, lift = rng.uniform(0.75, 1.2, 3), rng.uniform(-15, 15)
        picture = np.clip(picture * gain + lift, 0, 255).astype(np.uint8)
        return picture, picture, random_hole(rng, picture, self._silhouettes(rng))

    def _scene(self, rng: np.random.Generator) -> Sample:
        row = rng.integers(len(self.arrays.labels))
        pixels = self.arrays.images[row], self.arrays.backgrounds[row], self.arrays.silhouettes[row]
        y, x = rng.integers(0, pixels[0].shape[0] - self.side + 1, 2)
        picture, background, objects = (p[y : y + self.side, x : x + self.side] for p in pixels)
        if rng.random() < 0.4 and objects.any():
            hole = grown(rng, objects == rng.choice(np.unique(objects[objects > 0])))
        else:
            hole = random_hole(rng, picture, self._silhouettes(rng))
        truth = picture
        for number in np.unique(objects[objects > 0]):
            thing = objects == number
            if hole[thing].mean() > 0.8:  # removed, rather than cut: behind it lies the background
                near = grown(np.random.default_rng(0), thing) | hole
                truth = np.where(near[..., None] & ~((objects > 0) & ~thing)[..., None], background, truth)
        return picture, truth, hole
