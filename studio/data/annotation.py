"""What files say about images: silhouettes, boxes and classes, each read when its image is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypedDict

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from jaxtyping import Bool, Int, UInt8
    from numpy import ndarray
    from torch import Tensor

    from studio.data.image import Picture

Box = tuple[int, int, int, int]
"""xmin, ymin, xmax, ymax in pixels, maxima exclusive."""


Label = int | str
"""A class: its index, or its name where the data has names only."""


class Annotation(TypedDict, total=False):
    """What is known about one image."""

    label: Label | None
    silhouette: Bool[Tensor, "h w"]
    boxes: Int[Tensor, "o 4"]
    others: Mapping[Label, Int[Tensor, "o 4"]]


class Annotator(Protocol):
    """Knows something about every image of a data set."""

    @property
    def offers(self) -> frozenset[str]:
        """Which of ``labels``, ``silhouettes``, ``boxes`` and ``others`` it knows."""

    def files(self, name: str) -> Sequence[Path]:
        """Return the files that are about this image alone, whether they are there or not."""

    def classes(self, name: str) -> Sequence[Label]:
        """Return the classes that it knows this image to show, without looking at the image.

        The first is that of which it tells when it is asked about none.

        Raises:
            ValueError: If the files cannot be read.
        """

    def __call__(self, name: str, picture: Picture, label: Label | None = None) -> Annotation:
        """Return what is known about this image, and about its objects of one of its classes.

        Raises:
            ValueError: If the files lack it, or it does not fit the image.
        """


def read_objects(path: Path, picture: Picture | None = None, first: int = 1) -> list[tuple[str, Box]]:
    """Read the objects in an XML file as PASCAL VOC and ILSVRC have them: class and box of each.

    Maxima are inclusive; some files have fractions, which are rounded. Without the image its size is not
    checked.

    Args:
        path: The file.
        picture: The image that it is about.
        first: From what the file counts pixels: 1 in PASCAL VOC, 0 in ILSVRC.

    Raises:
        ValueError: If the file is missing, broken, without objects, or about an image of another size.
    """
    root = _parsed(path)
    size = root.find("size")
    if size is not None and picture is not None:
        check_size(path, (_number(size, "width", path), _number(size, "height", path)), picture)
    objects = [_object(element, path, first) for element in root.findall("object")]
    if not objects:
        raise ValueError(f"annotation: {path} has no <object>")
    return objects


def clipped(boxes: Iterable[Box], path: Path, picture: Picture) -> Int[Tensor, "o 4"]:
    """Clip boxes to the image.

    Raises:
        ValueError: If nothing is left of one; ``path`` is where it is from.
    """
    import torch

    height, width = picture.image.shape[1:]
    inside = []
    for box in boxes:
        left, right = (min(max(x, 0), width) for x in (box[0], box[2]))
        top, bottom = (min(max(y, 0), height) for y in (box[1], box[3]))
        if left >= right or top >= bottom:
            raise ValueError(
                f"boxes: {path}: nothing of the box {box} (xmin, ymin, xmax, ymax; maxima exclusive) "
                f"is inside of {width} x {height} pixels"
            )
        inside.append((left, top, right, bottom))
    return torch.tensor(inside)


def read_indices(path: Path, picture: Picture | None = None) -> UInt8[ndarray, "h w"]:
    """Read the class indices that are a palette image's (or an 8-bit gray image's) pixels.

    Without the image its size is not checked.

    Raises:
        ValueError: If the file is missing, damaged, of another kind, or of another size than the image.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as drawn:
            indices, mode = np.array(drawn), drawn.mode
    except FileNotFoundError as error:
        raise ValueError(f"segmentation: no such file: {path}") from error
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"segmentation: {path} cannot be read ({error})") from error
    if mode not in ("P", "L"):
        raise ValueError(
            f"segmentation: {path} holds {mode} colors; expected class indices (a palette image)"
        )
    if picture is not None:
        check_size(path, (indices.shape[1], indices.shape[0]), picture)
    return indices


def by_area(objects: Iterable[tuple[Label, Box]]) -> list[Label]:
    """Return the classes of objects, those whose boxes cover most first; where they overlap, once."""
    boxes: dict[Label, list[Box]] = {}
    for label, box in objects:
        boxes.setdefault(label, []).append(box)
    return sorted(boxes, key=lambda label: -_union(boxes[label]))


def _union(boxes: Sequence[Box]) -> int:
    """Return how many pixels are in any of the boxes: counted by the cells that their edges make."""
    import numpy as np

    edges = np.array(boxes)
    columns, rows = np.unique(edges[:, ::2]), np.unique(edges[:, 1::2])
    inside = np.zeros((len(rows), len(columns)), dtype=bool)
    for left, top, right, bottom in boxes:
        row, column = np.searchsorted(rows, (top, bottom)), np.searchsorted(columns, (left, right))
        inside[row[0] : row[1], column[0] : column[1]] = True
    heights, widths = np.diff(rows, append=rows[-1]), np.diff(columns, append=columns[-1])
    return int(heights @ inside @ widths)


def objects_of(boxes: Mapping[Label, Int[Tensor, "o 4"]], label: Label) -> Annotation:
    """Return the boxes of one class, of all that are in an image, and those of the others."""
    return {"boxes": boxes[label], "others": {each: some for each, some in boxes.items() if each != label}}


def check_size(path: Path, size: tuple[int, int], picture: Picture) -> None:
    """Check that what a file says is about an image of this size.

    Raises:
        ValueError: If the image has another (width, height).
    """
    height, width = picture.image.shape[1:]
    if size != (width, height):
        notes = f" ({', '.join(picture.notes)})" if picture.notes else ""
        raise ValueError(
            f"annotation: {path} is for {size[0]} x {size[1]} pixels, "
            f"but {picture.path} has {width} x {height}{notes}"
        )


def checked_silhouette(silhouette: Bool[Tensor, "h w"], path: Path) -> Bool[Tensor, "h w"]:
    """Return the silhouette, if it is one: some of the image is the object, and some is not.

    Raises:
        ValueError: If it is empty or full; ``path`` is where it is from.
    """
    if silhouette.all() or not silhouette.any():
        part = "all of the image" if silhouette.any() else "nothing (what is drawn must be white, 255)"
        raise ValueError(f"silhouette: the object in {path} is {part}")
    return silhouette


def _parsed(path: Path) -> Element:
    from xml.etree import ElementTree

    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"annotation: no such file: {path}") from error
    except OSError as error:
        raise ValueError(f"annotation: {path} cannot be read ({error.strerror})") from error
    if b"<!ENTITY" in text:
        raise ValueError(f"annotation: {path} declares entities, which are not read")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"annotation: {path} is broken XML ({error})") from error


def _object(element: Element, path: Path, first: int) -> tuple[str, Box]:
    name, box = element.findtext("name", "").strip(), element.find("bndbox")
    if not name or box is None:
        raise ValueError(f"annotation: {path} has an <object> without a <{'bndbox' if name else 'name'}>")
    left, top, right, bottom = (_number(box, tag, path) for tag in ("xmin", "ymin", "xmax", "ymax"))
    return name, (left - first, top - first, right + 1 - first, bottom + 1 - first)


def _number(element: Element, tag: str, path: Path) -> int:
    text = element.findtext(tag, "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"annotation: {path}: expected a number as <{tag}> of <{element.tag}>, got {text!r}")
    return round(value)


def text_of(path: Path) -> str:
    """Return a file's text.

    Raises:
        ValueError: If it is no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"DATA: {path} is no UTF-8 text ({error.reason})") from error
