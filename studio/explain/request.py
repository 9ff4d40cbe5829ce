"""What ``infill explain`` and ``infill counterfactual`` are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infill.validate import Count
from studio.registry.request import JobRequest
from studio.runs.request import WorkersRequest

FILLERS = ("gray", "blur", "inpaint")
"""What fills the holes unless others are asked for."""
COMPLETING = ("gray", "blur", "telea", "exemplar", "inpaint")
"""What completes a hole that was drawn, unless others are asked for."""
METHOD, FILLER = "mp2-descent", "inpaint"
"""What looks for a counterfactual, and what fills it meanwhile, unless others are asked for."""
PAPERS = "mp2"
"""What looks for a counterfactual as the papers do."""


@dataclass(frozen=True, kw_only=True)
class ExplainRequest(JobRequest, WorkersRequest):
    """What is to be explained, and how.

    Attributes:
        images: Files; without any, the scene of this number.
        scene: The number of a drawn scene.
        methods: Names.
        target: The class to explain: its index, its name, or ``top1`` (`studio.registry.target`).
        against: The class that it is compared with: its index, its name, ``top1`` or ``next``.
        samples: How many fills each hole gets from a filler that draws.
        fillers: Names, each with its settings if need be; without any, `FILLERS`, or the papers' own.
        paper: Whether methods run as their papers have it, in whatever the user leaves open
            (`studio.explain.paper`).
        final: What fills and judges the hole that an optimizing method found; by itself, and ``none``: what
            filled it during the search.
        trace: Whether the steps of optimizing methods are kept.
        again: Whether images that are done already, with the same settings, are done again.
        until: The reliability at which samples of methods that draw are enough; ``None``: all are taken.
        strict: Whether the first of several images that cannot be explained stops the job.
    """

    images: Sequence[Path] = ()
    scene: int = 1
    methods: Sequence[str] = ("sp", "lime", "rise")
    fillers: Sequence[str] = ()
    target: str = "top1"
    against: str | None = None
    samples: Count = 1
    paper: bool = False
    final: str | None = None
    trace: bool = False
    again: bool = False
    strict: bool = False
    until: float | None = None
