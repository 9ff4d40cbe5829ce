"""Tables of boxes: by image its objects, each with class and box, and perhaps the split it is of."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.data.annotation import Annotation, Box, Label, by_area, objects_of, text_of

if TYPE_CHECKING:
    from studio.data.image import Picture

_BY_INDEX = ["file", "label", "xmin", "ymin", "xmax", "ymax"]
_BY_NAME = ["file", "split", "class", "x0", "y0", "x1", "y1"]


@dataclass(frozen=True, eq=False)
class BoxTable:
    """The rows of a table of boxes.

    Attributes:
        rows: By image the class and the box of each of its objects.
        splits: By image the split it is of; empty if the table says nothing of splits.
    """

    path: Path
    rows: Mapping[str, Sequence[tuple[Label, Box]]]
    splits: Mapping[str, str]
    offers: frozenset[str] = frozenset({"labels", "boxes", "others"})

    def files(self, name: str) -> Sequence[Path]:
        """Return nothing: the table is about all images."""
        return []

    def classes(self, name: str) -> Sequence[Label]:
        """Return the classes that have a box, those whose boxes cover most first."""
        return by_area(self.rows.get(name, ()))

    def __call__(self, name: str, picture: Picture, label: Label | None = None) -> Annotation:
        """Return the boxes of one class, inside of the image: unless asked, of that which covers most."""
        import torch

        if name not in self.rows:
            raise ValueError(f"boxes: {self.path} has no row for {name}")
        height, width = picture.image.shape[1:]
        boxes: dict[Label, list[Box]] = {}
        for each, box in self.rows[name]:
            if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
                raise ValueError(
                    f"boxes: {self.path}: {name} has the box {box}; expected xmin < xmax and ymin < ymax "
                    f"inside of {width} x {height} pixels"
                )
            boxes.setdefault(each, []).append(box)
        label = self.classes(name)[0] if label is None else label
        stacked = {each: torch.tensor(some) for each, some in boxes.items()}
        return {"label": label, **objects_of(stacked, label)}

    def of_split(self, split: str) -> set[str]:
        """Return the images of a split.

        Raises:
            ValueError: If there is none.
        """
        names = {name for name, each in self.splits.items() if each == split}
        if not names:
            known = ", ".join(sorted(set(self.splits.values()))) or "none"
            raise ValueError(f"--split: {self.path} has no split {split!r}; it has {known}")
        return names


def read_boxes(path: Path) -> BoxTable:
    """Read a table whose columns are file, label (an index), xmin, ... or file, split, class, x0, ...

    Maxima are exclusive. Classifiers know names in any case: a class is called what it is called first.

    Raises:
        ValueError: If it is malformed, or an image is of two splits.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""), strict=True)  # else a lost quote takes all
    rows: dict[str, list[tuple[Label, Box]]] = {}
    splits: dict[str, str] = {}
    spelled: dict[Label, Label] = {}
    named = False
    try:
        for row in reader:
            if reader.line_num == 1:
                named = _is_named(row)
            elif row:
                name, label, box = _row_by_name(row, splits) if named else _row(row)
                rows.setdefault(name, []).append((spelled.setdefault(_folded(label), label), box))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"DATA: {path}, line {reader.line_num}: {error}") from error
    if not rows:
        raise ValueError(f"DATA: {path} has no boxes; expected rows of {','.join(_BY_INDEX)}")
    return BoxTable(path, rows, splits)


def _folded(label: Label) -> Label:
    return label.casefold() if isinstance(label, str) else label


def _is_named(header: Sequence[str]) -> bool:
    if list(header) not in (_BY_INDEX, _BY_NAME):
        expected = f"{','.join(_BY_INDEX)} or {','.join(_BY_NAME)}"
        raise ValueError(f"expected the header {expected}, got {','.join(header)}")
    return list(header) == _BY_NAME


def _row(row: Sequence[str]) -> tuple[str, int, Box]:
    if len(row) != len(_BY_INDEX) or not row[0] or not all(map(_whole, row[1:])):
        named = len(row) == len(_BY_INDEX) and not _whole(row[1]) and all(map(_whole, row[2:]))
        hint = f"; names of classes stand under the heading {','.join(_BY_NAME)}" * named
        raise ValueError(f"expected a file and five whole numbers, got {','.join(row)}{hint}")
    label, left, top, right, bottom = map(int, row[1:])
    if label < 0:
        raise ValueError(f"expected a class index of 0 or more, got {label}")
    return row[0], label, (left, top, right, bottom)


def _row_by_name(row: Sequence[str], splits: dict[str, str]) -> tuple[str, str, Box]:
    if len(row) != len(_BY_NAME) or not all(row[:3]) or not all(map(_whole, row[3:])):
        raise ValueError(f"expected file, split, class and four whole numbers, got {','.join(row)}")
    name, split, label = row[:3]
    if splits.setdefault(name, split) != split:
        raise ValueError(f"{name} is of split {split} here and of split {splits[name]} before")
    left, top, right, bottom = map(int, row[3:])
    return name, label, (left, top, right, bottom)


def _whole(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,9}", text) is not None
