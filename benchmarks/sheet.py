"""`uv run python -m benchmarks.sheet`: 24 holes in photographs that may be shown anywhere, by six fillers.

The photographs come with scikit-image and matplotlib and are in the public domain or under CC0. A hole is a
few superpixels round a place: an object, a part of one, or background. The sheet goes to `docs/fillers.jpg`.
"""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from attribution import Lime
from benchmarks.fillers import built
from benchmarks.holes import Case, squared
from benchmarks.inpainting import composites
from benchmarks.report import launch
from studio.data.image import read_picture

FILLERS = ("gray", "telea", "inpaint", "patchmatch", "exemplar", "inpaint@by=auto")
SHEET = Path(__file__).parents[1] / "docs" / "fillers.jpg"
SHOWN = 128
"""Side of each picture on the sheet in pixels."""
SEGMENTS, GROW = 80, 3
"""How many superpixels a photograph has, and by how many pixels the hole is wider."""
PLACES: tuple[tuple[str, float, float, int], ...] = (
    ("astronaut", 0.22, 0.45, 7), ("astronaut", 0.75, 0.80, 6), ("astronaut", 0.60, 0.20, 4),
    ("chelsea", 0.35, 0.40, 4), ("chelsea", 0.72, 0.62, 8), ("chelsea", 0.15, 0.85, 3),
    ("coffee", 0.45, 0.50, 9), ("coffee", 0.85, 0.25, 4), ("coffee", 0.20, 0.85, 3),
    ("rocket", 0.45, 0.40, 5), ("rocket", 0.30, 0.80, 6), ("rocket", 0.85, 0.60, 4),
    ("camera", 0.30, 0.45, 8), ("camera", 0.80, 0.80, 5), ("camera", 0.55, 0.85, 4),
    ("grace_hopper", 0.20, 0.45, 5), ("grace_hopper", 0.75, 0.50, 7),
    ("brick", 0.50, 0.50, 8), ("grass", 0.50, 0.50, 12), ("gravel", 0.45, 0.55, 8),
    ("coins", 0.35, 0.30, 3), ("coins", 0.70, 0.60, 5),
    ("hubble_deep_field", 0.55, 0.50, 6), ("moon", 0.50, 0.55, 8),
)  # fmt: skip
"""Photograph, row and column as shares of the middle square, and number of superpixels."""


def photograph(name: str) -> Tensor:
    """Return the middle square of a photograph as the classifiers see it, "3 224 224"."""
    import matplotlib
    import skimage

    folders = (Path(skimage.__file__).parent / "data", Path(matplotlib.get_data_path()) / "sample_data")
    (path,) = (found for folder in folders for found in folder.glob(f"{name}.*"))
    return squared(read_picture(path).image)


def case(name: str, row: float, column: float, count: int) -> Case:
    """Return the photograph with the superpixels round a place removed."""
    image = photograph(name)
    labels = Lime(segments=SEGMENTS).segment(image)
    height, width = labels.shape
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    away = ((y - row) ** 2 + (x - column) ** 2).flatten()
    sums = torch.zeros(int(labels.max()) + 1).index_add(0, labels.flatten(), away)
    mean = sums / labels.flatten().bincount()
    near = mean.nan_to_num(torch.inf).argsort()[:count]
    hole = torch.isin(labels, near)[None].float()
    return Case(image, max_pool2d(hole, 2 * GROW + 1, 1, GROW), image)


def main() -> None:
    """Fill the holes, and write the sheet."""
    cases = [case(*place) for place in PLACES]
    fillers = built(FILLERS, cases[0].image)
    red = torch.tensor([0.84, 0.10, 0.17]).view(3, 1, 1)
    columns = [list(composites(filler, cases)) for filler in fillers.values()]
    rows = [
        [one.image, torch.lerp(one.image, red, 0.75 * one.hole), *filled]
        for one, *filled in zip(cases, *columns, strict=True)
    ]
    # two halves side by side, so that the sheet is not three times as high as it is wide
    half = len(rows) // 2
    pictures = torch.stack([each for left, right in zip(rows[:half], rows[half:], strict=True)
                            for each in (*left, *right)])  # fmt: skip
    small = interpolate(pictures, size=(SHOWN, SHOWN), mode="bilinear", antialias=True)
    grid = to_pil_image(make_grid(small, nrow=2 * len(rows[0]), padding=2, pad_value=1.0))
    unfinished = SHEET.with_suffix(".part.jpg")
    grid.save(unfinished, quality=88, optimize=True)
    unfinished.replace(SHEET)
    with Image.open(SHEET) as shown:
        print(f"{SHEET}: {shown.size[0]} x {shown.size[1]}; columns: image, hole, {', '.join(FILLERS)}")


if __name__ == "__main__":
    launch(main)
