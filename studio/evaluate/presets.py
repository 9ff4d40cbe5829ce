"""What is run where nothing else is asked for, and what the papers ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from studio.evaluate.metrics import METRICS, known_by
from studio.evaluate.request import EvaluateRequest
from studio.registry.fields import known


@dataclass(frozen=True)
class Preset:
    """Methods with their fillers, and metrics.

    Attributes:
        summary: In words.
        methods: As `EvaluateRequest.methods`.
        fillers: For methods that have none of their own.
        metrics: As `EvaluateRequest.metrics`.
        paper: Whether methods run at their papers' sizes.
        largest_box: As `EvaluateRequest.largest_box`, where the data has boxes.
    """

    summary: str
    methods: Sequence[str]
    fillers: Sequence[str]
    metrics: Sequence[str]
    paper: bool = False
    largest_box: float | None = None


PRESETS: Mapping[str, Preset] = {
    "quick": Preset(
        "three sampling methods at quick settings, with gray and with inpaint",
        ("sp", "lime", "rise"),
        ("gray", "inpaint"),
        ("localization", "pointing", "deletion", "insertion", "saliency"),
    ),
    "paper-a": Preset(
        "tables 2 to 4, S1 and figures 4, 7 and 8 of Agarwal & Nguyen (2020)",
        ("sp", "lime", "mp/blur", "mp2/blur,inpaint", "fido/inpaint"),
        ("gray", "inpaint"),
        ("localization", "deletion", "saliency", "sensitivity", "outside", "labels", "filled"),
        paper=True,
    ),
    "paper-b": Preset(
        "the pointing game of Gu (2020)",
        ("rise/gray", "extremal/blur-pyramid", "ssr/noise-once", "sdr/noise-once", "dssr/noise-once",
         "dssr-plus/noise-once"),
        (),
        ("pointing",),
        paper=True,
    ),
    "paper-c": Preset(
        "localization, salient objects and pointing of Du et al. (2018), beside perturbation methods",
        ("gfi/blur@sigma=11", "gfi-inversion/blur@sigma=11", "mp/blur@sigma=11", "rise/gray", "sp/gray"),
        (),
        ("localization-mean", "salient", "pointing"),
        paper=True,
        largest_box=0.5,
    ),
}  # fmt: skip
USUAL = "quick"
"""The preset that is meant if none is named."""


def completed(request: EvaluateRequest, offers: frozenset[str]) -> EvaluateRequest:
    """Return the request with what its preset says of all that the user has not asked for.

    Args:
        request: As the user wrote it.
        offers: What the data knows.

    Raises:
        ValueError: If there is no such preset.
    """
    preset = PRESETS[known(request.preset or USUAL, PRESETS, "preset")]
    own = not request.methods
    return replace(
        request,
        methods=request.methods or preset.methods,
        fillers=request.fillers or preset.fillers or PRESETS[USUAL].fillers[:1],
        metrics=request.metrics or preset.metrics,
        paper=request.paper or (preset.paper and own),
        largest_box=request.largest_box or (preset.largest_box if "boxes" in offers else None),
    )


def fitting(metrics: Sequence[str], asked: bool, offers: frozenset[str]) -> list[str]:
    """Return the metrics that the data has the truth for; those that were asked for all stay.

    Args:
        metrics: Names.
        asked: Whether the user named them.
        offers: What the data knows.
    """
    return [name for name in metrics if asked or known_by(METRICS[name].needs, offers)]
