"""PASCAL VOC's folders: classes by name, boxes, and silhouettes where a year is segmented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from studio.data.annotation import (
    Annotation,
    Annotator,
    Box,
    Label,
    by_area,
    checked_silhouette,
    clipped,
    objects_of,
    read_indices,
    read_objects,
)
from studio.data.folders import Layout, images_in, lines

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from numpy import ndarray
    from torch import Tensor

    from studio.data.image import Picture

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_VOID = 255


@dataclass(frozen=True, eq=False)
class VocBoxes:
    """The boxes of one class in VOC's XML files: unless asked for another, of that which covers most."""

    folder: Path
    offers: frozenset[str] = frozenset({"labels", "boxes", "others"})

    def files(self, name: str) -> Sequence[Path]:
        """Return the XML file."""
        return [self.folder / f"{PurePosixPath(name).stem}.xml"]

    def classes(self, name: str) -> Sequence[Label]:
        """Return the classes that have a box, those whose boxes cover most first."""
        (path,) = self.files(name)
        return by_area(read_objects(path))

    def __call__(self, name: str, picture: Picture, label: Label | None = None) -> Annotation:
        """Read the XML file."""
        (path,) = self.files(name)
        objects = read_objects(path, picture)
        label = by_area(objects)[0] if label is None else label
        return {"label": label, **_boxes(objects, label, path, picture)}


@dataclass(frozen=True, eq=False)
class VocSegments:
    """Silhouette and boxes of one class in VOC's segmentations, of that which covers most unless asked."""

    segmentations: Path
    folder: Path
    offers: frozenset[str] = frozenset({"labels", "silhouettes", "boxes", "others"})

    def files(self, name: str) -> Sequence[Path]:
        """Return the segmentation and the XML file."""
        stem = PurePosixPath(name).stem
        return [self.segmentations / f"{stem}.png", self.folder / f"{stem}.xml"]

    def classes(self, name: str) -> Sequence[Label]:
        """Return the classes in the segmentation, the largest first."""
        drawn = self.files(name)[0]
        return _by_pixels(read_indices(drawn), drawn)

    def __call__(self, name: str, picture: Picture, label: Label | None = None) -> Annotation:
        """Read both files."""
        import torch

        drawn, path = self.files(name)
        indices = read_indices(drawn, picture)
        label = _by_pixels(indices, drawn)[0] if label is None else label
        objects = read_objects(path, picture)
        if all(other != label for other, _ in objects):
            raise ValueError(f"annotation: {path} has no {label}, which {drawn} shows most of")
        shown = torch.from_numpy(indices == VOC_CLASSES.index(str(label)) + 1)
        silhouette = checked_silhouette(shown, drawn)
        return {"label": label, "silhouette": silhouette, **_boxes(objects, label, path, picture)}


def voc(folder: Path, split: str | None = None) -> Layout | None:
    """Recognize one year of PASCAL VOC.

    Args:
        folder: Of the year, or above it.
        split: A list of ``ImageSets``, as ``Segmentation/val`` or ``Main/test`` (or ``test``, as the boxes
            of ``Main`` are meant where no folder is given). ``None``: the validation list of the segmented
            images, or without any that of ``Main``; without a list, all that are annotated.

    Raises:
        ValueError: If there is no such list.
    """
    root = _voc_root(folder)
    if root is None:
        return None
    images, boxes, segmentations = root / "JPEGImages", root / "Annotations", root / "SegmentationClass"
    by_stem = {Path(name).stem: name for name in images_in(images)}
    if not by_stem:
        return Layout("voc", images, [])
    segmented = [Path(name).stem for name in images_in(segmentations) if name.endswith(".png")]
    if split is not None and not split.startswith("Segmentation/"):
        segmented = []
    if split is not None:
        chosen = root / "ImageSets" / f"{split if '/' in split else f'Main/{split}'}.txt"
        if not chosen.is_file():
            raise ValueError(f"--split: {root} has no list {chosen.relative_to(root)}{_lists(root)}")
    else:
        chosen = root / "ImageSets" / ("Segmentation/val.txt" if segmented else "Main/val.txt")
    every = segmented or [path.stem for path in boxes.glob("*.xml") if not path.name.startswith(".")]
    stems = {line.split()[0] for line in _listed(chosen)} if chosen.is_file() else set(every)
    annotator: Annotator = VocSegments(segmentations, boxes) if segmented else VocBoxes(boxes)
    # A listed image that is missing keeps its place: reading it says so.
    names = sorted(by_stem.get(stem, f"{stem}.jpg") for stem in stems)
    return Layout("voc", images, names, [annotator])


def _listed(path: Path) -> Iterator[str]:
    """Yield the lines of a list, but for the images that one of a single class says to be without it (-1)."""
    for _, line in lines(path):
        if line.split()[1:2] != ["-1"]:
            yield line


def _lists(root: Path) -> str:
    """Return in words which lists there are: those of single classes are left out."""
    sets = root / "ImageSets"
    found = sorted(path.relative_to(sets).with_suffix("").as_posix() for path in sets.rglob("*.txt"))
    found = [
        name for name in found if not name.rpartition("/")[2].startswith(tuple(f"{c}_" for c in VOC_CLASSES))
    ]
    return f"; it has {', '.join(found)}" if found else ""


def _by_pixels(indices: UInt8[ndarray, "h w"], path: Path) -> list[str]:
    """Return the classes in a segmentation, those of most pixels first."""
    import numpy as np

    pixels = np.bincount(indices.ravel(), minlength=_VOID + 1)
    pixels[0] = pixels[_VOID] = 0
    if pixels[len(VOC_CLASSES) + 1 :].any() or not pixels.any():
        classes = [int(index) for index in np.flatnonzero(pixels)] or "none"
        raise ValueError(f"segmentation: {path}: expected classes 1 to {len(VOC_CLASSES)}, got {classes}")
    largest_first = np.argsort(-pixels, kind="stable")[: np.count_nonzero(pixels)]
    return [VOC_CLASSES[int(index) - 1] for index in largest_first]


def _boxes(objects: Sequence[tuple[str, Box]], label: Label, path: Path, picture: Picture) -> Annotation:
    boxes: dict[Label, Tensor] = {
        name: clipped((box for other, box in objects if other == name), path, picture)
        for name in dict.fromkeys(other for other, _ in objects)
    }
    return objects_of(boxes, label)


def _voc_root(folder: Path) -> Path | None:
    if _is_voc(folder):
        return folder
    for home in (folder, folder / "VOCdevkit"):
        years = sorted(path for path in home.glob("VOC20[0-9][0-9]") if _is_voc(path))
        if len(years) > 1:
            names = " and ".join(path.name for path in years)
            raise ValueError(f"DATA: {home} has {names}; give one of them")
        if years:
            return years[0]
    return None


def _is_voc(folder: Path) -> bool:
    return (folder / "JPEGImages").is_dir() and (folder / "Annotations").is_dir()
