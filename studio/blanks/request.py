"""What ``infill fill-blanks`` is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from studio.registry.request import JobRequest

FILLER = "gray@color=0"
"""What stands in the blanks unless another filler is asked for: the paper multiplies by 0."""
CORRECT, PAPERS = 1000, 10_001
"""How many masks that left the class to be seen are averaged: ours, and the paper's (more than 10,000)."""


@dataclass(frozen=True)
class BlanksRequest(JobRequest):
    """Whose images are filled in, by which classifier, how often.

    Attributes:
        data: ``digits``, ``mnist`` or ``fashion-mnist`` (``:FOLDER``), or ``scenes`` (``:N``).
        fillers: What stands in the blanks; at most one, without any `FILLER`.
        classifier: Without any one is trained, or, for scenes, taken as it ships.
        limit: Only the first so many images, which are of all classes in turn; ``None``: all.
        ablations: How many images the ablations are done with; 0 leaves them out.
        paper: Whether as many masks are averaged as in the paper.
        download: Whether torchvision may fetch data that is not here.
    """

    data: str
    _: KW_ONLY
    fillers: Sequence[str] = ()
    batch_size: int = 128
    limit: int | None = None
    ablations: int = 20
    paper: bool = False
    download: bool = False
