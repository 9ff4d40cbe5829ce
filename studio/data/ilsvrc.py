"""ImageNet's and Places365's validation sets, as they are handed out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from studio.data.annotation import Annotation, Label, clipped, read_objects
from studio.data.folders import Layout, checked_name, is_image, lines

if TYPE_CHECKING:
    from studio.data.image import Picture

_IMAGENET_CLASSES = 1000
_FIRST = 0
"""From what its files count pixels."""


@dataclass(frozen=True, eq=False)
class IlsvrcBoxes:
    """The boxes of the class of an image's first object, in ILSVRC's XML files.

    Attributes:
        indices: The index of every wnid; empty if unknown.
    """

    folder: Path
    indices: Mapping[str, int]

    @property
    def offers(self) -> frozenset[str]:
        """Boxes, and labels if the classes are known."""
        return frozenset({"boxes", "labels"} if self.indices else {"boxes"})

    def files(self, name: str) -> Sequence[Path]:
        """Return the XML file."""
        return [self.folder / f"{PurePosixPath(name).stem}.xml"]

    def classes(self, name: str) -> Sequence[Label]:
        """Return the index of the first object's class, if classes are known."""
        (path,) = self.files(name)
        return [self._index(read_objects(path, first=_FIRST)[0][0], path)] if self.indices else []

    def __call__(self, name: str, picture: Picture, label: Label | None = None) -> Annotation:
        """Read the XML file."""
        (path,) = self.files(name)
        objects = read_objects(path, picture, _FIRST)
        wnid = objects[0][0]
        index = self._index(wnid, path) if self.indices else None
        boxes = clipped((box for other, box in objects if other == wnid), path, picture)
        return {"label": index, "boxes": boxes}

    def _index(self, wnid: str, path: Path) -> int:
        if wnid not in self.indices:
            raise ValueError(f"annotation: {path} is about {wnid!r}, which is not among the classes")
        return self.indices[wnid]


def ilsvrc(folder: Path) -> Layout | None:
    """Recognize ImageNet's validation set as ILSVRC (and Kaggle) hands it out."""
    for root in (folder, folder / "ILSVRC"):
        images, boxes = root / "Data/CLS-LOC/val", root / "Annotations/CLS-LOC/val"
        if images.is_dir() and boxes.is_dir():
            classes, sources, notes = _ilsvrc_classes(root)
            names = sorted(_images_below(images))
            return Layout("ilsvrc", images, names, [IlsvrcBoxes(boxes, classes)], sources, notes)
    return None


def _images_below(folder: Path) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise error

    for at, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(at).relative_to(folder)
        yield from ((inside / checked_name(name, folder)).as_posix() for name in names if is_image(name))


def _ilsvrc_classes(root: Path) -> tuple[dict[str, int], list[Path], list[str]]:
    """Return the index of every wnid, the files that say so, and what the user must know about it."""
    train, mapping = root / "Data/CLS-LOC/train", "LOC_synset_mapping.txt"
    path = next((at / mapping for at in (root, root.parent) if (at / mapping).is_file()), None)
    if path is None:
        wnids = sorted(p.name for p in train.glob("n*") if p.is_dir()) if train.is_dir() else []
        if len(wnids) != _IMAGENET_CLASSES:
            return {}, [], [f"no {mapping}: classes are unknown"]
        return {wnid: index for index, wnid in enumerate(wnids)}, [train], []
    classes: dict[str, int] = {}
    for number, line in lines(path):
        wnid = line.split()[0]
        if not re.fullmatch(r"n[0-9]{8}", wnid) or wnid in classes:
            raise ValueError(f"DATA: {path}, line {number}: expected a new wnid as n01440764, got {wnid!r}")
        classes[wnid] = len(classes)  # the file may have blank lines
    if len(classes) != _IMAGENET_CLASSES:
        return classes, [path], [f"{mapping} has {len(classes)} classes, not {_IMAGENET_CLASSES}"]
    return classes, [path], []
