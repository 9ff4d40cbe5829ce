"""Data sets to measure on: scenes, and folders of images with what is known about them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from studio.data.folders import SUFFIXES, Layout, annotated, plain
from studio.data.ilsvrc import ilsvrc
from studio.data.image import read_picture
from studio.data.places import places
from studio.data.voc import voc
from studio.files import BY_CONTENT, contents

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from models.scenes import Scene
    from studio.data.annotation import Annotation, Label

Case: TypeAlias = "tuple[int, Label | None]"
"""The number of an example, and one of its classes; ``None``: that which is taken unless one asks."""
_SCENES = 100


@dataclass(frozen=True, eq=False)
class Example:
    """One image, and what is known about it.

    Attributes:
        name: Unique in its data set: ``scene-12``, or the file's path in the folder of images.
        label: The class's index, or its name where the data has names only.
        silhouette: The pixels of the labelled objects: some, and not all.
        boxes: Around the labelled objects, inside of the image: xmin, ymin, xmax, ymax in pixels, maxima
            exclusive.
        background: The same image without the objects.
        others: By class the boxes of all other objects; ``None`` where they are not known.
    """

    name: str
    image: Float[Tensor, "3 h w"]
    label: Label | None = None
    silhouette: Bool[Tensor, "h w"] | None = None
    boxes: Int[Tensor, "o 4"] | None = None
    background: Float[Tensor, "3 h w"] | None = None
    others: Mapping[Label, Int[Tensor, "o 4"]] | None = None

    @property
    def difficult(self) -> bool | None:
        """Whether it is of the pointing game's difficult cases; ``None`` where not all objects are known."""
        from attribution.evaluation.pointing import difficult

        if self.others is None or self.boxes is None:
            return None
        height, width = self.image.shape[1:]
        return difficult({self.label: self.boxes, **self.others}, self.label, (height, width))


_AS_STORED = ("voc", "ilsvrc")
"""Kinds whose annotations count pixels as files have them, whatever EXIF says; others' what is seen."""


class Dataset(Protocol):
    """Examples, read one at a time; making one opens no image."""

    @property
    def title(self) -> str:
        """What a person calls it: ``scenes:500``, or the folder's name."""

    @property
    def kind(self) -> str:
        """One of ``scenes``, ``silhouettes``, ``boxes``, ``ilsvrc``, ``voc``, ``places``, ``images``."""

    @property
    def offers(self) -> frozenset[str]:
        """Which of ``labels``, ``silhouettes``, ``boxes``, ``others``, ``background`` its examples have."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user must know."""

    @property
    def names(self) -> Sequence[str]:
        """The names of all examples, in order."""

    @property
    def photographs(self) -> Sequence[str]:
        """Of which image each example is: several, one for each of its classes, may be of one."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Example:
        """Read one example.

        Raises:
            ValueError: If a file of it is missing, bad, or does not fit the image; it is named.
        """

    def classes(self, index: int) -> Sequence[Label]:
        """Return the classes that an example is known to show, first that of its label; opens no image.

        Raises:
            ValueError: If a file that says so is missing or bad.
        """

    def only(self, cases: Sequence[Case]) -> Dataset:
        """Return the data set of these examples alone, each for one of its classes if the case says which."""

    def fingerprint(self) -> str:
        """Return a digest that is different after files came, went, or changed, but for their times."""


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


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The images of a folder, laid out in one of the known ways."""

    title: str
    layout: Layout
    cases: Sequence[tuple[str, Label | None]]
    """The files, each for one of its classes, or for that which is taken unless one asks."""

    @property
    def names(self) -> Sequence[str]:
        """The names of all examples: the file's, and that of the class where there may be several."""
        return tuple(name if label is None else f"{name}:{label}" for name, label in self.cases)

    @property
    def photographs(self) -> Sequence[str]:
        """The files."""
        return tuple(name for name, _ in self.cases)

    @property
    def kind(self) -> str:
        """Which layout."""
        return self.layout.kind

    @property
    def offers(self) -> frozenset[str]:
        """What any of the annotators knows."""
        return frozenset[str]().union(*(annotator.offers for annotator in self.layout.annotators))

    @property
    def notes(self) -> Sequence[str]:
        """What the layout found strange."""
        return self.layout.notes

    def __len__(self) -> int:
        return len(self.cases)

    def classes(self, index: int) -> Sequence[Label]:
        """Return the class of the case, or all that any of the annotators knows."""
        name, label = self.cases[index]
        if label is not None:
            return [label]
        known = (each for annotator in self.layout.annotators for each in annotator.classes(name))
        return list(dict.fromkeys(known))

    def only(self, cases: Sequence[Case]) -> ImageFolder:
        """Return some of the images."""
        chosen = [(self.cases[index], label) for index, label in cases]
        return replace(self, cases=[(name, own if label is None else label) for (name, own), label in chosen])

    def read(self, index: int) -> Example:
        """Read one image, and ask all annotators about it."""
        name, label = self.cases[index]
        picture = read_picture(self.layout.images / name, upright=self.kind not in _AS_STORED)
        known: Annotation = {}
        for annotator in self.layout.annotators:
            known |= annotator(name, picture, label)
        if self.kind == "silhouettes" and known.get("others"):
            known["silhouette"] = self._own_silhouette(name, known)
        return Example(self.names[index], picture.image, **known)

    @staticmethod
    def _own_silhouette(name: str, known: Annotation) -> Bool[Tensor, "h w"]:
        """Return of a silhouette of all objects what is in the boxes of the class that is meant.

        Raises:
            ValueError: If nothing is.
        """
        from attribution.evaluation.localization import covered

        drawn = known["silhouette"]
        own = drawn & covered(known["boxes"], (drawn.shape[0], drawn.shape[1]))
        if not own.any():
            raise ValueError(
                f"silhouette: that of {name} has nothing in the boxes of class {known['label']!r}"
            )
        return own

    def _cut(self) -> bool:
        """Whether any silhouette is cut to the boxes of one of several classes."""
        if self.kind != "silhouettes":
            return False
        several = (
            {each for one in self.layout.annotators for each in one.classes(name)} for name, _ in self.cases
        )
        return any(len(classes) > 1 for classes in several)

    def fingerprint(self) -> str:
        """Return a digest of all files' names and contents."""
        files = [("", path) for path in self.layout.shared]
        for name, label in self.cases:
            about = [path for annotator in self.layout.annotators for path in annotator.files(name)]
            case = name if label is None else f"{label}\0{name}"
            files += [(case, path) for path in (self.layout.images / name, *about)]
        known = contents(path for _, path in files)
        offered = sorted(self.offers - {"others"})  # it goes with boxes, and came later than digests did
        cut = " cut" * self._cut()  # before, every class had the silhouette of all objects
        digest = hashlib.sha256(f"{self.kind} {offered}{cut}\n".encode())
        for case, path in files:
            digest.update(f"{case}\0{path.name}\0{known[path]}\n".encode())
        return BY_CONTENT + digest.hexdigest()


