"""Textured backgrounds of scenes: one function a family, each `(rng) -> height x width x 3` in [0, 1]."""

import colorsys
from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter

from models.scenes.rng import Rng

SIDE = 224

Range = tuple[float | int, float | int]
Plane = Float[ndarray, "h w"]
Picture = Float[ndarray, "h w 3"]


@cache
def grid() -> tuple[Plane, Plane]:
    """Coordinates (x, y) of the pixel centres in [-1, 1]."""
    line = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = np.meshgrid(line, line)
    return x, y


@cache
def _frequencies() -> tuple[Plane, Plane]:
    fx, fy = np.meshgrid(np.fft.rfftfreq(256), np.fft.fftfreq(256))
    return fx * 256, fy * 256


def spectral(rng: Rng, beta: float, angle: float = 0.0, stretch: float = 1.0) -> Plane:
    """Noise with amplitude 1 / frequency^beta, zero mean and unit variance.

    Natural photographs have beta near 1 (Field 1987). ``stretch`` > 1 elongates the grain along
    ``angle`` (radians).
    """
    fx, fy = _frequencies()
    c, s = np.cos(angle), np.sin(angle)
    along, across = (c * fx + s * fy) * stretch, (c * fy - s * fx) / stretch
    amplitude = (along**2 + across**2 + 0.7) ** (-beta / 2)
    noise = np.fft.irfft2(np.fft.rfft2(rng.array(256, 256) - 0.5) * amplitude)[:SIDE, :SIDE]
    return np.asarray((noise - noise.mean()) / (noise.std() + 1e-9))


def color(rng: Rng, hue: Range, saturation: Range, value: Range) -> ndarray:
    """One RGB colour from ranges of hue, saturation and value."""
    hsv = [rng.uniform(*hue) % 1.0, rng.uniform(*saturation), rng.uniform(*value)]
    return np.array(colorsys.hsv_to_rgb(*hsv))


def blend(t: Plane, *stops: ndarray) -> Picture:
    """Piecewise linear mixture of equally spaced colours at t in [0, 1]."""
    at = np.clip(t, 0, 1) * (len(stops) - 1)
    weights = [np.clip(1 - np.abs(at - i), 0, 1)[..., None] * stop for i, stop in enumerate(stops)]
    return np.asarray(sum(weights))


def turned(rng: Rng, low: float | int, high: float | int) -> tuple[Plane, Plane]:
    """The grid turned by a random angle and scaled by a random factor, with a random origin."""
    x, y = grid()
    a, k = rng.uniform(0, np.pi), rng.uniform(low, high)
    c, s = np.cos(a), np.sin(a)
    return k * (c * x + s * y) + rng.uniform(0, 9), k * (c * y - s * x) + rng.uniform(0, 9)


def cells(rng: Rng, x: Plane, y: Plane, jitter: float = 0.9) -> tuple[Plane, Plane, Plane]:
    """Distances to the nearest and second nearest seed (Worley 1996), and a uniform value per cell."""
    ix, iy = np.floor(x).astype(int), np.floor(y).astype(int)
    ox, oy = ix.min() - 1, iy.min() - 1
    width, height = int(ix.max() - ox) + 2, int(iy.max() - oy) + 2
    table = rng.array(height, width, 3)
    first, second, value = np.full(x.shape, 9.0), np.full(x.shape, 9.0), np.zeros(x.shape)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            seed = table[iy + dy - oy, ix + dx - ox]
            away = np.hypot(
                ix + dx + 0.5 + jitter * (seed[..., 0] - 0.5) - x,
                iy + dy + 0.5 + jitter * (seed[..., 1] - 0.5) - y,
            )
            nearer = away < first
            second = np.where(nearer, first, np.minimum(second, away))
            value = np.where(nearer, seed[..., 2], value)
            first = np.minimum(first, away)
    return first, second, value


