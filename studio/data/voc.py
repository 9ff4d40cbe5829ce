"""PASCAL VOC's folders: classes by name, boxes, and silhouettes where a year is segmented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from studio.data.annotation import (
    Annotation,
    Annotator,
    checked_silhouette,
    clipped,
    read_indices,
    read_objects,
)
from studio.data.folders import Layout, images_in, lines

if TYPE_CHECKING:
    from studio.data.image import Picture

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_VOID = 255


@dataclass(frozen=True, eq=False)
class VocBoxes:
    """The class whose boxes cover most of an image, in VOC's XML files."""

    folder: Path
    offers: frozenset[str] = frozenset({"labels", "boxes"})

    def files(self, name: str) -> Sequence[Path]:
        """Return the XML file."""
        return [self.folder / f"{PurePosixPath(name).stem}.xml"]

    def __call__(self, name: str, picture: Picture) -> Annotation:
        """Read the XML file."""
        (path,) = self.files(name)
        objects = read_objects(path, picture)
        areas: Counter[str] = Counter()
        for other, (left, top, right, bottom) in objects:
            areas[other] += (right - left) * (bottom - top)
        label = areas.most_common(1)[0][0]
        boxes = clipped((box for other, box in objects if other == label), path, picture)
        return {"label": label, "boxes": boxes}


@dataclass(frozen=True, eq=False)
class VocSegments:
    """The class that covers most of an image, in VOC's segmentations, and its boxes."""

    segmentations: Path
    folder: Path
    offers: frozenset[str] = frozenset({"labels", "silhouettes", "boxes"})

    def files(self, name: str) -> Sequence[Path]:
        """Return the segmentation and the XML file."""
        stem = PurePosixPath(name).stem
        return [self.segmentations / f"{stem}.png", self.folder / f"{stem}.xml"]

    def __call__(self, name: str, picture: Picture) -> Annotation:
        """Read both files."""
        import numpy as np
        import torch

        drawn, path = self.files(name)
        indices = read_indices(drawn, picture)
        pixels = np.bincount(indices.ravel(), minlength=_VOID + 1)
        pixels[0] = pixels[_VOID] = 0
        if pixels[len(VOC_CLASSES) + 1 :].any() or not pixels.any():
            classes = [int(index) for index in np.flatnonzero(pixels)] or "none"
            raise ValueError(
                f"segmentation: {drawn}: expected classes 1 to {len(VOC_CLASSES)}, got {classes}"
            )
        index = int(pixels.argmax())
        label = VOC_CLASSES[index - 1]
        boxes = [box for other, box in read_objects(path, picture) if other == label]
        if not boxes:
            raise ValueError(f"annotation: {path} has no {label}, which {drawn} shows most of")
        silhouette = checked_silhouette(torch.from_numpy(indices == index), drawn)
        return {"label": label, "silhouette": silhouette, "boxes": clipped(boxes, path, picture)}


def voc(folder: Path) -> Layout | None:
    """Recognize one year of PASCAL VOC."""
    root = _voc_root(folder)
    if root is None:
        return None
    images, boxes, segmentations = root / "JPEGImages", root / "Annotations", root / "SegmentationClass"
    segmented = [Path(name).stem for name in images_in(segmentations) if name.endswith(".png")]
    if segmented:
        chosen, every = root / "ImageSets/Segmentation/val.txt", segmented
    else:
        chosen = root / "ImageSets/Main/val.txt"
        every = [path.stem for path in boxes.glob("*.xml") if not path.name.startswith(".")]
    by_stem = {Path(name).stem: name for name in images_in(images)}
    if not by_stem:
        return Layout("voc", images, [])
    stems = {line.split()[0] for _, line in lines(chosen)} if chosen.is_file() else set(every)
    annotator: Annotator = VocSegments(segmentations, boxes) if segmented else VocBoxes(boxes)
    # A listed image that is missing keeps its place: reading it says so.
    names = sorted(by_stem.get(stem, f"{stem}.jpg") for stem in stems)
    return Layout("voc", images, names, [annotator])


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
