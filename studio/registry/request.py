"""What every job is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from infill.validate import Range, Seed

BatchSize: TypeAlias = Annotated[int, Range(1, 4096)]
GIGABYTES = 10.0
"""How large a folder of fills may become unless asked."""


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """The part of a request that all jobs share, as the user wrote it.

    Attributes:
        fillers: Names, each perhaps with a checkpoint and settings (`studio.registry.parse`).
        classifier: Its name; ``None`` leaves it to the weights, or else to the job.
        weights: The classifier's file of weights.
        multi_label: Whether its classes do not exclude each other even if it does not say so itself.
        out: The folder of the results.
        seed: Of all that is drawn by chance.
        device: ``cpu``, ``cuda``, ..., or ``auto``.
        precision: ``float32``, ``bfloat16`` or ``auto``.
        runtime: What runs the explained classifier: ``eager``, ``incremental``, ``openvino`` or ``auto``.
        batch_size: How many images the networks are given at once.
        fill_cache: A folder of fills that commands share; ``None``: fills are made anew.
        fill_cache_size: How large it may become, in gigabytes.
        settings: Texts like ``sp.patch=41``.
    """

    fillers: Sequence[str] = ()
    classifier: str | None = None
    weights: Path | None = None
    multi_label: bool = False
    out: Path = Path("infill-out")
    seed: Seed = 0
    device: str = "auto"
    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    runtime: Literal["eager", "incremental", "openvino", "auto"] = "eager"
    batch_size: BatchSize = 64
    settings: Sequence[str] = ()
    fill_cache: Path | None = None
    fill_cache_size: float = GIGABYTES
