"""Scenes as a data set: drawn when they are read, and everything is known about them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from studio.data.example import Case, Example

if TYPE_CHECKING:
    from torch import Tensor

    from models.scenes import Scene
    from studio.data.annotation import Label

NAMES = ("scenes", "scenes-two")
"""As data: of one object each, or of two."""
_SCENES = 100


@dataclass(frozen=True, eq=False)
class Scenes:
    """Scenes by their numbers, with all that is true about them: of one object each, or of two.

    Attributes:
        numbers: Of the examples. Where there are two objects, of different classes, each is the target in
            turn: example 2n + i is scene n with its object i.
        objects: How many a scene has, 1 or 2.
    """

    title: str
    numbers: Sequence[int]
    objects: int = 1
    kind: str = "scenes"
    notes: Sequence[str] = ()
    home: None = None

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def offers(self) -> frozenset[str]:
        """All; where there are two objects, not what is behind one of them alone."""
        more = "background" if self.objects == 1 else "others"
        return frozenset({"labels", "silhouettes", "boxes", more})

    @property
    def names(self) -> Sequence[str]:
        """The names of all scenes; where there are two objects, with the target's place."""
        if self.objects == 1:
            return self.photographs
        return tuple(f"scene-{number // 2}:{number % 2}" for number in self.numbers)

    @property
    def photographs(self) -> Sequence[str]:
        """The scenes' names."""
        return tuple(f"scene-{number // self.objects}" for number in self.numbers)

    def classes(self, index: int) -> Sequence[Label]:
        """Return the class of the object that is the target, by its name."""
        from models import scenes

        drawn, place = self._drawn(index)
        return [scenes.CLASSES[drawn.labels[place]]]

    def only(self, cases: Sequence[Case]) -> Scenes:
        """Return some of the examples."""
        return replace(self, numbers=[self.numbers[index] for index, _ in cases])

    def read(self, index: int) -> Example:
        """Draw one scene."""
        scene, place = self._drawn(index)
        example = Example(
            name=self.names[index],
            image=scene.image,
            label=scene.labels[place],
            silhouette=scene.silhouettes[place],
            boxes=scene.boxes[place : place + 1],
        )
        if self.objects == 1:
            return replace(example, background=scene.background)
        boxes: Mapping[Label, Tensor] = {
            label: scene.boxes[i : i + 1] for i, label in enumerate(scene.labels) if i != place
        }
        return replace(example, others=boxes)

    def _drawn(self, index: int) -> tuple[Scene, int]:
        """Return the scene of an example, and the place of its target."""
        from models import scenes

        number, place = divmod(self.numbers[index], self.objects)
        return scenes.draw(number, objects=self.objects), place

    def fingerprint(self) -> str:
        """Return a digest of which they are and what the first looks like."""
        first = list(self.numbers) == list(range(len(self)))
        which = len(self) if first else list(self.numbers)
        digest = hashlib.sha256(f"{'scenes' if self.objects == 1 else 'scenes-two'} {which}\n".encode())
        digest.update(self.read(0).image.numpy().tobytes())
        return digest.hexdigest()


def open_scenes(name: str, number: str) -> Scenes:
    """Return the scenes that ``scenes`` or ``scenes-two`` and ``:N`` mean.

    Raises:
        ValueError: If that is no number of scenes.
    """
    text = number.removeprefix(":") if number else str(_SCENES)
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        got = f"{name}{number}"
        raise ValueError(f"DATA: expected {name}:N with N from 1 to 999999, got {got}; a folder is ./{got}")
    objects = 1 if name == "scenes" else 2
    return Scenes(f"{name}:{int(text)}", range(objects * int(text)), objects)
