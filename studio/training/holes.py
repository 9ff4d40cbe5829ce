"""Holes as the attribution methods make them, for training an inpainter."""

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from scipy.ndimage import binary_dilation

HoleArray = Bool[ndarray, "h w"]


def random_hole(
    rng: np.random.Generator, picture: UInt8[ndarray, "h w 3"], silhouettes: UInt8[ndarray, "h2 w2"]
) -> HoleArray:
    """A hole of a random family (square, superpixels, cells, silhouette, strokes), neither empty nor full."""
    kind, side = rng.choice(5, p=[0.25, 0.3, 0.1, 0.25, 0.1]), len(picture)
    if kind == 1:
        hole = superpixels(rng, picture)
    elif kind == 3:
        hole = silhouette(rng, side, silhouettes)
    else:
        hole = (squares, None, cells, None, strokes)[kind](rng, side)  # type: ignore[misc]
    if not 0.001 < hole.mean() < 0.9:
        return squares(rng, side)
    return np.asarray(hole)


def squares(rng: np.random.Generator, side: int) -> HoleArray:
    """One square of 5 to 77 px, as a sliding patch makes them; sometimes two or three."""
    hole = np.zeros((side, side), dtype=bool)
    for _ in range(rng.choice([1, 1, 2, 3])):
        patch = int(rng.integers(5, min(78, side)))
        y, x = rng.integers(0, side - patch + 1, 2)
        hole[y : y + patch, x : x + patch] = True
    return hole


def superpixels(rng: np.random.Generator, picture: UInt8[ndarray, "h w 3"]) -> HoleArray:
    """A random share, up to 60 %, of SLIC superpixels of about 18 to 45 px, as LIME removes them."""
    from skimage.segmentation import slic

    count = max(4, round(len(picture) ** 2 / rng.uniform(18, 45) ** 2))
    labels = slic(
        picture, count, compactness=rng.choice([10.0, 30.0]), sigma=rng.choice([1.0, 3.0]), max_num_iter=5
    )
    off = rng.random(labels.max() + 1) < rng.uniform(0.05, 0.6)
    return np.asarray(off[labels])


def cells(rng: np.random.Generator, side: int) -> HoleArray:
    """Cells of a coarse grid, scattered or in clumps, as optimised masks remove them."""
    size = int(rng.choice([4, 8, 8, 16, 32]))
    count = -(-side // size) + 1
    coarse = rng.random((count, count))
    if rng.random() < 0.6:  # clumps: average over neighbours before the threshold
        shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        coarse = np.mean([np.roll(coarse, shift, (0, 1)) for shift in shifts], axis=0)
    hole = (coarse < np.quantile(coarse, rng.uniform(0.02, 0.6))).repeat(size, 0).repeat(size, 1)
    y, x = rng.integers(0, hole.shape[0] - side + 1), rng.integers(0, hole.shape[1] - side + 1)
    return np.asarray(hole[y : y + side, x : x + side])


def silhouette(rng: np.random.Generator, side: int, silhouettes: UInt8[ndarray, "h2 w2"]) -> HoleArray:
    """An object's outline, grown by a few pixels, anywhere in the picture."""
    hole = silhouettes > 0
    shift = rng.integers(0, hole.shape[0], 2)
    hole = np.roll(hole, shift, (0, 1))[:side, :side]
    return np.asarray(grown(rng, hole))


def grown(rng: np.random.Generator, hole: HoleArray) -> HoleArray:
    """The hole widened by 0 to 8 px."""
    steps = int(rng.choice([0, 1, 2, 4, 8]))
    return np.asarray(binary_dilation(hole, iterations=steps)) if steps else hole


def strokes(rng: np.random.Generator, side: int) -> HoleArray:
    """Free-form strokes of a round brush (Yu et al. 2019)."""
    hole = np.zeros((side, side), dtype=bool)
    y, x = np.ogrid[:side, :side]
    for _ in range(rng.integers(1, 5)):
        at, angle = rng.random(2) * side, rng.uniform(0, 2 * np.pi)
        radius = rng.uniform(3, 12)
        for _step in range(rng.integers(4, 14)):
            hole |= (y - at[0]) ** 2 + (x - at[1]) ** 2 < radius**2
            angle += rng.uniform(-0.8, 0.8)
            at = at + radius * np.array([np.sin(angle), np.cos(angle)])
    return hole
