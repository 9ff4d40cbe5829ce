"""A hole that somebody has drawn: as an image, or as boxes; in the photograph, or in what is seen of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from studio.data.image import read_picture
from studio.explain.inputs import printable

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from models.classifiers import ImageClassifier

Where: TypeAlias = Literal["photograph", "view"]
Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; the last two are outside."""

PHOTOGRAPH, VIEW = get_args(Where)
_EXPECTED = "expected a file, a PIL image, or an array or tensor h w"
_GRAY = 0.25
"""A drawing has at most such a share of pixels that are neither dark nor light."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is to be removed, as it was given.

    Attributes:
        hole: 1 where pixels are removed, 0 elsewhere; ``None``: it is boxes.
        boxes: Removed together.
        where: Of which image these are pixels; ``None``: boxes are of the photograph, and a drawing is of
            what it has the size of.
        source: Where it is from, for ``remove.json``.
    """

    hole: Float[Tensor, "h w"] | None
    boxes: Sequence[Box]
    where: Where | None
    source: dict[str, Any]


def drawn(hole: Any = None, boxes: Sequence[Box] = (), where: str | None = None) -> Drawn:
    """Return what is to be removed, read and checked as far as that can be done without the image.

    Args:
        hole: The file of a drawing, white where pixels are removed and black elsewhere; or the same as a
            PIL image, or as an array or tensor "h w" of truths, numbers in [0, 1] or bytes.
        boxes: In its place, some boxes.
        where: ``photograph`` or ``view`` (what the classifier sees of it).

    Raises:
        ValueError: If there is neither a hole nor a box, or both, or if something else is wrong with them.
    """
    if where not in (None, *get_args(Where)):
        raise ValueError(f"--where: expected {' or '.join(get_args(Where))}, got {where!r}")
    if (hole is None) == (not boxes):
        got = "neither" if hole is None else "both"
        raise ValueError(f"--hole, --box: expected a drawing of the hole, or boxes, got {got}")
    of = cast(Where | None, where or (PHOTOGRAPH if boxes else None))
    if hole is None:
        return Drawn(None, tuple(boxes), of, {"boxes": [list(box) for box in boxes]})
    if isinstance(hole, str | Path):
        path = Path(hole)
        return Drawn(_of_file(path), (), of, {"file": printable(str(path))})
    pixels, kind = _of_memory(hole)
    digest = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
    return Drawn(pixels, (), of, {"memory": kind, "sha256": digest})


def parse_box(text: str) -> Box:
    """Return a box that is written as ``x0,y0,x1,y1``.

    Raises:
        ValueError: If it has another form.
    """
    try:
        left, top, right, bottom = map(int, text.split(","))
    except ValueError as error:
        raise ValueError(
            f"--box: expected x0,y0,x1,y1 in pixels, as in 40,60,120,140, got {text!r}"
        ) from error
    return left, top, right, bottom


def seen_of(
    given: Drawn, size: tuple[int, int], classifier: ImageClassifier, view: tuple[int, int]
) -> tuple[Float[Tensor, "y x"], Where]:
    """Return a hole in the classifier's view, 1 or 0, and of which image it was drawn.

    A hole of the photograph is resized and cropped as that is; a pixel is removed if half of it is.

    Args:
        given: The hole.
        size: Height and width of the photograph.
        classifier: Who looks.
        view: Height and width of what it sees.

    Raises:
        ValueError: If the hole does not fit, or nothing of it is seen.
    """
    import torch

    where = given.where or _told_by(given.hole, size, view)
    full = torch.zeros(size if where == PHOTOGRAPH else view)
    if given.hole is None:
        for box in given.boxes:
            _cut(full, box, where)
    elif given.hole.shape != full.shape:
        raise ValueError(_wrong_size(given.hole, {where: (full.shape[0], full.shape[1])}))
    else:
        full = given.hole
    if not full.any():
        raise ValueError("--hole: nothing is white, so nothing would be removed; white means removed")
    if where == VIEW:
        return full, VIEW
    shown = classifier.view(full.to(classifier.mean.device).expand(3, *size))[0].cpu()
    hole = (shown >= 0.5).float()
    if not hole.any():
        raise ValueError("--hole, --box: all of it lies outside of what the classifier sees, or is too small")
    return hole, PHOTOGRAPH