def sky(rng: Rng) -> Picture:
    """Vertical gradient with clouds."""
    _, y = grid()
    hue = rng.uniform(0.5, 0.7)
    high = color(rng, (hue, hue), (0.35, 0.8), (0.45, 0.9))
    low = color(rng, (hue - 0.1, hue), (0.05, 0.35), (0.75, 1.0))
    clouds = np.clip(spectral(rng, rng.uniform(1.3, 1.8), 0.0, 0.7) * 0.5 + rng.uniform(-0.4, 0.4), 0, 1)
    picture = blend((y + 1) / 2, high, low)
    return picture + (rng.uniform(0.85, 1.0) - picture) * clouds[..., None]


def grass(rng: Rng) -> Picture:
    """Fine upright grain in greens and yellows, with patches."""
    grain = spectral(rng, rng.uniform(0.6, 1.0), np.pi / 2 + rng.uniform(-0.3, 0.3), rng.uniform(1.8, 3.0))
    patches = spectral(rng, 1.8)
    hue = rng.uniform(0.14, 0.36)
    dark, light = (
        color(rng, (hue, hue + 0.04), (0.5, 0.9), (0.1, 0.3)),
        color(rng, (hue - 0.05, hue), (0.3, 0.8), (0.5, 0.8)),
    )
    return blend(0.5 + 0.2 * grain + 0.12 * patches, dark, light)


def wood(rng: Rng) -> Picture:
    """Growth rings stretched along a board, with grain and seams."""
    x, y = turned(rng, 0.8, 2.0)
    rings = np.sin(
        2
        * np.pi
        * (y * rng.uniform(1.5, 4) + 0.35 * np.sin(x * rng.uniform(0.5, 1.5)) + 0.15 * spectral(rng, 1.7))
    )
    angle = np.arctan2(np.gradient(x)[0].mean(), np.gradient(x)[1].mean())
    grain = spectral(rng, 0.7, angle, 4.0)
    dark, light = (
        color(rng, (0.04, 0.1), (0.4, 0.75), (0.2, 0.45)),
        color(rng, (0.06, 0.12), (0.25, 0.6), (0.55, 0.9)),
    )
    seam = 1 - 0.5 * (np.abs((y * 0.8) % 1 - 0.5) > 0.485)
    return blend(0.5 + 0.2 * rings + 0.1 * grain, dark, light) * seam[..., None]


def brick(rng: Rng) -> Picture:
    """Rows of bricks with mortar, each brick a shade of its own."""
    x, y = grid()
    scale, ratio = rng.uniform(3, 7), rng.uniform(0.35, 0.6)
    tilt = rng.uniform(-0.15, 0.15)
    u, v = (x + tilt * y) * scale * ratio + 20, (y - tilt * x) * scale + 20
    row = np.floor(v).astype(int)
    u = u + 0.5 * (row % 2)
    shade = rng.array(64, 64)[row % 64, np.floor(u).astype(int) % 64]
    gap = rng.uniform(0.05, 0.1)
    mortar = (v % 1 < gap) | (u % 1 < gap * ratio)
    hue = rng.uniform(-0.03, 0.1)
    dark, light = (
        color(rng, (hue, hue), (0.3, 0.75), (0.25, 0.5)),
        color(rng, (hue, hue + 0.03), (0.2, 0.6), (0.5, 0.85)),
    )
    picture = blend(0.15 + 0.7 * shade + 0.1 * spectral(rng, 0.8), dark, light)
    return np.where(
        mortar[..., None],
        color(rng, (0, 1), (0.0, 0.12), (0.5, 0.85)) + 0.03 * spectral(rng, 0.5)[..., None],
        picture,
    )


def sand(rng: Rng) -> Picture:
    """Ripples and grains."""
    x, _ = turned(rng, 1.0, 3.0)
    ripples = np.sin(2 * np.pi * (x * rng.uniform(1, 3) + 0.35 * spectral(rng, 1.9)))
    t = 0.5 + 0.12 * ripples + 0.12 * spectral(rng, 0.3) + 0.1 * spectral(rng, 1.6)
    return blend(
        t,
        color(rng, (0.06, 0.13), (0.25, 0.55), (0.4, 0.6)),
        color(rng, (0.08, 0.15), (0.1, 0.4), (0.75, 1.0)),
    )


