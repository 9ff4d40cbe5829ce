"""The objects of scenes: each class has a shape (an implicit function) and a texture of its own.

A shape is `(u, v) -> f`, negative inside, in coordinates where the object spans about [-1, 1]; v points down.
A texture is `(rng, u, v) -> height x width x 3`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from models.scenes.rng import Rng
from models.scenes.textures import Picture, Plane, blend, cells, color


def _vivid(rng: Rng) -> np.ndarray:
    return color(rng, (0, 1), (0.55, 1.0), (0.55, 0.95))


def _pale(rng: Rng) -> np.ndarray:
    return color(rng, (0, 1), (0.0, 0.25), (0.8, 1.0))


def _pick(where: np.ndarray, yes: np.ndarray, no: np.ndarray) -> Picture:
    return np.where(where[..., None], yes, no)


def _polar(u: Plane, v: Plane) -> tuple[Plane, Plane]:
    return np.hypot(u, v), np.arctan2(v, u)


def ball(u: Plane, v: Plane) -> Plane:
    """A disc."""
    return np.hypot(u, v) - 0.95


def ball_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Beach-ball sectors that meet at a cap."""
    r, angle = _polar(u - 0.25, v + 0.2)
    sector = np.floor((angle / (2 * np.pi) + 0.06 * r) * 6).astype(int) % 3
    colors = np.stack([_vivid(rng), _pale(rng), _vivid(rng)])
    return _pick(r < 0.16, _pale(rng), colors[sector])


def star(u: Plane, v: Plane) -> Plane:
    """A star of five straight-edged points."""
    r, angle = _polar(u, v)
    half = np.pi / 5
    a = np.abs((angle + np.pi / 2 + half) % (2 * half) - half)
    x, y = r * np.cos(a), r * np.sin(a)
    tip, notch = np.array([1.0, 0.0]), 0.45 * np.array([np.cos(half), np.sin(half)])
    edge = notch - tip
    return ((x - tip[0]) * -edge[1] + y * edge[0]) / -np.hypot(*edge)


def star_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Folded facets, one half of every point lighter than the other."""
    _, angle = _polar(u, v)
    side = ((angle + np.pi / 2) / (np.pi / 5)) % 2 < 1
    base = _vivid(rng)
    return _pick(side, base, 0.5 * base) + 0.12 * (1 - np.hypot(u, v))[..., None]


def crate(u: Plane, v: Plane) -> Plane:
    """A square."""
    return np.maximum(np.abs(u), np.abs(v)) - 0.82


def crate_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Planks inside a frame, with a diagonal brace."""
    grain = 0.5 + 0.25 * np.sin(38 * u + 5 * np.sin(3 * v + rng.uniform(0, 6))) * np.sin(9 * u + 3)
    wood = blend(
        grain,
        color(rng, (0.05, 0.1), (0.5, 0.8), (0.35, 0.5)),
        color(rng, (0.06, 0.12), (0.35, 0.6), (0.65, 0.9)),
    )
    seams = np.abs(u * 2.4 % 1 - 0.5) > 0.46
    frame = (np.maximum(np.abs(u), np.abs(v)) > 0.6) | (np.abs(u - v) < 0.2)
    picture = wood * np.where(seams & ~frame, 0.35, 1.0)[..., None]
    return picture * np.where(frame, 1.15, 0.75)[..., None]


def lifebuoy(u: Plane, v: Plane) -> Plane:
    """A thick ring."""
    return np.abs(np.hypot(u, v) - 0.68) - 0.28


def lifebuoy_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Four bands round the ring, edged with rope."""
    r, angle = _polar(u, v)
    band = (angle / (np.pi / 4) + 0.5) % 2 < 0.8
    rope = (np.abs(np.abs(r - 0.68) - 0.22) < 0.04) & (np.sin(40 * angle) > 0)
    return _pick(rope, np.array([0.35, 0.3, 0.25]), _pick(band, _vivid(rng), _pale(rng)))


def leaf(u: Plane, v: Plane) -> Plane:
    """Two arcs that meet in two points, with a stalk."""
    blade = np.hypot(np.abs(u) + 0.75, v) - 1.22
    stalk = np.maximum(np.abs(u) - 0.05, np.abs(v - 0.9) - 0.25)
    return np.minimum(blade, stalk)


def leaf_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """A midrib and slanting side veins."""
    hue = rng.uniform(0.02, 0.4)
    veins = (np.abs(u) < 0.035) | (np.abs((v - 0.8 * np.abs(u)) * 5 % 1 - 0.5) > 0.43)
    base = blend(
        0.5 + np.abs(u),
        color(rng, (hue, hue), (0.6, 1.0), (0.35, 0.6)),
        color(rng, (hue, hue + 0.05), (0.5, 0.9), (0.5, 0.85)),
    )
    return _pick(veins, color(rng, (hue, hue + 0.08), (0.1, 0.4), (0.8, 1.0)), base)


def mushroom(u: Plane, v: Plane) -> Plane:
    """A domed cap on a stem."""
    cap = np.maximum(np.hypot(u / 1.0, (v - 0.1) / 0.95) - 0.95, v - 0.12)
    stem = np.maximum(np.abs(u) - 0.26 - 0.12 * (v - 0.3) ** 2, np.abs(v - 0.45) - 0.5)
    return np.minimum(cap, stem)


def mushroom_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Light dots on the cap, fibres on the stem."""
    first, _, value = cells(rng, 2.6 * u + 20, 2.6 * v + 20, jitter=0.7)
    cap = _pick((first < 0.3) & (value > 0.15), _pale(rng), _vivid(rng))
    stem = _pale(rng) * (0.85 + 0.12 * np.sin(45 * u))[..., None]
    return _pick(v < 0.12, cap, stem)


