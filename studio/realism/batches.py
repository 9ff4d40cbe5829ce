"""Examples as the classifier sees them, each with its hole, some at a time; bad ones are told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from studio.data.chance import generator
from studio.data.classes import class_of
from studio.realism.kinds import TAKES_THE_OBJECT
from studio.realism.regions import Regions
from studio.realism.request import LabelSource

if TYPE_CHECKING:
    from numpy import ndarray

    from models.classifiers import ImageClassifier
    from studio.data.example import Dataset, Example

_Row: TypeAlias = "tuple[int, str, Tensor, Tensor, Tensor | None, int | None]"
"""Number, name, view, hole, background and target of an image."""


@dataclass(frozen=True, eq=False)
class ExampleBatch:
    """Some images with their holes.

    Attributes:
        numbers: Their places in the data set.
        truth: What is behind the holes, where that is known.
        targets: The classes to be removed; none without a classifier.
        skipped: Names of those that were left out, each with the reason.
    """

    numbers: Sequence[int]
    names: Sequence[str]
    images: Float[Tensor, "n 3 h w"]
    holes: Float[Tensor, "n 1 h w"]
    truth: Float[Tensor, "n 3 h w"] | None
    targets: Integer[Tensor, " n"] | None
    skipped: Sequence[tuple[str, str]]

    def arrays(self) -> dict[str, ndarray]:
        """Everything but the images, to be kept."""
        return {
            "numbers": np.array(self.numbers, dtype=np.int64),
            "names": np.array(self.names, dtype=np.str_),
            "targets": np.full(len(self.numbers), -1) if self.targets is None else self.targets.cpu().numpy(),
            "areas": self.holes.mean((1, 2, 3)).cpu().numpy(),
            "skipped": np.array([name for name, _ in self.skipped], dtype=np.str_),
            "reasons": np.array([reason for _, reason in self.skipped], dtype=np.str_),
        }


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads batches.

    Attributes:
        classifier: Whose view of the images it is.
        explained: Returns the explained classifier's logits; ``None`` without one.
        labels: Whose word counts for what an image shows.
        seed: Of the holes.
        correct_only: Whether images are left out of which the classifier's first choice is not the data's.
    """

    data: Dataset
    regions: Regions
    classifier: ImageClassifier
    explained: Callable[[Tensor], Tensor] | None
    labels: LabelSource
    seed: int
    correct_only: bool = False

    @property
    def true_background(self) -> bool:
        """Whether the true image without the object is known."""
        return self.regions.uncovers(self.data)

    @property
    def knows_truth(self) -> bool:
        """Whether it is known what is behind the holes."""
        if self.regions.kind in TAKES_THE_OBJECT:
            return self.true_background
        return self.regions.kind != "all"

    def read(self, numbers: Sequence[int]) -> ExampleBatch:
        """Read the examples of these numbers."""
        rows: list[_Row] = []
        skipped = []
        for number in numbers:
            try:
                example = self.data.read(number)
                rows.append((number, example.name, *self._in_view(number, example)))
            except ValueError as error:
                skipped.append((self.data.names[number], str(error)))
        wrong = self._wrong(rows) if self.correct_only else {}
        skipped += wrong.items()
        rows = [row for row in rows if row[1] not in wrong]
        index, names, images, holes, backgrounds, targets = zip(*rows, strict=True) if rows else [()] * 6
        views = _stacked(images, self.classifier)
        return ExampleBatch(
            numbers=index,
            names=names,
            images=views,
            holes=_stacked(holes, self.classifier, 1),
            truth=self._truth(views, backgrounds),
            targets=self._targets(views, targets),
            skipped=skipped,
        )

    def untouched(self, data: Dataset, numbers: Sequence[int]) -> Float[Tensor, "n 3 h w"]:
        """Read images of any data as the classifier sees them; those that cannot be read are passed over."""
        views = []
        for number in numbers:
            try:
                image = data.read(number).image
            except ValueError:
                continue
            views.append(self.classifier.view(image.to(self.classifier.mean.device)))
        return _stacked(views, self.classifier)

    def seen(self, numbers: Sequence[int], change: Callable[[Tensor], Tensor]) -> Float[Tensor, "n 3 h w"]:
        """Return what the classifier sees of images of these numbers, read anew, after a change."""
        device = self.classifier.mean.device
        changed = (change(self.data.read(number).image.to(device)) for number in numbers)
        return _stacked([self.classifier.view(image) for image in changed], self.classifier)

    def _in_view(self, number: int, example: Example) -> tuple[Tensor, Tensor, Tensor | None, int | None]:
        device = self.classifier.mean.device

        def view(picture: Tensor) -> Tensor:
            return self.classifier.view(picture.to(device))

        image = view(example.image)
        hole = self.regions(example, self.classifier, generator(self.seed, number, "hole"))
        behind = example.background if self.true_background else None
        named = self.explained is not None and self.labels == "data"
        label = class_of(example, self.data.kind, self.classifier.labels) if named else None
        return image, hole, None if behind is None else view(behind), label

    def _wrong(self, rows: Sequence[_Row]) -> dict[str, str]:
        """Return the names of images of which the classifier's first choice is not the data's, and that."""
        if self.explained is None or not rows:
            return {}
        labels, wrong = self.classifier.labels, {}
        choices = self.explained(torch.stack([row[2] for row in rows])).argmax(1).tolist()
        for (_, name, *_, target), choice in zip(rows, choices, strict=True):
            if target != choice:
                named = labels[choice] if labels else f"class {choice}"
                wrong[name] = f"--correct-only: the classifier takes it for {named}"
        return wrong

    def _truth(self, images: Tensor, backgrounds: Sequence[Tensor | None]) -> Tensor | None:
        """What is behind the holes: the background, or the images themselves."""
        if self.true_background:
            return _stacked(backgrounds, self.classifier)
        return images if self.knows_truth else None

    def _targets(self, images: Tensor, labelled: Sequence[int | None]) -> Integer[Tensor, " n"] | None:
        if self.explained is None:
            return None
        if self.labels == "data" or not labelled:
            return torch.tensor(labelled, dtype=torch.long, device=images.device)
        return self.explained(images).argmax(1)


def _stacked(pictures: Sequence[Tensor | None], classifier: ImageClassifier, channels: int = 3) -> Tensor:
    present = [picture for picture in pictures if picture is not None]
    if present:
        return torch.stack(present)
    side = classifier.crop
    return torch.empty(0, channels, side, side, device=classifier.mean.device)