def water(rng: Rng) -> Picture:
    """Crossing waves with highlights."""
    warp = 0.3 * spectral(rng, 1.7)
    waves = np.zeros((SIDE, SIDE))
    for _ in range(3):
        x, _unused = turned(rng, 0.8, 1.2)
        waves += np.sin(2 * np.pi * (x * rng.uniform(1.5, 4.5) + warp))
    hue = rng.uniform(0.45, 0.62)
    stops = (
        color(rng, (hue, hue + 0.05), (0.5, 0.95), (0.2, 0.5)),
        color(rng, (hue - 0.05, hue), (0.3, 0.7), (0.5, 0.85)),
    )
    return blend(0.5 + 0.16 * waves, *stops) + 0.25 * np.clip(waves - 1.7, 0, 1)[..., None]


def weave(rng: Rng) -> Picture:
    """A cloth of two threads."""
    x, y = turned(rng, 6, 14)
    over = (np.floor(x) + np.floor(y)) % 2 == 0
    thread = np.where(over, np.abs(np.sin(np.pi * y)), np.abs(np.sin(np.pi * x)))
    hue = rng.uniform()
    warp, weft = (
        color(rng, (hue, hue + 0.1), (0.1, 0.7), (0.4, 0.9)),
        color(rng, (hue, hue + 0.3), (0.1, 0.7), (0.3, 0.8)),
    )
    picture = np.where(over[..., None], warp, weft) * (0.55 + 0.45 * thread[..., None])
    return picture * (1 + 0.06 * spectral(rng, 1.2)[..., None])


def marble(rng: Rng) -> Picture:
    """Veins along the zero crossings of turbulence."""
    x, _ = turned(rng, 0.5, 2.0)
    veins = np.abs(np.sin(np.pi * (x + rng.uniform(0.3, 0.7) * spectral(rng, 1.5)))) ** rng.uniform(0.3, 0.7)
    hue = rng.uniform()
    return blend(
        veins + 0.04 * spectral(rng, 1.0),
        color(rng, (hue, hue), (0.1, 0.5), (0.2, 0.55)),
        color(rng, (hue, hue + 0.1), (0.0, 0.3), (0.65, 1.0)),
    )


def pebbles(rng: Rng) -> Picture:
    """Rounded stones with dark gaps."""
    x, y = turned(rng, 3, 8)
    first, second, value = cells(rng, x + 0.1 * spectral(rng, 1.5), y)
    gap = np.clip((second - first) * rng.uniform(3, 6), 0, 1)
    hue = rng.uniform(0.02, 0.15)
    stones = blend(
        value,
        color(rng, (hue, hue + 0.5), (0.05, 0.3), (0.3, 0.5)),
        color(rng, (hue, hue), (0.05, 0.4), (0.5, 0.75)),
        color(rng, (hue, hue), (0.0, 0.2), (0.75, 0.95)),
    )
    return (
        stones
        * (0.25 + 0.75 * gap[..., None])
        * (1.05 - 0.3 * first[..., None])
        * (1 + 0.06 * spectral(rng, 0.6)[..., None])
    )


def bokeh(rng: Rng) -> Picture:
    """Lights out of focus in front of a dim gradient."""
    x, y = grid()
    hue = rng.uniform()
    picture = blend(
        0.5 + 0.3 * spectral(rng, 2.4),
        color(rng, (hue, hue), (0.3, 0.8), (0.1, 0.3)),
        color(rng, (hue, hue + 0.2), (0.2, 0.7), (0.3, 0.6)),
    )
    for _ in range(8 + rng.integer(12)):
        radius = rng.uniform(0.06, 0.22)
        away = np.hypot(x - rng.uniform(-1.1, 1.1), y - rng.uniform(-1.1, 1.1)) / radius
        disc = (
            np.clip((1 - away) * radius * 25, 0, 1)
            * (0.6 + 0.4 * np.clip(away, 0, 1))
            * rng.uniform(0.15, 0.6)
        )
        picture = (
            picture
            + (color(rng, (hue - 0.15, hue + 0.35), (0.2, 0.8), (0.7, 1.0)) - picture) * disc[..., None]
        )
    return picture


