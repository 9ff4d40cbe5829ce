"""Folders of images with what a person laid beside them: silhouettes, boxes, or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from studio.data.annotation import Annotation, Annotator, Label, check_size, checked_silhouette, text_of
from studio.data.boxes import read_boxes
from studio.data.image import read_picture

if TYPE_CHECKING:
    from studio.data.image import Picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")


@dataclass(frozen=True, eq=False)
class Layout:
    """The images of a folder, and who knows what about them.

    Attributes:
        images: The folder that ``names`` are relative to.
        shared: Files that say something about all images.
    """

    kind: str
    images: Path
    names: Sequence[str]
    annotators: Sequence[Annotator] = ()
    shared: Sequence[Path] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Silhouettes:
    """A picture for every image, of its stem and size: brighter than 0.5 where the object is."""

    folder: Path
    by_stem: Mapping[str, str]
    offers: frozenset[str] = frozenset({"silhouettes"})

    def files(self, name: str) -> Sequence[Path]:
        """Return the silhouette's file, or where it is expected."""
        stem = PurePosixPath(name).stem
        return [self.folder / self.by_stem.get(stem, f"{stem}.png")]

    def classes(self, name: str) -> Sequence[Label]:
        """Return nothing: a silhouette is of no class."""
        return []

    def __call__(self, name: str, picture: Picture, label: Label | None = None) -> Annotation:
        """Read the silhouette."""
        (path,) = self.files(name)
        if not path.is_file():
            raise ValueError(
                f"silhouette: {picture.path} has none; expected {path} (or another image suffix)"
            )
        drawn = read_picture(path)
        if drawn.transparent:  # laid on white: everything but the object
            raise ValueError(
                f"silhouette: {path} is transparent in places; lay it on black, the object white"
            )
        check_size(path, (drawn.image.shape[2], drawn.image.shape[1]), picture)
        silhouette = drawn.image.mean(0) > 0.5
        return {"silhouette": checked_silhouette(silhouette, path)}


def images_in(folder: Path) -> list[str]:
    """Return the names of the image files in a folder, sorted, without the hidden ones.

    A link that leads nowhere keeps its place: reading it says so.

    Raises:
        ValueError: If a name cannot be written down.
    """
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if is_image(entry.name) and _may_be_read(entry))
    return [checked_name(name, folder) for name in names]


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file() or (entry.is_symlink() and not entry.is_dir())
    except OSError:  # a link that leads to itself
        return entry.is_symlink()


def checked_name(name: str, folder: Path) -> str:
    """Return a file's name.

    Raises:
        ValueError: If it is no UTF-8, as archives from elsewhere may have it: no table could name it.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        written = os.fsencode(name).decode("ascii", "backslashreplace")
        raise ValueError(f"DATA: {folder} has {written}, whose name is no UTF-8; rename it") from None
    return name


def annotated(folder: Path, split: str | None = None) -> Layout | None:
    """Recognize ``images`` with ``masks``, with ``boxes.csv``, or with both.

    Raises:
        ValueError: If the table is malformed, lies where it would not be read, or has no such split.
    """
    images, masks, table = folder / "images", folder / "masks", folder / "boxes.csv"
    if not images.is_dir() and table.is_file():
        raise ValueError(f"DATA: {table} is beside no images/; expected the photographs in {images}")
    if not images.is_dir() or not (masks.is_dir() or table.is_file()):
        return None
    names, annotators, notes = images_in(images), list[Annotator](), []
    if masks.is_dir():
        annotators.append(Silhouettes(masks, _by_stem(masks)))
    if table.is_file():
        boxes = read_boxes(table)
        annotators.append(boxes)
        strange = sorted(set(boxes.rows) - set(names))
        if strange:
            notes.append(f"{len(strange)} of the files in {table.name} not in images/, as {strange[0]}")
        if split is not None:
            names = sorted(set(names) & boxes.of_split(split))
    elif split is not None:
        raise ValueError(
            f"--split: only for PASCAL VOC and boxes.csv, got {folder} (silhouettes) and {split}"
        )
    kind = "silhouettes" if masks.is_dir() else "boxes"
    return Layout(kind, images, names, annotators, [table] if table.is_file() else [], notes)


def plain(folder: Path) -> Layout:
    """Images in the folder, or else in its ``images``."""
    inside = folder / "images"
    names = images_in(folder)
    images = folder if names or not inside.is_dir() else inside
    return Layout("images", images, names or images_in(images))


def is_image(name: str) -> bool:
    """Return whether the name is that of an image file that is not hidden."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a list's lines that are not blank, and their numbers from 1.

    Raises:
        ValueError: If there are none, or the file is no UTF-8 text.
    """
    text = text_of(path)
    if not text.strip():
        raise ValueError(f"DATA: {path} is empty")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def _by_stem(masks: Path) -> dict[str, str]:
    by_stem: dict[str, str] = {}
    for name in images_in(masks):
        other = by_stem.setdefault(Path(name).stem, name)
        if other != name:
            raise ValueError(f"DATA: {masks} has both {other} and {name}; expected one file for an image")
    return by_stem
