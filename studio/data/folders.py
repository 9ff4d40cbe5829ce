"""Folders of images with what a person laid beside them: silhouettes, boxes, or nothing."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from studio.data.annotation import Annotation, Annotator, Box, Label, check_size, checked_silhouette
from studio.data.image import read_picture

if TYPE_CHECKING:
    from studio.data.image import Picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
_COLUMNS = ["file", "label", "xmin", "ymin", "xmax", "ymax"]


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
        check_size(path, (drawn.image.shape[2], drawn.image.shape[1]), picture)
        silhouette = drawn.image.mean(0) > 0.5
        return {"silhouette": checked_silhouette(silhouette, path)}


@dataclass(frozen=True, eq=False)
class BoxTable:
    """The rows of a table of boxes: by image its class, and its boxes."""

    path: Path
    rows: Mapping[str, tuple[int, Sequence[Box]]]
    offers: frozenset[str] = frozenset({"labels", "boxes"})

    def files(self, name: str) -> Sequence[Path]:
        """Return nothing: the table is about all images."""
        return []

    def classes(self, name: str) -> Sequence[Label]:
        """Return the class, if the table has a row for the image."""
        return [self.rows[name][0]] if name in self.rows else []

    def __call__(self, name: str, picture: Picture, label: Label | None = None) -> Annotation:
        """Return the boxes, which must lie inside of the image."""
        import torch

        if name not in self.rows:
            raise ValueError(f"boxes: {self.path} has no row for {name}")
        label, boxes = self.rows[name]
        height, width = picture.image.shape[1:]
        for box in boxes:
            if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
                raise ValueError(
                    f"boxes: {self.path}: {name} has the box {box}; expected xmin < xmax and ymin < ymax "
                    f"inside of {width} x {height} pixels"
                )
        return {"label": label, "boxes": torch.tensor(boxes)}


def images_in(folder: Path) -> list[str]:
    """Return the names of the image files in a folder, sorted, without the hidden ones."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if is_image(entry.name) and entry.is_file())


def annotated(folder: Path) -> Layout | None:
    """Recognize ``images`` with ``masks``, with ``boxes.csv``, or with both."""
    images, masks, table = folder / "images", folder / "masks", folder / "boxes.csv"
    if not images.is_dir() or not (masks.is_dir() or table.is_file()):
        return None
    names = images_in(images)
    annotators: list[Annotator] = []
    notes = []
    if masks.is_dir():
        annotators.append(Silhouettes(masks, _by_stem(masks)))
    if table.is_file():
        rows = _rows(table)
        annotators.append(BoxTable(table, rows))
        strange = sorted(set(rows) - set(names))
        if strange:
            notes.append(f"{len(strange)} of the files in {table.name} not in images/, as {strange[0]}")
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
    text = _text(path)
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


def _rows(path: Path) -> dict[str, tuple[int, list[Box]]]:
    """Read a table of boxes: by file its class, and its boxes."""
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    rows: dict[str, tuple[int, list[Box]]] = {}
    try:
        for row in reader:
            if reader.line_num == 1 and row != _COLUMNS:
                raise ValueError(f"expected the header {','.join(_COLUMNS)}, got {','.join(row)}")
            if reader.line_num > 1 and row:
                name, label, box = _row(row)
                known, boxes = rows.setdefault(name, (label, []))
                if known != label:
                    raise ValueError(f"{name} is of class {label} here and of class {known} before")
                boxes.append(box)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"DATA: {path}, line {reader.line_num}: {error}") from error
    if not rows:
        raise ValueError(f"DATA: {path} has no boxes; expected rows of {','.join(_COLUMNS)}")
    return rows


def _row(row: Sequence[str]) -> tuple[str, int, Box]:
    numbers = row[1:]
    whole = all(re.fullmatch(r"-?[0-9]{1,9}", number) for number in numbers)
    if len(row) != len(_COLUMNS) or not row[0] or not whole:
        raise ValueError(f"expected a file and five whole numbers, got {','.join(row)}")
    label, left, top, right, bottom = map(int, numbers)
    if label < 0:
        raise ValueError(f"expected a class index of 0 or more, got {label}")
    return row[0], label, (left, top, right, bottom)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"DATA: {path} is no UTF-8 text ({error.reason})") from error
