"""One unit of work: an image, filled in in one way, and what the classifier says of what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from attribution import Execution, FillInBlanks, MaskedScore, ProgressiveBlanks, Sampling
from attribution.blanks import TiledBlanks
from studio.blanks.setup import LEVELS, NAMES, Setup
from studio.runs.folder import Key
from studio.runs.part import Part, Values

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray
    from torch import Tensor

ALONE = math.nan
"""The place of a value that is the only one of its name."""


@dataclass(frozen=True, eq=False)
class Worker:
    """Does units; what one gives depends on the request and on the unit alone."""

    setup: Setup

    def __call__(self, key: Key) -> tuple[Part, ndarray | None]:
        """Return what a unit finds, and the updates (or the steps) that it has made.

        An image whose class is not seen once some of it is removed, or of which BFGS diverges, is the part's
        error; whatever else is wrong ends the job.
        """
        number, name = key
        variant = self.setup.variants[name]
        about = {"label": int(self.setup.data.targets[number])}
        try:
            if isinstance(variant, ProgressiveBlanks):
                return self._progressive(number, name, variant, about)
            return self._random(number, name, variant, about)
        except ValueError as error:
            if not str(error).startswith(("target must", f"{variant.update} diverges")):
                raise
            return Part(f"{number} {name}", about, {}, str(error)), None

    def score(self, number: int, target: int | None = None) -> MaskedScore:
        """Return the score of an image, for its own class or another."""
        setup, request = self.setup, self.setup.request
        return MaskedScore(
            setup.data.images[number],
            target=int(setup.data.targets[number]) if target is None else target,
            classifier=setup.prepared,
            filler=setup.fills(setup.data.images[number]),
            execution=Execution(request.batch_size, setup.prepared.precision),
            sampling=Sampling(seed=request.seed),
        )

    def answers(self, images: Float[Tensor, "n c h w"]) -> tuple[list[int], Float[Tensor, "n k"]]:
        """Return what the classifier takes images for, and its probabilities."""
        with torch.inference_mode():
            logits = self.setup.prepared(images)
        return logits.argmax(1).tolist(), logits.softmax(1).cpu()

    def _random(
        self, number: int, name: str, method: FillInBlanks, about: dict[str, Any]
    ) -> tuple[Part, ndarray]:
        found = method.expected(self.score(number))
        everywhere = torch.ones_like(found.update[:, :1])
        threshold = self.setup.threshold
        kept = [
            threshold(found.blank, everywhere),
            threshold(found.update, everywhere),
            *(replace(threshold, level=level)(found.blank, everywhere) for level in LEVELS),
            replace(threshold, binarize=False)(found.blank, everywhere),
        ]
        answers, probabilities = self.answers(torch.cat(kept))
        label = about["label"]
        values: Values = {
            "answer": [(ALONE, answers[0])],
            "probability": [(ALONE, float(probabilities[0, label]))],
            "answer.everywhere": [(ALONE, answers[1])],
            "answer.level": list(zip(LEVELS, answers[2:-1], strict=True)),
            "answer.plain": [(ALONE, answers[-1])],
            "masks": [(ALONE, int(found.masks))],
            "correct": [(ALONE, int(found.correct))],
        }
        updates = torch.cat([found.blank, found.update])
        return Part(f"{number} {name}", about, values), _scaled(updates)

    def _progressive(
        self, number: int, name: str, method: ProgressiveBlanks, about: dict[str, Any]
    ) -> tuple[Part, ndarray]:
        score = self.score(number)
        tiles = TiledBlanks(method.parts, score.size, method.patch, method.seed, score.image.device)
        # The label is what the classifier predicts for the masked input (sec. 4.3).
        label = self.answers(score.perturbed(tiles[:1]))[0][0]
        score = self.score(number, label)
        found = method.fill_in(score)
        others = [replace(method, level=level) for level in LEVELS] if name in NAMES else []
        others.append(replace(method, binarize=False))
        images = [found.prototype, *(each.fill_in(score).prototype for each in others)]
        answers, probabilities = self.answers(torch.cat(images))
        values: Values = {
            "answer": [(ALONE, answers[0])],
            "probability": [(ALONE, float(probabilities[0, label]))],
            "answer.plain": [(ALONE, answers[-1])],
            "answer.level": list(zip(LEVELS, answers[1:-1], strict=False)),
        }
        steps = (found.filled[:, 0] * 255).round().byte().cpu().numpy()
        return Part(f"{number} {name}", {**about, "label": label}, values), steps


def _scaled(updates: Tensor) -> ndarray:
    """Return updates, each divided by its largest value: in half precision small ones would be lost."""
    peak = updates.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-30)
    found: ndarray = (updates / peak).cpu().numpy()
    return found