def hills(rng: Rng) -> Picture:
    """Ridges in haze, one behind the other."""
    x, y = grid()
    hue = rng.uniform(0.2, 0.65)
    haze = color(rng, (hue, hue + 0.1), (0.05, 0.35), (0.75, 1.0))
    near = color(rng, (hue - 0.1, hue), (0.3, 0.8), (0.1, 0.35))
    picture = blend((y + 1) / 2, color(rng, (hue, hue + 0.15), (0.2, 0.6), (0.6, 0.9)), haze)
    layers = 3 + rng.integer(3)
    for i in range(layers):
        depth = (i + 1) / layers
        ridge = (
            -0.55
            + 1.1 * depth
            + 0.12 * spectral(rng, 1.4)[0]
            - 0.1 * np.sin(x[0] * rng.uniform(1, 4) + rng.uniform(0, 6))
        )
        inside = np.clip((y - ridge) * SIDE / 2, 0, 1)[..., None]
        shade = (haze + (near - haze) * depth) * (1 + 0.12 * depth * spectral(rng, 0.8)[..., None])
        picture = picture + (shade - picture) * inside
    return picture


def tiles(rng: Rng) -> Picture:
    """Glazed tiles with grout and a motif in every other one."""
    x, y = turned(rng, 2.5, 6)
    u, v = x % 1 - 0.5, y % 1 - 0.5
    shade = rng.array(64, 64)[np.floor(x).astype(int) % 64, np.floor(y).astype(int) % 64]
    hue = rng.uniform()
    base = blend(
        0.3 + 0.4 * shade,
        color(rng, (hue, hue), (0.1, 0.6), (0.5, 0.8)),
        color(rng, (hue, hue + 0.1), (0.0, 0.4), (0.7, 1.0)),
    )
    motif = (np.abs(u) + np.abs(v) < rng.uniform(0.15, 0.35)) & ((np.floor(x) + np.floor(y)) % 2 == 0)
    base = np.where(motif[..., None], color(rng, (hue + 0.3, hue + 0.7), (0.2, 0.7), (0.3, 0.8)), base)
    grout = np.maximum(np.abs(u), np.abs(v)) > 0.5 - rng.uniform(0.02, 0.05)
    return np.where(grout[..., None], color(rng, (0, 1), (0, 0.1), (0.3, 0.9)), base) * (
        1 + 0.03 * spectral(rng, 1.0)[..., None]
    )


def backdrop(rng: Rng) -> Picture:
    """A wall out of focus: broad colours, faint grain."""
    hue = rng.uniform()
    t = gaussian_filter(spectral(rng, rng.uniform(1.8, 2.4)), rng.uniform(1, 6))
    stops = [color(rng, (hue - 0.1, hue + 0.15), (0.05, 0.6), (0.3, 0.9)) for _ in range(3)]
    return blend(0.5 + 0.25 * t, *stops) * (1 + 0.03 * spectral(rng, 0.5)[..., None])


def foliage(rng: Rng) -> Picture:
    """Overlapping leaves of two sizes."""
    picture = np.zeros((SIDE, SIDE, 3))
    hue = rng.uniform(0.18, 0.42)
    for scale in (1.0, 1.7):
        x, y = turned(rng, 4 * scale, 7 * scale)
        first, second, value = cells(rng, x + 0.25 * spectral(rng, 1.4), y * 0.6)
        leaf = blend(
            value,
            color(rng, (hue, hue + 0.05), (0.5, 0.9), (0.1, 0.3)),
            color(rng, (hue - 0.08, hue), (0.4, 0.9), (0.35, 0.75)),
        )
        leaf = (
            leaf
            * (0.45 + 0.55 * np.clip((second - first) * 3, 0, 1)[..., None])
            * (1.1 - 0.4 * first[..., None])
        )
        keep = (value > 0.45)[..., None] if scale > 1 else True
        picture = np.where(keep, leaf, picture)
    return picture


FAMILIES: tuple[Callable[[Rng], Picture], ...] = (
    sky, grass, wood, brick, sand, water, weave, marble, pebbles, bokeh, hills, tiles, backdrop, foliage,
)  # fmt: skip
