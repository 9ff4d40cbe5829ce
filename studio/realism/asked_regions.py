"""Which regions are removed, by what was asked for on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.realism.regions import SEGMENTED, Regions, chosen
from studio.registry.fields import known

if TYPE_CHECKING:
    import torch

    from models.segmenters import AnySegmenter
    from studio.data.dataset import Dataset
    from studio.realism.run import Request


def asked_regions(request: Request, data: Dataset, device: torch.device) -> Regions:
    """Return the regions that are removed, with the segmenter that finds them, if there is one.

    Raises:
        ValueError: If they are unknown, or the segmenter cannot be had or asked like that.
    """
    kind, segmenter = chosen(request.holes, data, request.segmenter is not None), None
    point = None if request.segmenter_point is None else _point(request.segmenter_point)
    if request.segmenter is not None:
        if kind not in SEGMENTED:
            raise ValueError(f"--segmenter: only for --holes {' and '.join(SEGMENTED)}, got --holes {kind}")
        from models.segmenters import load_segmenter

        segmenter = load_segmenter(request.segmenter, request.segmenter_weights).to(device)
        _check_asked(request, segmenter)
        if segmenter.prompted and point is None and "boxes" not in data.offers:
            point = (0.5, 0.5)
    elif request.segmenter_weights or request.segmenter_class or point:
        raise ValueError(
            "--segmenter: expected a name beside --segmenter-weights, --segmenter-class and --segmenter-point"
        )
    return Regions(
        kind, request.grow, request.side, segmenter=segmenter, wanted=request.segmenter_class, point=point
    )


def _check_asked(request: Request, segmenter: AnySegmenter) -> None:
    """Check that the segmenter can be asked for what it is asked for: a class, or a place."""
    name, label = request.segmenter, request.segmenter_class
    if segmenter.prompted and label is not None:
        raise ValueError(f"--segmenter-class: {name} knows no classes; it takes --segmenter-point X,Y")
    if not segmenter.prompted and request.segmenter_point is not None:
        raise ValueError(f"--segmenter-point: {name} takes no point; it takes --segmenter-class C")
    if label is not None:
        known(label, segmenter.labels, "class of the segmenter")


def _point(text: str) -> tuple[float, float]:
    """Return the point that a text means, in fractions of the view's sides."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"--segmenter-point: expected X,Y with both from 0 to 1, got {text!r}")
    return x, y
