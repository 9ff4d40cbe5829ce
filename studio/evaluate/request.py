"""What ``infill evaluate`` is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from infill.validate import Count, Level
from studio.data.request import DataRequest
from studio.registry.request import JobRequest
from studio.runs.request import WorkersRequest


@dataclass(frozen=True)
class EvaluateRequest(JobRequest, DataRequest, WorkersRequest):
    """Which methods are judged, with which fillers, by which metrics, on what.

    Attributes:
        data: ``scenes``, ``scenes-two``, either with ``:N``, or a folder
            (`studio.data.dataset.open_dataset`).
        methods: Names, or ``NAME/FILLER,FILLER`` for a method that runs with fillers of its own.
        fillers: With which all other methods run.
        metrics: Names, or ``NAME:FILLER`` for a metric that removes (`studio.evaluate.metrics`).
        preset: What is run where nothing is asked for (`studio.evaluate.presets`).
        paper: Whether methods run at their papers' sizes, and in float32.
        baselines: Whether the center, random maps and the annotated objects are judged beside.
        samples: Fills of each hole, for fillers that draw.
        largest_box: Only images where the boxes of the class cover at most this share, in (0, 1];
            ``None``: the preset's.
        target: What is explained of every image (`studio.registry.target`); ``None``: the data's classes.
        against: The class that each image's is compared with: its index, its name, ``top1`` or ``next``
            (`studio.registry.target`).
        attack: How every image is changed against its class before it is explained
            (`studio.registry.attack`); ``None``: it is not. ``correct_only`` is about images as they were.
    """

    data: str
    _: KW_ONLY
    methods: Sequence[str] = ()
    metrics: Sequence[str] = ()
    preset: str | None = None
    paper: bool = False
    baselines: bool = True
    samples: Count = 1
    largest_box: Level | None = None
    target: str | None = None
    against: str | None = None
    attack: str | None = None