def _told_by(hole: Tensor | None, size: tuple[int, int], view: tuple[int, int]) -> Where:
    """Return what a drawing was drawn on, by its size; of a photograph of the view's size the view is all."""
    assert hole is not None
    fits: dict[Where, tuple[int, int]] = {PHOTOGRAPH: size, VIEW: view}
    found = [where for where, sides in fits.items() if tuple(hole.shape) == sides]
    if not found:
        raise ValueError(_wrong_size(hole, fits))
    return found[0]


def _wrong_size(hole: Tensor, fits: dict[Where, tuple[int, int]]) -> str:
    names = {PHOTOGRAPH: "the photograph's", VIEW: "the classifier's view's"}
    sizes = " or ".join(f"{names[where]} {width} x {height}" for where, (height, width) in fits.items())
    return f"--hole: expected {sizes} pixels, got {hole.shape[1]} x {hole.shape[0]}"


def _cut(hole: Tensor, box: Box, where: Where) -> None:
    height, width = hole.shape
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        written = ",".join(map(str, box))
        raise ValueError(
            f"--box: expected x0 < x1 and y0 < y1 within the {where} of {width} x {height} pixels, "
            f"got {written}"
        )
    hole[top:bottom, left:right] = 1


def _of_file(path: Path) -> Float[Tensor, "h w"]:
    try:
        picture = read_picture(path)
    except ValueError as error:
        raise ValueError(f"--hole: {str(error).removeprefix('image: ')}") from error
    if picture.transparent:
        raise ValueError(f"--hole: {path} is transparent in places; lay it on black, and paint holes white")
    return _black_and_white(picture.image.mean(dim=0), f"--hole: {path}")


def _of_memory(given: Any) -> tuple[Float[Tensor, "h w"], str]:
    import numpy as np
    import torch

    try:
        values = np.asarray(_plain(given))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"hole: {_EXPECTED}, got {type(given).__name__} ({error})") from error
    kind = f"{type(given).__name__}, {values.dtype}, {' x '.join(map(str, values.shape))}"
    while values.ndim > 2 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "biuf" or not values.size:
        raise ValueError(f"hole: {_EXPECTED}, got {kind}")
    whole, values = values.dtype.kind != "f", values.astype(np.float32)
    found = f"from {values.min():g} to {values.max():g}"
    if whole and values.max() > 1:
        values = values / 255  # bytes, unless they are zeros and ones
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"hole: expected truths, numbers in [0, 1] or bytes, 1 or white where removed, got {kind} {found}"
        )
    return _black_and_white(torch.from_numpy(values.copy()), "hole"), kind


def _plain(given: Any) -> Any:
    """Return what numpy takes: of a picture its gray levels, of a tensor its numbers."""
    from PIL.Image import Image
    from torch import Tensor

    if isinstance(given, Image):
        alpha = given.convert("RGBA").getchannel("A").getextrema()
        if alpha[0] != 255:
            raise ValueError("transparent in places; lay it on black, and paint holes white")
        return given.convert("L")
    if isinstance(given, Tensor):
        numbers = given.detach().cpu()
        return numbers.float() if numbers.is_floating_point() else numbers
    return given


def _black_and_white(values: Tensor, name: str) -> Float[Tensor, "h w"]:
    between = float(((values > 0.1) & (values < 0.9)).float().mean())
    if between > _GRAY:
        raise ValueError(
            f"{name}: expected white where pixels are removed and black elsewhere, but "
            f"{100 * between:.0f} % of the pixels are neither"
        )
    return (values >= 0.5).float()
