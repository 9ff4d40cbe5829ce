"""Which regions are asked for, and whether the data and the segmenter can tell them."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING

from studio.realism.kinds import HOLE_KINDS, SEGMENTED, HoleKind
from studio.realism.regions import Regions
from studio.registry.fields import known

if TYPE_CHECKING:
    import torch

    from models.segmenters import AnySegmenter
    from studio.data.example import Dataset
    from studio.realism.request import RealismRequest

_ONLY_FOR = {"grow": ("silhouettes", *SEGMENTED), "side": ("squares",)}


def build_regions(request: RealismRequest, data: Dataset, device: torch.device) -> Regions:
    """Return the regions that are removed, with the segmenter that finds them, if there is one.

    Raises:
        ValueError: If they are unknown, the data does not say what they need, or the segmenter cannot be had
            or asked like that.
    """
    kind, segmenter = hole_kind(request.holes, data, request.segmenter is not None), None
    point = None if request.segmenter_point is None else _parse_point(request.segmenter_point)
    if request.segmenter is not None:
        if kind not in SEGMENTED:
            raise ValueError(f"--segmenter: only for --holes {', '.join(SEGMENTED)}, got --holes {kind}")
        from models.segmenters import load_segmenter

        segmenter = load_segmenter(request.segmenter, request.segmenter_weights).to(device)
        _check_prompts(request, segmenter)
        if segmenter.prompted and point is None and "boxes" not in data.offers:
            point = (0.5, 0.5)
    elif request.segmenter_weights or request.segmenter_class or point:
        raise ValueError(
            "--segmenter: expected a name beside --segmenter-weights, --segmenter-class and --segmenter-point"
        )
    _check_used(request, kind)
    regions = Regions(
        kind,
        request.grow,
        request.side,
        segmenter=segmenter,
        label=request.segmenter_class,
        point=point,
        hole_area=request.hole_area,
    )
    return among(regions, data)


def among(regions: Regions, data: Dataset) -> Regions:
    """Return the regions of the images of this data.

    Raises:
        ValueError: If the data does not say what they need, or has no other image to lend a shape.
    """
    if regions.kind == "background" and len(data) < 2:
        raise ValueError(f"--holes background: expected 2 or more images in {data.title}, got {len(data)}")
    check_annotated(regions, data)
    return replace(regions, others=data if regions.kind == "background" else None)


def _check_used(request: RealismRequest, kind: HoleKind) -> None:
    """Check that what holes are like was not said for holes of another kind; the default says nothing."""
    for field in dataclasses.fields(request):
        kinds = _ONLY_FOR.get(field.name)
        if kinds and kind not in kinds and getattr(request, field.name) != field.default:
            raise ValueError(f"--{field.name}: only for --holes {', '.join(kinds)}, got --holes {kind}")


def hole_kind(kind: str | None, data: Dataset, segmented: bool) -> HoleKind:
    """Return the kind asked for; without one, what the data knows best.

    Raises:
        ValueError: If it is unknown, or neither asked for nor known.
    """
    if kind is not None:
        known(kind, HOLE_KINDS, "kind of holes")
        return kind  # type: ignore[return-value]
    if segmented:
        return "object"
    for annotated in ("silhouettes", "boxes"):
        if annotated in data.offers:
            return annotated
    raise ValueError(
        f"--holes: {data.title} says nothing of objects; give squares, segments or all, or a --segmenter"
    )


def check_annotated(regions: Regions, data: Dataset) -> None:
    """Check that the data says what the holes need.

    Raises:
        ValueError: If it does not.
    """
    if regions.needs is not None and regions.needs not in data.offers:
        has = ", ".join(sorted(data.offers)) or "no annotation"
        hint = "" if regions.kind == "boxes" else ", or give a --segmenter"
        raise ValueError(f"--holes {regions.kind}: {data.title} has no {regions.needs} (it has {has}){hint}")


def _check_prompts(request: RealismRequest, segmenter: AnySegmenter) -> None:
    """Check that the segmenter can be asked for what it is asked for: a class, or a place."""
    name, label = request.segmenter, request.segmenter_class
    if segmenter.prompted and label is not None:
        raise ValueError(f"--segmenter-class: {name} knows no classes; it takes --segmenter-point X,Y")
    if not segmenter.prompted and request.segmenter_point is not None:
        raise ValueError(f"--segmenter-point: {name} takes no point; it takes --segmenter-class C")
    if label is not None:
        known(label, segmenter.labels, "class of the segmenter")


def _parse_point(text: str) -> tuple[float, float]:
    """Return the point that a text means, in fractions of the view's sides."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"--segmenter-point: expected X,Y with both from 0 to 1, got {text!r}")
    return x, y
