"""Places365's validation set, as it is handed out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.data.annotation import Annotation, Label
from studio.data.folders import Layout, images_in, lines

if TYPE_CHECKING:
    from studio.data.image import Picture


@dataclass(frozen=True, eq=False)
class ListedLabels:
    """The class of every image, from a list of all."""

    by_name: Mapping[str, int]
    offers: frozenset[str] = frozenset({"labels"})

    def files(self, name: str) -> Sequence[Path]:
        """Return nothing: the list is about all images."""
        return []

    def classes(self, name: str) -> Sequence[Label]:
        """Return the class."""
        return [self.by_name[name]]

    def __call__(self, name: str, picture: Picture, label: Label | None = None) -> Annotation:
        """Return the class."""
        return {"label": self.by_name[name]}


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
    return Layout("places", at, names, [ListedLabels(labels)], shared)


def _labelled(path: Path) -> Iterator[tuple[int, str, int]]:
    """Yield the number, the name and the class index of every line."""
    for number, line in lines(path):
        name, *rest = line.rsplit(maxsplit=1)
        if not rest or not re.fullmatch(r"[0-9]{1,9}", rest[0]):
            raise ValueError(f"DATA: {path}, line {number}: expected a name and a class index, got {line!r}")
        yield number, name, int(rest[0])
