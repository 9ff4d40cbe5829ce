"""The steps of an optimizing method as an animated GIF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from attribution import MaskedScore, Outcome
from attribution.optimize.loop import Step
from studio.drawing.captions import percent
from studio.explain.quantity import PROBABILITY, Quantity

if TYPE_CHECKING:
    from PIL.Image import Image

FRAMES = 60
"""Frames that are kept at most, beside the last step and the result."""
SECONDS, HOLD = 6.0, 2500
"""How long the steps take, at most 0.4 s each, and how long the result stays, in milliseconds."""
MARGIN, CAPTION, LETTERS = 8, 22, 13
READABLE = 200
"""Pixels that the words above a picture need."""
PAPER, INK = (255, 255, 255), (34, 34, 34)
RED, OPACITY = torch.tensor([0.84, 0.10, 0.17]).view(3, 1, 1), 0.65


@dataclass(frozen=True, eq=False)
class Shot:
    """A step as it is shown: the composite, and the image in gray with the hole in red."""

    number: int
    score: float
    area: float
    composite: UInt8[ndarray, "h w 3"]
    hole: UInt8[ndarray, "h w 3"]


class Trace:
    """Watches an optimizing method on one image, and keeps steps that are evenly spread.

    However many there are, there is never more in memory than `FRAMES` shots and the last step.
    """

    def __init__(self, score: MaskedScore) -> None:
        self.shots: list[Shot] = []
        self._score, self._every = score, 1
        self._last: Step | None = None

    def __call__(self, step: Step) -> None:
        """Take note of a step."""
        self._last = step
        if step.number % self._every:
            return
        self.shots.append(self._shot(step))
        if len(self.shots) > FRAMES:
            del self.shots[1::2]
            self._every *= 2

    def all(self) -> list[Shot]:
        """Return what was kept, and the last step."""
        if self._last is None or self._last.number == self.shots[-1].number:
            return self.shots
        return [*self.shots, self._shot(self._last)]

    def shot(self, number: int, score: float, image: Tensor, hole: Tensor) -> Shot:
        """Return a composite "3 h w" and a hole "1 h w" of the image's size as they are shown."""
        gray = 0.25 + 0.75 * self._score.image[0].mean(0, keepdim=True).expand_as(image)
        shown = torch.lerp(gray, torch.lerp(gray, RED.to(gray), OPACITY), hole)
        return Shot(number, score, float(hole.mean()), _pixels(image), _pixels(shown))

    def _shot(self, step: Step) -> Shot:
        height, width = self._score.image.shape[2:]
        margin = step.hole.shape[2] - height
        score = self._score.enlarged(margin) if margin else self._score
        score = score.with_sampling(samples=1)  # a step shows one fill
        by_degrees = score.evaluator.shared.stages is not None
        image = score.perturbed(step.hole, fill=None if by_degrees else step.fill)
        middle = slice(margin // 2, margin // 2 + height), slice(margin // 2, margin // 2 + width)
        return self.shot(step.number, float(step.scores[0]), image[0, :, *middle], step.hole[0, :, *middle])


def save_trace(trace: Trace, outcome: Outcome, path: Path, quantity: Quantity = PROBABILITY) -> None:
    """Write the steps and the result, whose scores are of this quantity, as an animated GIF."""
    from PIL import Image

    shots, steps = trace.all(), int(outcome.steps)
    left = outcome.left.item()
    captions = [f"step {shot.number + 1} of {steps}: {quantity.written(shot.score)}" for shot in shots]
    captions.append(f"result, evidence removed: {quantity.written(left)}")
    result = trace.shot(steps, left, outcome.counterfactual[0], outcome.hole[0])
    frames = [_frame(*each) for each in zip([*shots, result], captions, strict=True)]
    pause = int(1000 * min(SECONDS / len(frames), 0.4))
    # GIF has 256 colors; with one palette for all frames nothing that stays the same flickers.
    palette = _palette(frames)
    paletted = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    paletted[0].save(
        path,
        format="GIF",
        save_all=True,
        append_images=paletted[1:],
        duration=[*[pause] * (len(frames) - 1), HOLD],
        loop=0,
    )


def _frame(shot: Shot, caption: str) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    times = math.ceil(READABLE / shot.composite.shape[1])  # of small views every pixel is shown larger
    composite, hole = (each.repeat(times, 0).repeat(times, 1) for each in (shot.composite, shot.hole))
    height, width = composite.shape[:2]
    frame = Image.new("RGB", (2 * width + 3 * MARGIN, height + CAPTION + 2 * MARGIN), PAPER)
    pen, font = ImageDraw.Draw(frame), ImageFont.load_default(LETTERS)
    aside = f"red: removed, {percent(shot.area)}"
    for i, (pixels, text) in enumerate([(composite, caption), (hole, aside)]):
        x = MARGIN + i * (width + MARGIN)
        pen.text((x, MARGIN), text, INK, font)
        frame.paste(Image.fromarray(pixels), (x, MARGIN + CAPTION))
    return frame


def _palette(frames: list[Image]) -> Image:
    """Return 256 colors for all frames, chosen from a few of them side by side."""
    from PIL import Image

    some = [*frames[:: max(1, len(frames) // 6)], frames[-1]]
    width, height = frames[0].size
    sheet = Image.new("RGB", (width, height * len(some)))
    for i, frame in enumerate(some):
        sheet.paste(frame, (0, i * height))
    return sheet.quantize(256)


def _pixels(image: Tensor) -> UInt8[ndarray, "h w 3"]:
    array: ndarray = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return array
