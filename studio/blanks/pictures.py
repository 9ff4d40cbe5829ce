"""What the figures show: prototypes, progressive filling, ablations, and the orders of updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import torch

from attribution import FillInBlanks, ProgressiveBlanks
from attribution.blanks import Threshold
from attribution.optimize.updates import LARGEST, Descent, Order
from infill import composite
from studio.blanks.figure import Picture, Row
from studio.blanks.results import Consistency, Results
from studio.blanks.setup import LEVELS, PROGRESSIVE, RANDOM, SECOND
from studio.blanks.unit import Worker
from studio.drawing.colormap import color_mapping
from studio.runs.folder import RunFolder

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

Sheet: TypeAlias = "tuple[Sequence[Row], Sequence[str], str, Sequence[str]]"
"""Rows, columns, title and legend."""

_READ = (
    "below each picture: what the classifier takes it for, and with which probability; red where it is wrong"
)
_OWN = "progressive ones are right if they are taken for what the classifier saw in the masked image"
_CONSISTENCY = "below each column's name: how many prototypes are right, of so many images that have one"
_COLORS = (
    "updates: red where a pixel should become brighter, blue where darker; that of a class is the mean of "
    "its images' updates, each divided by its largest value"
)


def sheets(results: Results, folder: RunFolder, worker: Worker) -> dict[str, Sheet]:
    """Return the figures by their names."""
    drawn = Drawing(results, folder, worker)
    found = {"prototypes": drawn.prototypes(), "progressive": drawn.progressive()}
    if worker.setup.request.ablations:
        ablations = {
            "ablation-ratio": ("ratio-", "Share of the image that is removed"),
            "ablation-patch": ("patch-", "Side of the patches, px"),
        }
        found |= {name: drawn.ablation(*which) for name, which in ablations.items()}
        found["orders"] = drawn.orders()
    return {**found, "ablation-binarization": drawn.binarization()}


class Drawing:
    """Reads what was kept, and makes pictures of it."""

    def __init__(self, results: Results, folder: RunFolder, worker: Worker) -> None:
        self.results, self.folder, self.worker, self.setup = results, folder, worker, worker.setup
        self.everywhere = torch.ones_like(self.setup.data.images[:1, :1])
        targets = self.setup.data.targets.tolist()
        used = [number for number, part in results.parts[RANDOM].items() if not part.error]
        self.shown = {label: number for number in reversed(used) for label in [targets[number]]}
        """By class the first of its images that has a prototype."""
        self.members = {label: [n for n in used if targets[n] == label] for label in sorted(self.shown)}

    def prototypes(self) -> Sheet:
        """Return, class by class, how the prototype comes about (Figures 1 and 2 of the paper)."""
        columns = [
            "image",
            "M(x)\none mask",
            "update\nof that mask",
            "M(x) + T\nfilled in",
            "E[update]\nin the blanks",
            "T(E[update])\nprototype",
            "E[update]\nof the class",
            "T of that\nprototype",
            "progressive\nprototype",
        ]
        rows = [self._row(label, members) for label, members in self.members.items()]
        return rows, columns, f"Prototypes, {self._title()}", [_READ, _OWN, _COLORS, self._masks(RANDOM)]

    def _row(self, label: int, members: Sequence[int]) -> Row:
        number, threshold = self.shown[label], self.setup.threshold
        image = self.setup.data.images[number][None]
        hole, masked, update = self._one(number, self.setup.random)
        expected = self._updates(number, RANDOM)[:1]
        of_class = torch.stack([self._updates(each, RANDOM)[0] for each in members]).mean(0)[None]
        return Row(
            self.setup.data.classes[label],
            [
                self._judged(image, label),
                self._judged(masked, label),
                self._colored(update),
                self._judged(composite(image, hole, threshold(update, hole)), label),
                self._colored(expected),
                self._judged(threshold(expected, self.everywhere), label),
                self._colored(of_class, f"mean of {len(members)}"),
                self._judged(threshold(of_class, self.everywhere), label),
                self._judged(self._steps(number, PROGRESSIVE)[-1:], self._label(number, PROGRESSIVE)),
            ],
        )

    def progressive(self) -> Sheet:
        """Return the steps of progressive filling (Figure 3)."""
        parts = cast(ProgressiveBlanks, self.setup.variants[PROGRESSIVE]).parts
        columns = [
            "image",
            *(f"step {step + 1}\n{(step + 1) / parts:.0%} filled in" for step in range(parts)),
        ]
        columns.append("L-BFGS\nlast step")
        rows = []
        for label, number in sorted(self.shown.items()):
            target = self._label(number, PROGRESSIVE)
            steps = self._steps(number, PROGRESSIVE)
            image = self.setup.data.images[number][None]
            diverged = bool(self.results.parts[SECOND][number].error)
            last = None if diverged else self._judged(self._steps(number, SECOND)[-1:], target)
            pictures = [self._judged(image, label), *(self._judged(each[None], target) for each in steps)]
            rows.append(Row(self.setup.data.classes[label], [*pictures, last]))
        return rows, columns, f"Progressive filling, {self._title()}", [_READ, _OWN]

    def ablation(self, prefix: str, title: str) -> Sheet:
        """Return the prototypes of random masks with one setting varied (Figure 4)."""
        names = [name for name in self.setup.ablations if name.startswith(prefix)]
        shares = [_share(self.results.row(name)) for name in names]
        labels = [name.removeprefix(prefix) for name in names]
        columns = ["image", *(f"{label}\n{share}" for label, share in zip(labels, shares, strict=True))]
        rows = []
        for label, number in sorted(self.shown.items()):
            if number in self.setup.numbers(names[0]):
                pictures = [self._kept(number, name, label) for name in names]
                image = self._judged(self.setup.data.images[number][None], label)
                rows.append(Row(self.setup.data.classes[label], [image, *pictures]))
        return rows, columns, f"{title}: {self._title()}", [_READ, _CONSISTENCY, self._masks(*names)]

    def binarization(self) -> Sheet:
        """Return prototypes with and without a level, of both maskings (Figure 6)."""
        columns, rows = ["image"], []
        for name, title in {RANDOM: "random", PROGRESSIVE: "progr."}.items():
            shares = [_share(row) for row in self.results.levels[name]]
            marks = [f"> {level:g}" for level in LEVELS] + ["none"]
            columns += [f"{title} {mark}\n{share}" for mark, share in zip(marks, shares, strict=True)]
        thresholds = [*(Threshold(level=level) for level in LEVELS), Threshold(binarize=False)]
        for label, number in sorted(self.shown.items()):
            expected, target = self._updates(number, RANDOM)[:1], self._label(number, PROGRESSIVE)
            kept = [self._judged(each(expected, self.everywhere), label) for each in thresholds]
            filled = [self._judged(self._filled(number, target, each), target) for each in thresholds]
            image = self._judged(self.setup.data.images[number][None], label)
            rows.append(Row(self.setup.data.classes[label], [image, *kept, *filled]))
        levels = f"columns: the level of the threshold; {_CONSISTENCY}"
        legend = [_READ, _OWN, levels, self._masks(RANDOM)]
        return rows, columns, f"Binarization: {self._title()}", legend

    def orders(self) -> Sheet:
        """Return updates of first and second order of the same masked images (Figure 5)."""
        few = cast(FillInBlanks, self.setup.variants[self.setup.unit("order-l-bfgs")])
        second: Order = (
            "bfgs" if self.everywhere.numel() * self.setup.data.images.shape[1] <= LARGEST else "l-bfgs"
        )
        columns = ["M(x)", "first order", "T of it", second.upper(), "T of it"]
        columns += [f"{name}\nE[update]" for name in ("first order", "L-BFGS")]
        names = ("order-first", "order-l-bfgs")
        rows = []
        for label, number in sorted(self.shown.items()):
            hole, masked, one = self._one(number, replace(few, update="first"))
            pictures = [
                self._judged(masked, label),
                self._colored(one),
                self._judged(composite(masked, hole, self.setup.threshold(one, hole)), label),
                *self._second(number, replace(few, update=second), one),
                *(self._kept(number, name, label) for name in names),
            ]
            rows.append(Row(self.setup.data.classes[label], pictures))
        legend = [_READ, _COLORS, f"{few.steps} steps of second order", self._masks(*names)]
        return rows, columns, f"First and second order: {self._title()}", legend

    def _second(self, number: int, method: FillInBlanks, first: Tensor) -> list[Picture | None]:
        """Return the second-order update and what it fills in; nothing where it diverges."""
        try:
            hole, masked, update = self._one(number, method)
        except ValueError as error:
            if "diverges" not in str(error):
                raise
            return [None, None]
        cosine = float(torch.cosine_similarity(first.flatten(), update.flatten(), dim=0))
        filled = composite(masked, hole, self.setup.threshold(update, hole))
        label = int(self.setup.data.targets[number])
        return [self._colored(update, f"cosine {cosine:.2f}"), self._judged(filled, label)]

    def _title(self) -> str:
        return f"{self.setup.data.title}, classifier: {self.setup.name}"

    def _masks(self, *names: str) -> str:
        rows = [(name, self.results.row(name)) for name in names]
        counts = [f"{name} {row.correct:.0f} of {row.masks:.0f}" for name, row in rows if row]
        return f"masks averaged for each image, of those tried (means): {', '.join(counts) or 'none'}"

    def _label(self, number: int, name: str) -> int:
        return int(self.results.parts[name][number].about["label"])

    def _updates(self, number: int, name: str) -> Tensor:
        found = self.folder.heatmap((number, self.setup.unit(name)))
        if found is None:
            raise OSError(f"the update {name} of image {number} is no longer in the output folder")
        return torch.from_numpy(found.astype(np.float32)).to(self.everywhere)

    def _steps(self, number: int, name: str) -> Float[Tensor, "t c h w"]:
        return self._updates(number, name) / 255

    def _kept(self, number: int, name: str, label: int) -> Picture | None:
        part = self.results.parts[name].get(number)
        if part is None or part.error:
            return None
        return self._judged(self.setup.threshold(self._updates(number, name)[:1], self.everywhere), label)

    def _one(self, number: int, method: FillInBlanks) -> tuple[Tensor, Tensor, Tensor]:
        """Return the first mask of an image, what it leaves, and the update of that."""
        score = self.worker.score(number)
        hole = method.holes(score)[:1]
        masked = score.perturbed(hole)
        descent = Descent(method.update, method.steps)
        suggested = descent.suggested(score, masked, self.setup.data.targets[number : number + 1], every=True)
        return hole, masked, suggested.update

    def _filled(self, number: int, target: int, threshold: Threshold) -> Tensor:
        method = cast(ProgressiveBlanks, self.setup.variants[PROGRESSIVE])
        other = ProgressiveBlanks(
            method.parts, method.patch, binarize=threshold.binarize, level=threshold.level, seed=method.seed
        )
        return other.fill_in(self.worker.score(number, target)).prototype

    def _judged(self, image: Float[Tensor, "1 c h w"], label: int) -> Picture:
        answers, probabilities = self.worker.answers(image)
        name = self.setup.data.classes[answers[0]]
        caption = f"{name} {float(probabilities[0, answers[0]]):.2f}"
        return Picture(_pixels(image), caption, answers[0] != label)

    def _colored(self, update: Float[Tensor, "1 c h w"], caption: str = "") -> Picture:
        values = update[0].sum(0).cpu().double().numpy()
        peak = np.abs(values).max()
        scaled = values / peak if peak > 0 else values
        colors = color_mapping(scaled, np.ones(values.shape, bool), signed=True)
        return Picture(colors.to_rgba(scaled)[..., :3], caption)


def _pixels(image: Tensor) -> Float[np.ndarray, "h w 3"]:
    found: np.ndarray = image[0].expand(3, -1, -1).permute(1, 2, 0).cpu().float().numpy()
    return found


def _share(row: Consistency | None) -> str:
    return "never seen" if row is None else f"{100 * row.accuracy:.0f} % of {row.images}"
