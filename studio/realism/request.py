"""What ``infill realism`` is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from infill.validate import Count, Length, Range, Reach
from studio.data.request import DataRequest
from studio.registry.request import BatchSize, JobRequest
from studio.runs.request import WorkersRequest

Backbone: TypeAlias = Literal["squeeze", "alex", "vgg"]
"""Of LPIPS: `infill.realism.similarity.Backbone`, which is not imported here, for it loads torch."""
LabelSource: TypeAlias = Literal["data", "top1"]
"""Whose word counts for what an image shows: the data's, or the classifier's first choice."""


FILLERS = ("gray", "noise", "blur", "telea", "inpaint")
"""Those that are judged unless others are asked for."""
ON_PHOTOGRAPHS = ("patchmatch", "exemplar")
"""Those that are judged, too, if the images are photographs."""


def default_fillers(scenes: bool) -> Sequence[str]:
    """Return the fillers that are judged on scenes, or on photographs, unless others are asked for."""
    return FILLERS if scenes else (*FILLERS, *ON_PHOTOGRAPHS)


@dataclass(frozen=True)
class RealismRequest(JobRequest, DataRequest, WorkersRequest):
    """Which fillers are judged, on what, and by whom.

    Attributes:
        data: ``scenes``, ``scenes-two``, either with ``:N``, or a folder
            (`studio.data.dataset.open_dataset`).
        fillers: Names, each with its settings if need be; without any, `default_fillers`.
        holes: Where they come from; ``None``: what the data knows best.
        grow: By how many pixels silhouettes are widened.
        side: Of squares, in pixels.
        hole_area: Of holes in the background, in percent of the view; ``None``: as the shapes come.
        labels: Whose word counts for what an image shows; ``None``: the data's if the classifier knows it.
        reference: Other images, as ``data``, which composites should look like; ``None``: the untouched ones.
        judge: The classifier that is asked about the composites; ``None``: the one that is explained.
        segmenter_point: ``X,Y``, in fractions of the view; ``None``: the annotated boxes, else the center.
        lpips: LPIPS's backbone.
        strips: How many images are shown.
    """

    data: str
    _: KW_ONLY
    fillers: Sequence[str] = ()
    batch_size: BatchSize = 16
    holes: str | None = None
    grow: Reach = 3
    side: Length = 53
    hole_area: Annotated[float, Range(0, 100, open_low=True)] | None = None
    labels: LabelSource | None = None
    reference: str | None = None
    judge: str | None = None
    judge_weights: Path | None = None
    segmenter: str | None = None
    segmenter_weights: Path | None = None
    segmenter_class: str | None = None
    segmenter_point: str | None = None
    lpips: Backbone = "squeeze"
    strips: Count = 6
