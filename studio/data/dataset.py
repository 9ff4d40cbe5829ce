"""Data sets to measure on: scenes, and folders of images with what is known about them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studio.data.example import Case, Dataset, Example
from studio.data.folders import SUFFIXES, Layout, annotated, plain
from studio.data.ilsvrc import ilsvrc
from studio.data.image import read_picture
from studio.data.places import places
from studio.data.scenes import NAMES, open_scenes
from studio.data.voc import voc
from studio.files import BY_CONTENT, contents

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor

    from studio.data.annotation import Annotation, Label

_AS_STORED = ("voc", "ilsvrc")
"""Kinds whose annotations count pixels as files have them, whatever EXIF says; others' what is seen."""


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
    def home(self) -> Path:
        """The folder that files' names are relative to."""
        return self.layout.images

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
    if name in NAMES:
        if split is not None:
            raise ValueError(f"--split: only for PASCAL VOC and boxes.csv, got {name} and {split}")
        return open_scenes(name, data.removeprefix(name))
    try:
        layout = _layout(data, split)
    except OSError as error:
        raise ValueError(f"DATA: {error.filename or data} cannot be read ({error.strerror})") from error
    if not layout.names:
        raise ValueError(f"DATA: no image found in {layout.images}; looked for {', '.join(SUFFIXES)}")
    cases = [(name, None) for name in layout.names]
    return ImageFolder(Path(data).resolve().name or data, layout, cases)


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