def open_dataset(data: str, split: str | None = None) -> Dataset:
    """Open the data that a text means: scenes, or a folder in one of the known layouts.

    ``scenes`` and ``scenes:N`` have one object each, ``scenes-two`` and ``scenes-two:N`` two.

    A folder that is itself named ``scenes`` is ``./scenes``. `studio.data.selection` says which are meant.
    ``split`` is one of PASCAL VOC's lists, or of those that a ``boxes.csv`` names.

    Raises:
        ValueError: If there is no such folder, it has no images, a list in it is malformed, or there is no
            such split.
    """
    name = data.partition(":")[0]
    if name in ("scenes", "scenes-two"):
        if split is not None:
            raise ValueError(f"--split: only for PASCAL VOC and boxes.csv, got {name} and {split}")
        return _scenes(name, data.removeprefix(name))
    try:
        layout = _layout(data, split)
    except OSError as error:
        raise ValueError(f"DATA: {error.filename or data} cannot be read ({error.strerror})") from error
    if not layout.names:
        raise ValueError(f"DATA: no image found in {layout.images}; looked for {', '.join(SUFFIXES)}")
    cases = [(name, None) for name in layout.names]
    return ImageFolder(Path(data).resolve().name or data, layout, cases)


def first_readable(data: Dataset) -> Example:
    """Return the first example that can be read.

    Raises:
        ValueError: If none can.
    """
    first = ""
    for number in range(len(data)):
        try:
            return data.read(number)
        except ValueError as error:
            first = first or str(error)
    raise ValueError(f"DATA: none of {len(data)} images can be used; {first}")


def _layout(data: str, split: str | None) -> Layout:
    folder = Path(data)
    if not data or not folder.exists():
        raise ValueError(f"DATA: no such folder: {data or repr(data)}")
    if not folder.is_dir():
        raise ValueError(f"DATA: {data} is a file; give the folder of the images")
    layout = ilsvrc(folder) or voc(folder, split)
    layout = layout or places(folder) or annotated(folder, split) or plain(folder)
    if split is not None and layout.kind not in ("voc", "silhouettes", "boxes"):
        raise ValueError(
            f"--split: only for PASCAL VOC and boxes.csv, got {data} ({layout.kind}) and {split}"
        )
    return layout


def _scenes(name: str, number: str) -> Scenes:
    text = number.removeprefix(":") if number else str(_SCENES)
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        got = f"{name}{number}"
        raise ValueError(f"DATA: expected {name}:N with N from 1 to 999999, got {got}; a folder is ./{got}")
    objects = 1 if name == "scenes" else 2
    return Scenes(f"{name}:{int(text)}", range(objects * int(text)), objects)
