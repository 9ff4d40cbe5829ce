"""ImageNet's and Places365's validation sets, as they are handed out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from studio.data.annotation import Annotation, clipped, read_objects
from studio.data.folders import Layout, images_in, is_image, lines

if TYPE_CHECKING:
    from studio.data.image import Picture

_IMAGENET_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Labels:
    """The class of every image, from a list of all."""

    by_name: Mapping[str, int]
    offers: frozenset[str] = frozenset({"labels"})

    def files(self, name: str) -> Sequence[Path]:
        """Return nothing: the list is about all images."""
        return []

    def __call__(self, name: str, picture: Picture) -> Annotation:
        """Return the class."""
        return {"label": self.by_name[name]}


@dataclass(frozen=True, eq=False)
class IlsvrcBoxes:
    """The boxes of the class of an image's first object, in ILSVRC's XML files.

    Attributes:
        classes: The index of every wnid; empty if unknown.
    """

    folder: Path
    classes: Mapping[str, int]

    @property
    def offers(self) -> frozenset[str]:
        """Boxes, and labels if the classes are known."""
        return frozenset({"boxes", "labels"} if self.classes else {"boxes"})

    def files(self, name: str) -> Sequence[Path]:
        """Return the XML file."""
        return [self.folder / f"{PurePosixPath(name).stem}.xml"]

    def __call__(self, name: str, picture: Picture) -> Annotation:
        """Read the XML file."""
        (path,) = self.files(name)
        objects = read_objects(path, picture)
        wnid = objects[0][0]
        if self.classes and wnid not in self.classes:
            raise ValueError(f"annotation: {path} is about {wnid!r}, which is not among the classes")
        boxes = clipped((box for other, box in objects if other == wnid), path, picture)
        return {"label": self.classes.get(wnid), "boxes": boxes}


def ilsvrc(folder: Path) -> Layout | None:
    """Recognize ImageNet's validation set as ILSVRC (and Kaggle) hands it out."""
    for root in (folder, folder / "ILSVRC"):
        images, boxes = root / "Data/CLS-LOC/val", root / "Annotations/CLS-LOC/val"
        if images.is_dir() and boxes.is_dir():
            classes, sources, notes = _ilsvrc_classes(root)
            names = sorted(_images_below(images))
            return Layout("ilsvrc", images, names, [IlsvrcBoxes(boxes, classes)], sources, notes)
    return None


def places(folder: Path) -> Layout | None:
    """Recognize Places365's validation set: its list, and the images in one of the usual folders."""
    listed, categories = folder / "places365_val.txt", folder / "categories_places365.txt"
    if not listed.is_file():
        return None
    known = {index for _, _, index in _labelled(categories)} if categories.is_file() else None
    labels: dict[str, int] = {}
    for number, name, label in _labelled(listed):
        if name in labels or (known is not None and label not in known):
            fault = "is listed again" if name in labels else f"is of class {label}, not in {categories.name}"
            raise ValueError(f"DATA: {listed}, line {number}: {name} {fault}")
        labels[name] = label
    at = next((path for path in (folder / "val_large", folder / "val_256") if images_in(path)), folder)
    names = sorted(labels) if images_in(at) else []
    shared = [listed, *([categories] if known is not None else [])]
    return Layout("places", at, names, [Labels(labels)], shared)


def _images_below(folder: Path) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise error

    for at, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(at).relative_to(folder)
        yield from ((inside / name).as_posix() for name in names if is_image(name))


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
        classes[wnid] = number - 1
    if len(classes) != _IMAGENET_CLASSES:
        return classes, [path], [f"{mapping} has {len(classes)} classes, not {_IMAGENET_CLASSES}"]
    return classes, [path], []


def _labelled(path: Path) -> Iterator[tuple[int, str, int]]:
    """Yield the number, the name and the class index of every line."""
    for number, line in lines(path):
        name, *rest = line.rsplit(maxsplit=1)
        if not rest or not re.fullmatch(r"[0-9]{1,9}", rest[0]):
            raise ValueError(f"DATA: {path}, line {number}: expected a name and a class index, got {line!r}")
        yield number, name, int(rest[0])