def fish(u: Plane, v: Plane) -> Plane:
    """An oval with a tail and a fin."""
    body = np.hypot((u + 0.2) / 0.78, v / 0.48) - 1
    tail = np.maximum(np.abs(v) - 0.75 * (u - 0.35), np.maximum(0.4 - u, u - 0.98))
    fin = np.maximum(np.maximum(-v - 0.75, v + 0.2), np.abs(u + 0.15) - 0.1 + 0.45 * (-v - 0.75))
    return np.minimum(np.minimum(body * 0.5, tail), fin)


def fish_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Rows of overlapping scales, and an eye."""
    row = np.floor(v * 7)
    away = np.hypot((u * 6 + 0.5 * (row % 2)) % 1 - 0.2, v * 7 % 1 - 0.5)
    dark, light = _vivid(rng), _pale(rng)
    body = blend(np.clip(1.1 - 1.2 * away, 0, 1), 0.5 * dark, dark, light)
    eye = np.hypot(u + 0.68, v + 0.1)
    head = _pick(u < -0.48, 0.8 * dark, body)
    return _pick(eye < 0.06, np.zeros(3), _pick(eye < 0.13, np.ones(3), head))


def gear(u: Plane, v: Plane) -> Plane:
    """A toothed wheel with a hole."""
    r, angle = _polar(u, v)
    teeth = 0.78 + 0.14 * np.clip(4 * np.sin(9 * angle), -1, 1)
    return np.maximum(r - teeth, 0.26 - r)


def gear_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Brushed metal with bolts."""
    r, angle = _polar(u, v)
    brushed = 0.5 + 0.22 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.14 * np.sin(70 * r)
    metal = blend(
        brushed, color(rng, (0, 1), (0.0, 0.25), (0.2, 0.4)), color(rng, (0, 1), (0.0, 0.25), (0.75, 1.0))
    )
    spread = (angle / (np.pi / 3)) % 1 - 0.5
    bolts = np.hypot(r - 0.52, 0.52 * spread) < 0.08
    return _pick(bolts, np.full(3, 0.12), metal)


def cross(u: Plane, v: Plane) -> Plane:
    """Two bars of equal length."""
    a, b = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(a - 0.95, b - 0.32), np.maximum(b - 0.95, a - 0.32))


def cross_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """A checkerboard."""
    check = (np.floor(u * 5) + np.floor(v * 5)) % 2 == 0
    return _pick(check, _vivid(rng), _pale(rng))


def moon(u: Plane, v: Plane) -> Plane:
    """A crescent."""
    return np.maximum(np.hypot(u + 0.1, v) - 0.95, 0.75 - np.hypot(u - 0.42, v + 0.1))


def moon_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Craters with bright rims."""
    first, _, value = cells(rng, 3.2 * u + 20, 3.2 * v + 20, jitter=0.8)
    size = 0.15 + 0.25 * value
    base = color(rng, (0.08, 0.17), (0.1, 0.55), (0.75, 0.95))
    rim = _pick(np.abs(first - size) < 0.07, np.clip(1.25 * base, 0, 1), base)
    return _pick(first < size - 0.07, 0.55 * base, rim)


def heart(u: Plane, v: Plane) -> Plane:
    """Two lobes and a point."""
    x, y = 1.2 * u, -1.2 * v + 0.12
    return (x**2 + y**2 - 1) ** 3 - x**2 * y**3


def heart_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Slanting stripes."""
    stripe = ((u + v) * 3.2) % 1 < rng.uniform(0.4, 0.6)
    return _pick(stripe, _vivid(rng), 0.4 + 0.6 * _pale(rng))


def flower(u: Plane, v: Plane) -> Plane:
    """Six round petals."""
    r, angle = _polar(u, v)
    return r - 0.5 - 0.45 * np.sqrt(np.abs(np.cos(3 * angle)))


def flower_texture(rng: Rng, u: Plane, v: Plane) -> Picture:
    """Petals shaded from the middle outwards, and a seeded centre."""
    r, angle = _polar(u, v)
    streaks = 0.12 * np.sin(36 * angle)
    petals = blend(r + streaks, _pale(rng), _vivid(rng), _vivid(rng))
    seeds = blend(
        0.5 + 0.5 * np.sin(60 * u) * np.sin(60 * v),
        np.array([0.35, 0.2, 0.05]),
        color(rng, (0.08, 0.16), (0.7, 1), (0.8, 1)),
    )
    return _pick(r < 0.3, seeds, petals)


class ObjectClass(NamedTuple):
    """A class of objects."""

    name: str
    shape: Callable[[Plane, Plane], Plane]
    texture: Callable[[Rng, Plane, Plane], Picture]


OBJECT_CLASSES: tuple[ObjectClass, ...] = (
    ObjectClass("ball", ball, ball_texture),
    ObjectClass("star", star, star_texture),
    ObjectClass("crate", crate, crate_texture),
    ObjectClass("lifebuoy", lifebuoy, lifebuoy_texture),
    ObjectClass("leaf", leaf, leaf_texture),
    ObjectClass("mushroom", mushroom, mushroom_texture),
    ObjectClass("fish", fish, fish_texture),
    ObjectClass("gear", gear, gear_texture),
    ObjectClass("cross", cross, cross_texture),
    ObjectClass("moon", moon, moon_texture),
    ObjectClass("heart", heart, heart_texture),
    ObjectClass("flower", flower, flower_texture),
)
